"""Finished runs on disk, those of one setting and several seeds together, and their test metrics with intervals."""

import json
import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from artificial_pain.cli import TASK_FOLDERS
from artificial_pain.data import text_csv
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import UserError, first_line
from artificial_pain.evaluation import bootstrap, classification, regression
from artificial_pain.evaluation.tables import PRIMARY_METRICS, SECONDARY_METRICS
from artificial_pain.runs import run as run_state
from artificial_pain.runs.run import RECORD, RESUMABLE_FLAGS, checkpoints_folder

PARTS = {  # of a record, at least
    "arguments": {"balanced", "dataset_name", "debug", "model_name", "revision"},
    "data": {"data_source", "fingerprint", "label_column", "max_length", "samples_per_label", "seed"},
}
EMOTION_METRICS = [*PRIMARY_METRICS["emotion"], *SECONDARY_METRICS["emotion"]]
INTENSITY_METRICS = [*PRIMARY_METRICS["intensity"], *SECONDARY_METRICS["intensity"]]


@dataclass(frozen=True)
class Run:
    """A finished run's files, as far as a report reads them."""

    folder: Path
    record: dict
    results: dict
    predictions: pd.DataFrame  # of the test split
    curves: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Raises UserError where a file is not there, or is not what the model script wrote."""
        try:
            record, results = (
                json.loads((folder / name).read_text(encoding="utf-8")) for name in (RECORD, "evaluation_results.json")
            )
            predictions = text_csv.read_split(folder / "predictions_test.csv")
            curves = pd.read_csv(folder / "learning_curves.csv", index_col=0)
            _require_whole(record, results, predictions)
            return cls(folder, record, results, predictions, curves)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{folder}: is no whole run ({first_line(error)}): run its model script again, with --restart"
            ) from None

    @property
    def seed(self) -> int:
        return self.record["seed"]


def _require_whole(record: dict, results: dict, predictions: pd.DataFrame) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError where a report would not find what it reads."""
    lacking = [f"{part}.{name}" for part, names in PARTS.items() for name in names - record[part].keys()]
    if lacking or not isinstance(record["seed"], int):
        raise ValueError(f"{RECORD} has no {', '.join(sorted(lacking)) or 'seed'}")
    shlex.split(record["command"])
    test = results["test"]
    scores = [(results["validation"], ["macro_f1"]), (test, [*EMOTION_METRICS, "intervals"])]
    for name in ("majority", "tfidf_logistic_regression"):
        scores.append((results["baselines"][name], [*PRIMARY_METRICS["emotion"], "intervals"]))
    for of_target in test.get("intensity", {}).get("predicted_label", {}).values():
        scores.append((of_target["micro"], INTENSITY_METRICS))
    absent = {name for of_head, names in scores for name in names if name not in of_head}
    if absent:
        raise ValueError(f"evaluation_results.json has no {', '.join(sorted(absent))}")
    known = {name.removeprefix("probability_") for name in predictions.filter(like="probability_")}
    columns = {f"{target}{read}" for target in INTENSITIES if target in predictions for read in ("", "_at_predicted")}
    if (
        len(predictions) != test["n"]
        or not columns | {"text"} <= {*predictions}
        or not {*predictions["label_name"], *predictions["predicted"]} <= known
    ):
        raise ValueError("predictions_test.csv has other examples, columns or labels than were tested")


@dataclass(frozen=True)
class Metric:
    """Over the seeds, mean and sample standard deviation (None of one); the interval is over the examples."""

    mean: float | None  # None where it is not defined for one of the seeds
    deviation: float | None
    interval: list[float] | None

    @classmethod
    def of(cls, values: Sequence[float | None], samples: Sequence[np.ndarray] = ()) -> "Metric":
        """values: of each seed; samples: of each seed those of the resamples, (RESAMPLES,); none, and no interval."""
        if None in values:
            return cls(None, None, None)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        interval = bootstrap.interval(np.mean(samples, axis=0)) if len(samples) else None
        return cls(float(np.mean(values)), deviation, interval)


