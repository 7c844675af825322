"""A finished run's files, as far as a report reads them."""

import json
import shlex
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd

from artificial_pain.data import text_csv
from artificial_pain.data.vocabulary import CALIBRATED, FITTED_CLASSIFIERS, INTENSITIES, PROBABILITY
from artificial_pain.errors import as_user_error
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.evaluation.regression import SCALES, Reference
from artificial_pain.evaluation.tables import PRIMARY_METRICS, SECONDARY_METRICS
from artificial_pain.runs.status import RECORD, finished_record, read_readings, setting

# The metrics of the report, with their headings.
EMOTION_METRICS = PRIMARY_METRICS["emotion"] | {"weighted_f1": "weighted F1"}
PROBABILITY_METRICS = SECONDARY_METRICS["emotion"]
INTENSITY_METRICS = PRIMARY_METRICS["intensity"] | SECONDARY_METRICS["intensity"]
CALIBRATED_METRICS = {"mae": "calibrated MAE", "r2": "calibrated R2"}  # of the intensities too
RESULTS, CURVES = "evaluation_results.json", "learning_curves.csv"
PREDICTIONS, VALIDATION = "predictions_test.csv", "predictions_validation.csv"


@dataclass(frozen=True)
class Run:
    """A finished run: its record, metrics, predictions and learning curves."""

    folder: Path
    record: dict
    results: dict
    predictions: pd.DataFrame  # of the test split
    validation: pd.DataFrame  # the predictions of the validation split
    curves: pd.DataFrame
    readings: set[str]  # the settings that were evaluated on this test split, by `status.setting`
    folds: tuple["Run", ...] = ()  # the runs of single folds that were pooled into this one

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Raises UserError where there is no finished run, or a file is missing or not what the model script wrote."""
        record, incomplete = finished_record(folder), f"{folder}: is not a complete run"
        remedy = "run its model script again, with --restart if that does not mend it"
        with as_user_error(f"{incomplete}: {RESULTS}", OSError, ValueError, remedy=remedy):
            results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        predictions = []
        for name in (PREDICTIONS, VALIDATION):
            with as_user_error(f"{incomplete}: {name}", OSError, ValueError, remedy=remedy):
                predictions.append(text_csv.read_split(folder / name))
        with as_user_error(f"{incomplete}: {CURVES}", OSError, ValueError, remedy=remedy):
            curves = pd.read_csv(folder / CURVES, index_col=0)
        run = cls(folder, record, results, *predictions, curves, read_readings(folder) | {setting(record)})
        with as_user_error(incomplete, ValueError, KeyError, TypeError, AttributeError, remedy=remedy):
            run.validate()
        return run

    @property
    def label_names(self) -> list[str]:
        return [name.removeprefix(PROBABILITY) for name in self.predictions if name.startswith(PROBABILITY)]

    @property
    def targets(self) -> list[str]:
        """The columns of the intensities that were predicted."""
        return [target for target in INTENSITIES if target in self.predictions]

    @property
    def references(self) -> dict[str, Reference]:
        """What the metrics of each target refer to."""
        means = self.results["train_mean"]
        return {target: Reference(SCALES[INTENSITIES[target]], means[INTENSITIES[target]]) for target in self.targets}

    def validate(self) -> None:
        """Raise ValueError, KeyError, TypeError or AttributeError where something that a report reads is missing."""
        test, baselines = self.results["test"], self.results["baselines"]
        required = [(RESULTS, self.results["validation"], ["macro_f1"])]
        required.append((RESULTS, self.results, ["calibration", "train_mean"]))
        columns = ["label_name", "predicted", *(f"{name}{end}" for name in self.targets for end in READINGS.values())]
        required += [(PREDICTIONS, self.predictions.columns, columns), (VALIDATION, self.validation.columns, columns)]
        required += [(RESULTS, test, [*EMOTION_METRICS, *PROBABILITY_METRICS, "intervals"])]
        for name in ("majority", *FITTED_CLASSIFIERS):
            required.append((RESULTS, baselines.get(name, {}), [*PRIMARY_METRICS["emotion"], "intervals"]))
        required.append((PREDICTIONS, self.predictions.columns, FITTED_CLASSIFIERS))
        for target, part, reading in product(self.targets, ("intensity", f"{CALIBRATED}intensity"), READINGS):
            required.append((RESULTS, test[part][reading][INTENSITIES[target]]["micro"], INTENSITY_METRICS))
        missing = [f"{key} in {file}" for file, part, keys in required for key in keys if key not in part]
        if missing or self.curves.empty:
            raise ValueError(f"there is no {', '.join(missing) or f'epoch in {CURVES}'}")
        labels = set(self.predictions["label_name"]) | set(self.predictions["predicted"])
        if len(self.predictions) != test["n"] or not labels <= set(self.label_names):
            raise ValueError(f"{PREDICTIONS} has other examples or labels than were tested")
        if not isinstance(self.record["seed"], int) or not isinstance(self.record["command"], str):
            raise ValueError(f"{RECORD} has another seed or command than a model script writes")
        shlex.split(self.record["command"])  # a report takes it apart
