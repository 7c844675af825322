"""One table for finished runs that were tested on the same examples.

python -m artificial_pain.compare classification/ESConv/…/loss-classification intensity/ESConv/…/accuracy-4-heads-…
"""

import argparse
from pathlib import Path

from artificial_pain import cli
from artificial_pain.errors import UserError


def names(folders: list[Path]) -> list[str]:
    """The folders' names, with as many of their parent folders as make them unique."""
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return ["/".join(folder.parts[-depth:]).replace("-intensity-change", "") for folder in folders]


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("compare", __doc__)
    parser.add_argument("folders", nargs="+", type=cli.path, metavar="RUN_FOLDER", help="as printed by a model script")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    folders = list(dict.fromkeys(folder.resolve() for folder in args.folders))
    # Imported here, so that --help is answered at once.
    from artificial_pain.evaluation import tables
    from artificial_pain.reporting.run_files import Run

    runs = [Run.read(folder) for folder in folders]
    examples, *others = [run.predictions[["text", "label_name"]] for run in runs]
    for folder, other in zip(folders[1:], others, strict=True):
        if not other.equals(examples):
            remedy = "run the dataloaders of both with the same --data_source and --seed"
            raise UserError(f"{folder} and {folders[0]} were tested on different examples: {remedy}")
    print(f"{len(examples)} test examples")
    print(tables.results_table({name: run.results for name, run in zip(names(folders), runs, strict=True)}))


if __name__ == "__main__":
    cli.run(main, parse_args, prints_results=True)