class Group:
    """The runs of one setting, which differ in their seeds alone, by seed."""

    def __init__(self, members: Sequence[Run]):
        self.runs = sorted(members, key=lambda run: run.seed)
        self.first = self.runs[0]
        self.arguments = self.first.record["arguments"]
        self.data = self.first.record["data"]
        self.task = task(self.first.record)
        self.heads = self.arguments.get("head_num", 1)
        self.encoder = self.first.folder.parent.name
        self.root = self.first.folder.parents[2]
        examples = self.first.predictions
        self.label_names = [name.removeprefix("probability_") for name in examples.filter(like="probability_")]
        self.targets = [target for target in INTENSITIES if target in examples]

    def name(self, with_root: bool) -> str:
        heads = "one head" if self.heads == 1 else f"{self.heads} heads"
        parts = [self.encoder, heads, *(["balanced"] if self.arguments["balanced"] else [])]
        parts += ["--debug"] if self.arguments["debug"] else []
        root = f" ({self.root.name})" if with_root and self.root not in TASK_FOLDERS.values() else ""
        return ", ".join(parts) + root

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def validation(self) -> float:
        """Mean macro-F1 on the validation split, by which settings are chosen."""
        return float(np.mean([run.results["validation"]["macro_f1"] for run in self.runs]))

    @property
    def examples(self) -> pd.DataFrame:
        """What the runs were tested on: the index, texts and labels of the test examples."""
        return self.first.predictions[["text", "label_name"]]

    @property
    def settings(self) -> dict:
        """What makes it what it is: of the model script's flags and the dataloader's, those that matter."""
        apart = RESUMABLE_FLAGS | {"seed", "head_num", "balanced"}
        return {
            **{flag: value for flag, value in self.arguments.items() if flag not in apart},
            "heads": self.heads,
            "balanced": self.arguments["balanced"] and self.data["samples_per_label"],
            **{f"data's {flag}": self.data[flag] for flag in ("max_length", "seed", "label_column")},
        }

    def differences(self, other: "Group") -> set[str]:
        """The names of the settings that two groups do not share."""
        ours, theirs = self.settings, other.settings
        return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}

    @cached_property
    def labels(self) -> np.ndarray:
        """True labels, (n,)."""
        return self._indices(self.first, "label_name")

    @cached_property
    def predicted(self) -> np.ndarray:
        """Predicted labels, (seeds, n)."""
        return np.stack([self._indices(run, "predicted") for run in self.runs])

    def _indices(self, run: Run, column: str) -> np.ndarray:
        return run.predictions[column].map(self.label_names.index).to_numpy()

    def annotated(self, target: str) -> np.ndarray:
        """A target's annotation, (n,), NaN where missing."""
        return self.first.predictions[target].to_numpy(float)

    def read(self, target: str) -> np.ndarray:
        """What the models say of a target, at the emotion that they predict: (seeds, n)."""
        return np.stack([run.predictions[f"{target}_at_predicted"].to_numpy(float) for run in self.runs])

    @cached_property
    def emotion(self) -> dict[str, Metric]:
        """The test metrics of the emotion, by name."""
        drawn, samples = bootstrap.bootstrap_indices(len(self.labels)), defaultdict(list)
        for run, predicted in zip(self.runs, self.predicted, strict=True):
            counts = classification.confusion_counts(self.labels[drawn], predicted[drawn], len(self.label_names))
            scores = classification.classification_scores(counts, classification.class_mask(counts, self.labels))
            confidence = run.predictions.filter(like="probability_").to_numpy().max(axis=1)
            correct = predicted == self.labels
            scores["expected_calibration_error"] = classification.calibration_error(confidence[drawn], correct[drawn])
            for name in EMOTION_METRICS:
                samples[name].append(scores[name])
        return {
            name: Metric.of([run.results["test"][name] for run in self.runs], samples[name]) for name in EMOTION_METRICS
        }

    @cached_property
    def intensity(self) -> dict[str, dict[str, Metric]]:
        """The test metrics of each target, read at the predicted emotion, by name."""
        return {target: self._intensity(target) for target in self.targets}

    def _intensity(self, target: str) -> dict[str, Metric]:
        name, annotated = INTENSITIES[target], self.annotated(target)
        known = ~np.isnan(annotated)
        if not known.any():
            return dict.fromkeys(INTENSITY_METRICS, Metric(None, None, None))
        drawn, samples = bootstrap.bootstrap_indices(int(known.sum())), defaultdict(list)
        for read in self.read(target):
            scores = regression.regression_scores(annotated[known][drawn], read[known][drawn], regression.SCALES[name])
            for metric in INTENSITY_METRICS:
                samples[metric].append(scores[metric])
        of_runs = [run.results["test"]["intensity"]["predicted_label"][name]["micro"] for run in self.runs]
        return {metric: Metric.of([one[metric] for one in of_runs], samples[metric]) for metric in INTENSITY_METRICS}


def find(roots: Sequence[Path]) -> tuple[list[Group], dict[Path, dict]]:
    """The groups of all finished runs below the roots, and the records of those that were begun and not finished, by
    their folders.

    Raises UserError where a run's files are not whole.
    """
    records = sorted({path.resolve() for root in roots for path in root.rglob(RECORD)})
    begun = [path for path in records if path.parent == checkpoints_folder(path.parents[1])]
    groups = defaultdict(list)
    for folder in [path.parent for path in records if path not in begun]:
        run = Run.read(folder)
        arguments = {
            name: value for name, value in run.record["arguments"].items() if name not in RESUMABLE_FLAGS | {"seed"}
        }
        setting = (
            folder.parent,
            sorted(arguments.items()),
            [run.record["data"][part] for part in ("fingerprint", "max_length")],
        )
        groups[repr(setting)].append(run)
    folders = [path.parents[1] for path in begun if not (path.parents[1] / RECORD).exists()]  # else it is trained anew
    unfinished = {folder: run_state.unfinished(folder) for folder in folders}
    return [Group(members) for members in groups.values()], unfinished


def task(record: dict) -> str:
    return "intensity" if "head_num" in record["arguments"] else "classification"


def paired(ours: Group, theirs: Group) -> dict[str, dict]:
    """The paired tests of two groups with the same test examples: of macro-F1, and of each target's MAE.

    By the name of what is tested. Of the runs whose seeds both have; where there are none, of as many as both have.
    """
    common = sorted(set(ours.seeds) & set(theirs.seeds))
    mine, others = (
        [group.seeds.index(seed) for seed in common] if common else range(len(group.runs)) for group in (ours, theirs)
    )
    classes = len(ours.label_names)

    def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return classification.macro_f1(labels, predicted, classes)

    tests = {"macro-F1": bootstrap.paired_test(macro_f1, ours.labels, ours.predicted[mine], theirs.predicted[others])}
    for target in [target for target in ours.targets if target in theirs.targets]:
        known = ~np.isnan(ours.annotated(target))
        if not known.any():
            continue
        tests[f"MAE, {INTENSITIES[target]}"] = bootstrap.paired_test(
            mean_absolute_error,
            ours.annotated(target)[known],
            ours.read(target)[mine][:, known],
            theirs.read(target)[others][:, known],
        )
    return tests


def mean_absolute_error(annotated: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of (..., n) each: (...)."""
    return np.abs(predicted - annotated).mean(axis=-1)
