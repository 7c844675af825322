"""Finished runs in one Parquet file, a row a run: records, metrics and predictions, without texts and weights.

The report can read such a file in place of the runs' folders. Its columns:

- run: the run's folder.
- record, results, curves: what is in run.json, evaluation_results.json and learning_curves.csv.
- readings: the settings that were evaluated on the same test split, see `status.setting`.
- validation, test: the split's examples, each with its `row` in the corpus, and the columns of predictions_….csv that
  are neither texts nor calibrated. The calibrated ones follow from them.

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
from artificial_pain.data.vocabulary import CALIBRATED, CLASSIFIERS, INTENSITIES
from artificial_pain.errors import as_user_error
from artificial_pain.evaluation import predictions
from artificial_pain.evaluation.calibration import Calibration
from artificial_pain.reporting.run_files import Run

SPLITS = "validation", "test"
TEXTS = ["label_name", "source", "predicted", *CLASSIFIERS]


def write(path: Path, runs: Sequence[Run]) -> None:
    """Write the runs to a file, in the order of their folders' names."""
    rows = [_row(run) for run in sorted(runs, key=lambda run: run.folder)]
    kinds = {"row": pa.int32(), **dict.fromkeys(TEXTS, pa.string())}
    columns = dict.fromkeys(name for row in rows for name in row["test"][0])  # in their order, once each
    examples = pa.list_(pa.struct([(name, kinds.get(name, pa.float32())) for name in columns]))
    texts = dict.fromkeys(("run", "record", "results", "curves"), pa.string()) | {"readings": pa.list_(pa.string())}
    table = pa.Table.from_pylist(rows, pa.schema([*texts.items(), ("validation", examples), ("test", examples)]))
    partial = path.with_name(f"{path.name}.partial")
    # Floats are split by their bytes, which compress better: the files of this repository are 20 to 40 % smaller.
    floats = [f"{split}.list.element.{name}" for name in columns.keys() - kinds.keys() for split in SPLITS]
    options = {"use_byte_stream_split": floats, "use_dictionary": [f"test.list.element.{name}" for name in TEXTS]}
    try:
        parquet.write_table(table, partial, compression="zstd", compression_level=19, **options)
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
    row |= {"results": json.dumps(run.results), "curves": run.curves.to_csv(), "readings": sorted(run.readings)}
    for split, frame in zip(SPLITS, (run.validation, run.predictions), strict=True):
        kept = frame.filter(regex=f"^(?!text$|{CALIBRATED})").rename_axis("row")
        row[split] = kept.reset_index().to_dict("records")
    return row


def read(path: Path) -> list[Run]:
    """The runs in a file. Raises UserError where it is not one that `write` has written."""
    kinds = OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException
    with as_user_error(f"{path}: is no archive of runs", *kinds, remedy="write it again, by --archive"):
        return [_run(row) for row in parquet.read_table(path).to_pylist()]


def _run(row: dict) -> Run:
    results, frames = json.loads(row["results"]), []
    targets = results["test"].get("intensity", {}).get("expected", {})
    for split in SPLITS:
        frame = pd.DataFrame(row[split]).set_index("row")
        kept = [name for name in frame if frame[name].notna().any() or INTENSITIES.get(name) in targets]
        label_names = list(results["test"]["per_class"])
        frames.append(predictions.add_calibrated(frame[kept], Calibration(**results["calibration"]), label_names))
    curves = pd.read_csv(io.StringIO(row["curves"]), index_col=0)
    test, validation = reversed(frames)
    record, readings = json.loads(row["record"]), set(row["readings"])
    run = Run(storage.REPOSITORY / row["run"], record, results, test, validation, curves, readings)
    run.validate()
    return run
