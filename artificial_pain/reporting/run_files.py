"""A finished run's files, as far as a report reads them."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from artificial_pain.data import text_csv
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import UserError, first_line
from artificial_pain.evaluation.tables import PRIMARY_METRICS, SECONDARY_METRICS
from artificial_pain.runs.status import RECORD

RECORD_KEYS = {  # the part of a record that a report reads
    "arguments": {"balanced", "dataset_name", "debug", "model_name", "revision"},
    "data": {"data_source", "fingerprint", "label_column", "max_length", "samples_per_label", "seed"},
}
EMOTION_METRICS = [*PRIMARY_METRICS["emotion"], *SECONDARY_METRICS["emotion"]]
INTENSITY_METRICS = [*PRIMARY_METRICS["intensity"], *SECONDARY_METRICS["intensity"]]


@dataclass(frozen=True)
class Run:
    """A finished run: its record, test metrics, test predictions and learning curves."""

    folder: Path
    record: dict
    results: dict
    predictions: pd.DataFrame  # of the test split
    curves: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Raises UserError where a file is missing, or is not what the model script wrote."""
        try:
            record, results = (
                json.loads((folder / name).read_text(encoding="utf-8")) for name in (RECORD, "evaluation_results.json")
            )
            predictions = text_csv.read_split(folder / "predictions_test.csv")
            curves = pd.read_csv(folder / "learning_curves.csv", index_col=0)
            _validate(record, results, predictions)
            return cls(folder, record, results, predictions, curves)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{folder}: is not a complete run ({first_line(error)}): run its model script again, with --restart"
            ) from None

    @property
    def seed(self) -> int:
        return self.record["seed"]


def _validate(record: dict, results: dict, predictions: pd.DataFrame) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError where something that a report reads is missing."""
    missing = {f"{part}.{name}" for part, names in RECORD_KEYS.items() for name in names - record[part].keys()}
    if missing or not isinstance(record["seed"], int):
        raise ValueError(f"{RECORD} has no {', '.join(sorted(missing)) or 'seed'}")
    shlex.split(record["command"])
    test = results["test"]
    required = [(results["validation"], ["macro_f1"]), (test, [*EMOTION_METRICS, "intervals"])]
    for baseline in ("majority", "tfidf_logistic_regression"):
        required.append((results["baselines"][baseline], [*PRIMARY_METRICS["emotion"], "intervals"]))
    for scores in test.get("intensity", {}).get("predicted_label", {}).values():
        required.append((scores["micro"], INTENSITY_METRICS))
    missing = {metric for scores, metrics in required for metric in metrics if metric not in scores}
    if missing:
        raise ValueError(f"evaluation_results.json has no {', '.join(sorted(missing))}")
    targets = [target for target in INTENSITIES if target in predictions]
    columns = {"text", *targets, *(f"{target}_at_predicted" for target in targets)}
    if (
        len(predictions) != test["n"]
        or not columns <= {*predictions}
        or not {*predictions["label_name"], *predictions["predicted"]} <= {*label_names(predictions)}
    ):
        raise ValueError("predictions_test.csv has other examples, columns or labels than were tested")


def label_names(predictions: pd.DataFrame) -> list[str]:
    return [column.removeprefix("probability_") for column in predictions.filter(like="probability_")]
