"""A finished run's files, as far as a report reads them."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from artificial_pain.data import text_csv
from artificial_pain.data.vocabulary import INTENSITIES, PROBABILITY
from artificial_pain.errors import as_user_error
from artificial_pain.evaluation.tables import PRIMARY_METRICS, SECONDARY_METRICS
from artificial_pain.runs.status import RECORD, finished_record

# The metrics of the report, with their headings.
EMOTION_METRICS = PRIMARY_METRICS["emotion"] | SECONDARY_METRICS["emotion"]
INTENSITY_METRICS = PRIMARY_METRICS["intensity"] | SECONDARY_METRICS["intensity"]
RESULTS, PREDICTIONS, CURVES = "evaluation_results.json", "predictions_test.csv", "learning_curves.csv"


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
        record, incomplete = finished_record(folder), f"{folder}: is not a complete run"
        remedy = "run its model script again, with --restart if that does not mend it"
        with as_user_error(f"{incomplete}: {RESULTS}", OSError, ValueError, remedy=remedy):
            results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        with as_user_error(f"{incomplete}: {PREDICTIONS}", OSError, ValueError, remedy=remedy):
            predictions = text_csv.read_split(folder / PREDICTIONS)
        with as_user_error(f"{incomplete}: {CURVES}", OSError, ValueError, remedy=remedy):
            curves = pd.read_csv(folder / CURVES, index_col=0)
        run = cls(folder, record, results, predictions, curves)
        with as_user_error(incomplete, ValueError, KeyError, TypeError, AttributeError, remedy=remedy):
            run._validate()
        return run

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
        required = [(RESULTS, self.results["validation"], ["macro_f1"])]
        columns = ["text", "label_name", "predicted", *(f"{target}_at_predicted" for target in self.targets)]
        required += [(RESULTS, test, [*EMOTION_METRICS, "intervals"]), (PREDICTIONS, self.predictions.columns, columns)]
        for name in ("majority", "tfidf_logistic_regression"):
            required.append((RESULTS, baselines.get(name, {}), [*PRIMARY_METRICS["emotion"], "intervals"]))
        for target in self.targets:
            scores = test["intensity"]["predicted_label"][INTENSITIES[target]]["micro"]
            required.append((RESULTS, scores, INTENSITY_METRICS))
        missing = [f"{key} in {file}" for file, part, keys in required for key in keys if key not in part]
        if missing or self.curves.empty:
            raise ValueError(f"there is no {', '.join(missing) or f'epoch in {CURVES}'}")
        labels = set(self.predictions["label_name"]) | set(self.predictions["predicted"])
        if len(self.predictions) != test["n"] or not labels <= set(self.label_names):
            raise ValueError(f"{PREDICTIONS} has other examples or labels than were tested")
        if not isinstance(self.record["seed"], int) or not isinstance(self.record["command"], str):
            raise ValueError(f"{RECORD} has another seed or command than a model script writes")
        shlex.split(self.record["command"])  # a report takes it apart
