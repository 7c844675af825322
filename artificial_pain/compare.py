"""One table for finished runs that were tested on the same examples.

python -m artificial_pain.compare classification/ESConv/…/loss-classification intensity/ESConv/…/accuracy-4-heads-…
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from artificial_pain import errors, tables
from artificial_pain.errors import UserError


def read_run(folder: Path) -> tuple[dict, pd.DataFrame]:
    """A run's results, and the test examples behind them: their place in the corpus, text and label.

    Raises UserError where the folder has no finished run.
    """
    try:
        results = json.loads((folder / "evaluation_results.json").read_text(encoding="utf-8"))
        examples = pd.read_csv(folder / "predictions_test.csv", usecols=[0, 1, 2], dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename}: not found: give the folder of a finished run, the model script prints it"
        ) from None
    except ValueError as error:
        raise UserError(f"{folder}: the files of the run are damaged ({error}): run the model script again") from None
    return results, examples


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m artificial_pain.compare", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER", help="as printed by a model script")
    args = parser.parse_args()

    runs = {}
    for folder in args.folders:
        results, examples = read_run(folder)
        if not runs:
            first = examples
        elif not examples.equals(first):
            raise UserError(
                f"{folder} and {args.folders[0]} were tested on different examples: run the dataloaders of both with "
                "the same --data_source and --seed"
            )
        name = folder.name.replace("-intensity-change", "")
        runs[str(folder) if name in runs else name] = results
    print(f"{len(first)} test examples")
    print(tables.results_table(runs))


if __name__ == "__main__":
    errors.run(main)
