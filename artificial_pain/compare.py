"""One table for finished runs that were tested on the same examples.

python -m artificial_pain.compare classification/ESConv/…/loss-classification intensity/ESConv/…/accuracy-4-heads-…
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from artificial_pain import cli
from artificial_pain.errors import UserError
from artificial_pain.evaluation import tables


def read_run(folder: Path) -> tuple[dict, pd.DataFrame]:
    """A run's results, and its test examples: their index in the corpus, text and label.

    Raises UserError where the folder has no finished run.
    """
    try:
        results = json.loads((folder / "evaluation_results.json").read_text(encoding="utf-8"))
        examples = pd.read_csv(folder / "predictions_test.csv", usecols=[0, 1, 2], dtype=str, keep_default_na=False)
        complete = "macro_f1" in results["test"] and "majority" in results["baselines"]
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: cannot be read ({error.strerror}): give the folder of a finished run, which "
            "the model script prints"
        ) from None
    except (ValueError, KeyError, TypeError):  # neither JSON nor CSV, or JSON of something else
        complete = False
    if not complete:
        raise UserError(f"{folder}: its results are damaged: run the model script again")
    return results, examples


def names(folders: list[Path]) -> list[str]:
    """The folders' names, with as many of their parent folders as make them unique."""
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return ["/".join(folder.parts[-depth:]).replace("-intensity-change", "") for folder in folders]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m artificial_pain.compare", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER", help="as printed by a model script")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    folders = list(dict.fromkeys(folder.resolve() for folder in args.folders))
    all_results, test_sets = zip(*map(read_run, folders), strict=True)
    for folder, examples in zip(folders, test_sets, strict=True):
        if not examples.equals(test_sets[0]):
            raise UserError(
                f"{folder} and {folders[0]} were tested on different examples: run the dataloaders of both with the "
                "same --data_source and --seed"
            )
    print(f"{len(test_sets[0])} test examples")
    print(tables.results_table(dict(zip(names(folders), all_results, strict=True))))


if __name__ == "__main__":
    cli.run(main, parse_args)
