"""Finished runs of one setting and several seeds together, and their test metrics with intervals."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation import bootstrap, classification, regression
from artificial_pain.reporting.run_files import EMOTION_METRICS, INTENSITY_METRICS, Run, label_names
from artificial_pain.runs.status import RECORD, RESUMABLE_FLAGS, checkpoints_folder, unfinished
from artificial_pain.storage import TASK_FOLDERS


@dataclass(frozen=True)
class Metric:
    """Mean and sample standard deviation over the seeds, and the 95 % interval of the mean over the examples."""

    mean: float | None  # None where the metric is not defined for one of the seeds
    deviation: float | None  # None where there is one seed
    interval: list[float] | None

    @classmethod
    def over_seeds(cls, values: Sequence[float | None], resampled: Sequence[np.ndarray] = ()) -> "Metric":
        """values: one a seed. resampled: for each seed the values in the resamples, (RESAMPLES,); without them there is
        no interval.
        """
        if None in values:
            return cls(None, None, None)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        interval = bootstrap.interval(np.mean(resampled, axis=0)) if len(resampled) else None
        return cls(float(np.mean(values)), deviation, interval)


class Group:
    """The runs of one setting, by seed: they differ in nothing else."""

    def __init__(self, runs: Sequence[Run]):
        self.runs = sorted(runs, key=lambda run: run.seed)
        self.first = self.runs[0]
        self.arguments = self.first.record["arguments"]
        self.data = self.first.record["data"]
        self.task = task_name(self.first.record)
        self.heads = self.arguments.get("head_num", 1)
        self.encoder = self.first.folder.parent.name
        self.root = self.first.folder.parents[2]
        self.label_names = label_names(self.first.predictions)
        self.targets = [target for target in INTENSITIES if target in self.first.predictions]

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
    def validation(self) -> Metric:
        """Macro-F1 on the validation split, by which settings are chosen."""
        return Metric.over_seeds([run.results["validation"]["macro_f1"] for run in self.runs])

    @property
    def examples(self) -> pd.DataFrame:
        """Index, texts and labels of the test examples."""
        return self.first.predictions[["text", "label_name"]]

    @property
    def settings(self) -> dict:
        """The flags of the model script and of the dataloader that can change the results."""
        excluded = RESUMABLE_FLAGS | {"seed", "head_num", "balanced"}
        return {
            **{flag: value for flag, value in self.arguments.items() if flag not in excluded},
            "heads": self.heads,
            "balanced": self.arguments["balanced"] and self.data["samples_per_label"],
            **{f"data's {flag}": self.data[flag] for flag in ("max_length", "seed", "label_column")},
        }

    def differences(self, other: "Group") -> set[str]:
        """The names of the settings in which two groups differ."""
        names = self.settings.keys() | other.settings.keys()
        return {name for name in names if self.settings.get(name) != other.settings.get(name)}

    @cached_property
    def labels(self) -> np.ndarray:
        """True labels, (n,)."""
        return self._label_indices(self.first, "label_name")

    @cached_property
    def predicted_labels(self) -> np.ndarray:
        """Predicted labels, (seeds, n)."""
        return np.stack([self._label_indices(run, "predicted") for run in self.runs])

    def _label_indices(self, run: Run, column: str) -> np.ndarray:
        return run.predictions[column].map(self.label_names.index).to_numpy()

    def annotated(self, target: str) -> np.ndarray:
        """A target's annotation, (n,), NaN where missing."""
        return self.first.predictions[target].to_numpy(float)

    def predicted_intensity(self, target: str) -> np.ndarray:
        """The models' output for a target at the emotion that they predict, (seeds, n)."""
        return np.stack([run.predictions[f"{target}_at_predicted"].to_numpy(float) for run in self.runs])

    @cached_property
    def emotion(self) -> dict[str, Metric]:
        """The test metrics of the emotion, by name."""
        drawn, resampled = bootstrap.bootstrap_indices(len(self.labels)), defaultdict(list)
        for run, predicted in zip(self.runs, self.predicted_labels, strict=True):
            counts = classification.confusion_counts(self.labels[drawn], predicted[drawn], len(self.label_names))
            scores = classification.classification_scores(counts, classification.class_mask(counts, self.labels))
            confidence = run.predictions.filter(like="probability_").to_numpy().max(axis=1)
            correct = predicted == self.labels
            scores["expected_calibration_error"] = classification.calibration_error(confidence[drawn], correct[drawn])
            for metric in EMOTION_METRICS:
                resampled[metric].append(scores[metric])
        tests = [run.results["test"] for run in self.runs]
        return {
            metric: Metric.over_seeds([test[metric] for test in tests], resampled[metric]) for metric in EMOTION_METRICS
        }

    @cached_property
    def intensity(self) -> dict[str, dict[str, Metric]]:
        """The test metrics of each target, read at the predicted emotion, by name."""
        return {target: self._intensity(target) for target in self.targets}

    def _intensity(self, target: str) -> dict[str, Metric]:
        name, annotated = INTENSITIES[target], self.annotated(target)
        mask = ~np.isnan(annotated)
        if not mask.any():
            return dict.fromkeys(INTENSITY_METRICS, Metric(None, None, None))
        drawn, resampled = bootstrap.bootstrap_indices(int(mask.sum())), defaultdict(list)
        for predicted in self.predicted_intensity(target)[:, mask]:
            scores = regression.regression_scores(annotated[mask][drawn], predicted[drawn], regression.SCALES[name])
            for metric in INTENSITY_METRICS:
                resampled[metric].append(scores[metric])
        tests = [run.results["test"]["intensity"]["predicted_label"][name]["micro"] for run in self.runs]
        return {
            metric: Metric.over_seeds([test[metric] for test in tests], resampled[metric])
            for metric in INTENSITY_METRICS
        }


