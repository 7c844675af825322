"""Finished runs in one Parquet file, a row a run: records, metrics and predictions, without texts and weights.

From such a file a report is drawn as from the runs' folders. Its columns:

- run: the run's folder.
- record, results, curves: what is in run.json, evaluation_results.json and learning_curves.csv.
- validation, test: the split's examples, each with its `row` in the corpus, and the columns of predictions_….csv that
  are neither texts nor calibrated.

Paths below the checkout are relative to it.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from artificial_pain import storage
from artificial_pain.data.vocabulary import CALIBRATED, INTENSITIES, PROBABILITY
from artificial_pain.errors import as_user_error
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.reporting.run_files import Run

LABELS = ["label_name", "predicted"]


def write(path: Path, runs: Sequence[Run]) -> None:
    """Write the runs to a file, in the order of their folders' names; of two of one name, the last."""
    by_name = {row["run"]: row for row in map(_row, runs)}
    rows = [row for _, row in sorted(by_name.items())]
    kinds = {"row": pa.int32(), **dict.fromkeys(LABELS, pa.string())}
    columns = dict.fromkeys(name for row in rows for name in row["test"][0])  # in their order, once each
    examples = pa.list_(pa.struct([(name, kinds.get(name, pa.float32())) for name in columns]))
    texts = dict.fromkeys(("run", "record", "results", "curves"), pa.string())
    table = pa.Table.from_pylist(rows, pa.schema([*texts.items(), ("validation", examples), ("test", examples)]))
    parquet.write_table(table, path, compression="zstd", compression_level=19)


def _row(run: Run) -> dict:
    """A run as a row of the file."""
    checkout = f"{storage.REPOSITORY}/"
    texts = {"run": str(run.folder), "record": json.dumps(run.record), "results": json.dumps(run.results)}
    row = {name: text.replace(checkout, "") for name, text in texts.items()} | {"curves": run.curves.to_csv()}
    for split, frame in (("validation", run.validation), ("test", run.predictions)):
        kept = frame.filter(regex=f"^(?!text$|{CALIBRATED})").rename_axis("row")
        row[split] = kept.reset_index().to_dict("records")
    return row


def read(path: Path) -> list[Run]:
    """The runs in a file. Raises UserError where it is not one that `write` has written."""
    kinds = OSError, ValueError, KeyError, TypeError  # pyarrow's errors are ValueErrors
    with as_user_error(f"{path}: is no archive of runs", *kinds, remedy="write it again, by --archive"):
        return [_run(row) for row in parquet.read_table(path).to_pylist()]


def _run(row: dict) -> Run:
    results = json.loads(row["results"])
    intensities = results["test"].get("intensity", {}).get("expected", {})
    columns = [*LABELS, *(f"{PROBABILITY}{label}" for label in results["test"]["per_class"])]
    for target in [target for target, name in INTENSITIES.items() if name in intensities]:
        columns += [target, *(f"{target}{end}" for end in READINGS.values())]
    validation, test = (pd.DataFrame(row[split]).set_index("row")[columns] for split in ("validation", "test"))
    curves = pd.read_csv(io.StringIO(row["curves"]), index_col=0)
    return Run(storage.REPOSITORY / row["run"], json.loads(row["record"]), results, test, validation, curves)
