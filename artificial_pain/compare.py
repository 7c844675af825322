"""One table for finished runs that were tested on the same examples.

python -m artificial_pain.compare classification/ESConv/…/loss-classification intensity/ESConv/…/accuracy-4-heads-…
"""

import argparse
from collections import defaultdict
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
    help = "also a row for each setting of which several runs are given, with these averaged as one model"
    parser.add_argument("--ensemble", action="store_true", help=help)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    folders = list(dict.fromkeys(folder.resolve() for folder in args.folders))
    # Imported here, so that --help is answered at once.
    from artificial_pain.evaluation import tables
    from artificial_pain.reporting import combine
    from artificial_pain.reporting.find import require_distinct
    from artificial_pain.reporting.run_files import Run
    from artificial_pain.runs.status import but_for_the_seed

    runs = [Run.read(folder) for folder in folders]
    examples, *others = [run.predictions[["text", "label_name"]] for run in runs]
    for folder, other in zip(folders[1:], others, strict=True):
        if not other.equals(examples):
            remedy = "run the dataloaders of both with the same flags, such as --data_source, --seed and --fold"
            raise UserError(f"{folder} and {folders[0]} were tested on different examples: {remedy}")
    rows = dict(zip(names(folders), runs, strict=True))
    settings = defaultdict(list)  # the names of their runs
    for name, run in rows.items() if args.ensemble else ():
        settings[but_for_the_seed(run.record)].append(name)
    for first, *others in settings.values():
        same = [rows[name] for name in (first, *others)]
        require_distinct(same, [run.record["seed"] for run in same])
        if others:
            rows[f"{first} and {len(others)} more averaged"] = combine.average(same)
    print(f"{len(examples)} test examples")
    print(tables.results_table({name: run.results for name, run in rows.items()}))


if __name__ == "__main__":
    cli.run(main, parse_args, prints_results=True)
