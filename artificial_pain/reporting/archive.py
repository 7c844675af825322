"""Finished runs in one Parquet file, a row a run: records, metrics and predictions, without texts and weights.

The report can read such a file in place of the runs' folders. Its columns:

- run: the run's folder.
- record, results, curves: what is in run.json, evaluation_results.json and learning_curves.csv.
- validation, test: the split's examples, each with its `row` in the corpus, and the columns of predictions_….csv that
  are neither texts nor calibrated.

Paths below the checkout are relative to it. Of other paths in the record the last part is left, and nothing of W&B.
"""

import io
import json
import re
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
    """Write the runs to a file, in the order of their folders' names."""
    rows = [_row(run) for run in sorted(runs, key=lambda run: run.folder)]
    kinds = {"row": pa.int32(), **dict.fromkeys(LABELS, pa.string())}
    columns = dict.fromkeys(name for row in rows for name in row["test"][0])  # in their order, once each
    examples = pa.list_(pa.struct([(name, kinds.get(name, pa.float32())) for name in columns]))
    texts = dict.fromkeys(("run", "record", "results", "curves"), pa.string())
    table = pa.Table.from_pylist(rows, pa.schema([*texts.items(), ("validation", examples), ("test", examples)]))
    partial = path.with_name(f"{path.name}.partial")
    try:
        parquet.write_table(table, partial, compression="zstd", compression_level=19)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _row(run: Run) -> dict:
    """A run as a row of the file."""
    record = {name: value for name, value in run.record.items() if name != "wandb"}  # of this machine and its user
    row = {"run": str(run.folder), "record": json.dumps(record, ensure_ascii=False)}
    for path, shorter in ((rf"{re.escape(str(storage.REPOSITORY))}/", ""), (r"(?:/[\w.-]+)+/([\w.-]+)", r"\1")):
        row["record"] = re.sub(rf"(?<![\w/.-]){path}", shorter, row["record"])
    row["run"] = row["run"].removeprefix(f"{storage.REPOSITORY}/")
    row |= {"results": json.dumps(run.results), "curves": run.curves.to_csv()}
    for split, frame in (("validation", run.validation), ("test", run.predictions)):
        kept = frame.filter(regex=f"^(?!text$|{CALIBRATED})").rename_axis("row")
        row[split] = kept.reset_index().to_dict("records")
    return row


def read(path: Path) -> list[Run]:
    """The runs in a file. Raises UserError where it is not one that `write` has written."""
    kinds = OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException
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
    run = Run(storage.REPOSITORY / row["run"], json.loads(row["record"]), results, test, validation, curves)
    run.validate()
    return run