def find_runs(roots: Sequence[Path]) -> tuple[list[Group], dict[Path, dict]]:
    """The groups of all finished runs below the roots; and the records of the unfinished ones, by their folders.

    Raises UserError where a run's files are damaged or incomplete.
    """
    records = sorted({path.resolve() for root in roots for path in root.rglob(RECORD)})
    started = [path for path in records if path.parent == checkpoints_folder(path.parents[1])]
    groups = defaultdict(list)
    for folder in [path.parent for path in records if path not in started]:
        run = Run.read(folder)
        excluded = RESUMABLE_FLAGS | {"seed"}
        arguments = {name: value for name, value in run.record["arguments"].items() if name not in excluded}
        data = [run.record["data"][name] for name in ("fingerprint", "max_length")]
        groups[repr((folder.parent, sorted(arguments.items()), data))].append(run)
    # A finished run that is being trained again is not unfinished.
    folders = [path.parents[1] for path in started if not (path.parents[1] / RECORD).exists()]
    return [Group(runs) for runs in groups.values()], {folder: unfinished(folder) for folder in folders}


def task_name(record: dict) -> str:
    return "intensity" if "head_num" in record["arguments"] else "classification"


def paired_tests(group: Group, other: Group) -> dict[str, dict]:
    """The paired tests of `group` less `other` on the same test examples: of macro-F1, and of each target's MAE.

    By the name of the metric. On the seeds that both have; where they share none, on as many as both have.
    """
    common = sorted(set(group.seeds) & set(other.seeds))
    rows, other_rows = (
        [each.seeds.index(seed) for seed in common] if common else range(len(each.runs)) for each in (group, other)
    )
    num_labels = len(group.label_names)

    def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return classification.macro_f1(labels, predicted, num_labels)

    predicted, other_predicted = group.predicted_labels[rows], other.predicted_labels[other_rows]
    tests = {"macro-F1": bootstrap.paired_test(macro_f1, group.labels, predicted, other_predicted)}
    for target in [target for target in group.targets if target in other.targets]:
        annotated = group.annotated(target)
        mask = ~np.isnan(annotated)
        if mask.any():
            predicted = group.predicted_intensity(target)[rows][:, mask]
            other_predicted = other.predicted_intensity(target)[other_rows][:, mask]
            tests[f"MAE, {INTENSITIES[target]}"] = bootstrap.paired_test(
                mean_absolute_error, annotated[mask], predicted, other_predicted
            )
    return tests


def mean_absolute_error(annotated: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Over the last axis: (..., n) to (...)."""
    return np.abs(predicted - annotated).mean(axis=-1)
