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
from artificial_pain.runs.status import RECORD, finished_record

# The metrics of the report, with their headings.
EMOTION_METRICS = PRIMARY_METRICS["emotion"] | SECONDARY_METRICS["emotion"]
INTENSITY_METRICS = PRIMARY_METRICS["intensity"] | SECONDARY_METRICS["intensity"]
RECORD_KEYS = {  # the part of a record that a report reads
    "arguments": ["balanced", "dataset_name", "debug", "model_name", "revision"],
    "data": ["data_source", "fingerprint", "label_column", "max_length", "samples_per_label", "seed"],
}
PROBABILITY = "probability_"  # before a label, the name of a column of predictions


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
        """Raises UserError where there is no finished run, or a file is missing or not what the model script wrote."""
        record = finished_record(folder)
        try:
            results = json.loads((folder / "evaluation_results.json").read_text(encoding="utf-8"))
            predictions = text_csv.read_split(folder / "predictions_test.csv")
            curves = pd.read_csv(folder / "learning_curves.csv", index_col=0)
            run = cls(folder, record, results, predictions, curves)
            run._validate()
            return run
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            incomplete = f"{folder}: is not a complete run ({first_line(error)})"
            raise UserError(f"{incomplete}: run its model script again, with --restart") from None

    @property
    def seed(self) -> int:
        return self.record["seed"]

    @property
    def label_names(self) -> list[str]:
        return [name.removeprefix(PROBABILITY) for name in self.predictions if name.startswith(PROBABILITY)]

    @property
    def targets(self) -> list[str]:
        """The columns of the intensities that were predicted."""
        return [target for target in INTENSITIES if target in self.predictions]

    def _validate(self) -> None:
        """Raise ValueError, KeyError, TypeError or AttributeError where something that a report reads is missing."""
        test, baselines = self.results["test"], self.results["baselines"]
        required = [(self.record[part], keys) for part, keys in RECORD_KEYS.items()]
        required += [(self.record, ["seed", "command"]), (self.results["validation"], ["macro_f1"])]
        required += [(test, [*EMOTION_METRICS, "confusion_matrix", "intervals"])]
        for name in ("majority", "tfidf_logistic_regression"):
            required.append((baselines[name], [*PRIMARY_METRICS["emotion"], "intervals"]))
        for target in self.targets:
            required.append((test["intensity"]["predicted_label"][INTENSITIES[target]]["micro"], INTENSITY_METRICS))
        columns = ["text", "label_name", "predicted", *(f"{target}_at_predicted" for target in self.targets)]
        required.append((self.predictions.columns, columns))
        missing = [key for part, keys in required for key in keys if key not in part]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}")
        labels = set(self.predictions["label_name"]) | set(self.predictions["predicted"])
        if len(self.predictions) != test["n"] or not labels <= set(self.label_names):
            raise ValueError("predictions_test.csv has other examples or labels than were tested")
        if not isinstance(self.seed, int) or not isinstance(self.record["command"], str):
            raise ValueError(f"{RECORD} has another seed or command than a model script writes")
        shlex.split(self.record["command"])  # a report takes it apart
