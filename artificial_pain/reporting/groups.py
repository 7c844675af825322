"""Finished runs of one setting and several seeds together, and their test metrics with intervals."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from artificial_pain.data import examples
from artificial_pain.data.vocabulary import CALIBRATED, INTENSITIES, PROBABILITY
from artificial_pain.evaluation import bootstrap, classification, regression
from artificial_pain.reporting import archive
from artificial_pain.reporting.run_files import EMOTION_METRICS, INTENSITY_METRICS, Run
from artificial_pain.runs.status import RECORD, RESUMABLE_FLAGS, checkpoints_folder, unfinished_record
from artificial_pain.storage import TASK_FOLDERS

TRAINED_ON = "trained on"  # the setting of the processor and the precision


@dataclass(frozen=True)
class Metric:
    """Mean and sample standard deviation over the seeds, and the 95 % interval of the mean over the examples."""

    mean: float | None  # None where the metric is not defined for one of the seeds
    deviation: float | None  # None where there is one seed
    interval: list[float] | None

    @classmethod
    def over_seeds(cls, values: Sequence[float | None], resampled: Sequence[np.ndarray] = ()) -> "Metric":
        """values: one per seed. resampled: each seed's values in the resamples, (RESAMPLES,), for the interval."""
        if None in values:
            return cls(None, None, None)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        interval = bootstrap.interval(np.mean(resampled, axis=0)) if len(resampled) else None
        return cls(float(np.mean(values)), deviation, interval)


class Group:
    """The runs of one setting, by seed: they differ in nothing else."""

    def __init__(self, runs: Sequence[Run]):
        self.runs = sorted(runs, key=lambda run: run.record["seed"])
        self.seeds = [run.record["seed"] for run in self.runs]
        self.first = self.runs[0]
        self.arguments = self.first.record["arguments"]
        self.data = self.first.record["data"]
        self.task = task_name(self.first.record)
        self.heads = self.arguments.get("head_num", 1)
        self.root = self.first.folder.parents[2]  # root/corpus/encoder/run
        # The name of the corpus folder, without what changes no test example.
        tested = self.data | dict.fromkeys(["samples_per_label", "max_length"])
        self.corpus = examples.corpus_name(self.arguments["dataset_name"], tested)
        self.label_names, self.targets = self.first.label_names, self.first.targets

    def name(self, with_root: bool) -> str:
        parts = [Path(self.arguments["model_name"]).name, heads_name(self.heads)]
        parts += ["balanced"] if self.arguments["balanced"] else []
        parts += ["--debug"] if self.arguments["debug"] else []
        root = f" ({self.root.name})" if with_root and self.root not in TASK_FOLDERS.values() else ""
        return ", ".join(parts) + root

    @property
    def settings(self) -> dict:
        """The flags of the model script and of the dataloader that can change the results."""
        excluded = RESUMABLE_FLAGS | {"seed", "head_num", "balanced"}
        settings = {flag: value for flag, value in self.arguments.items() if flag not in excluded}
        settings[TRAINED_ON] = hardware(self.first.record)
        settings |= {
            f"data's {flag}": self.data[flag] for flag in ("max_length", "seed", "label_column", "deduplicate")
        }
        balanced = self.arguments["balanced"] and self.data["samples_per_label"]
        return settings | {"heads": self.heads, "balanced": balanced}

    def differences(self, other: "Group") -> set[str]:
        """The names of the settings in which two groups differ; those of regressors count if both have some."""
        names = {name for name, _ in self.settings.items() ^ other.settings.items()}
        return names if self.targets and other.targets else names - {"regressor_init", "regressor_outputs"}

    @cached_property
    def labels(self) -> np.ndarray:
        """True labels, (n,)."""
        return self.first.predictions["label_name"].map(self.label_names.index).to_numpy()

    @cached_property
    def predicted_labels(self) -> np.ndarray:
        """Predicted labels, (seeds, n)."""
        return np.stack([run.predictions["predicted"].map(self.label_names.index) for run in self.runs])

    def annotated(self, target: str) -> np.ndarray:
        """A target's annotation, (n,), NaN where missing."""
        return self.first.predictions[target].to_numpy(float)

    def predicted_intensity(
        self, target: str, reading: str = "predicted_label", calibrated: bool = False
    ) -> np.ndarray:
        """The models' predictions for a target in one of READINGS, (seeds, n)."""
        return np.stack([run.predicted_intensity(target, reading, calibrated) for run in self.runs])

    @property
    def validation_macro_f1(self) -> Metric:
        """Macro-F1 on the validation split, by which settings are chosen."""
        return Metric.over_seeds([run.results["validation"]["macro_f1"] for run in self.runs])

    @cached_property
    def emotion_metrics(self) -> dict[str, Metric]:
        """The test metrics of the emotion, by name."""
        resampled = []
        for run, predicted in zip(self.runs, self.predicted_labels, strict=True):
            raw = run.predictions[[f"{PROBABILITY}{name}" for name in self.label_names]].to_numpy(float)
            probabilities = {"": raw, CALIBRATED: run.calibration.probabilities(raw)}
            scores = classification.resampled_scores(self.labels, predicted, len(self.label_names), probabilities)
            resampled.append(scores)
        return metrics_over_seeds(EMOTION_METRICS, [run.results["test"] for run in self.runs], resampled)

    def intensity_metrics(self, target: str, reading: str, calibrated: bool = False) -> dict[str, Metric]:
        """The test metrics of a target in one of READINGS, by name."""
        name, annotated = INTENSITIES[target], self.annotated(target)
        part = f"{CALIBRATED if calibrated else ''}intensity"
        reference = regression.Reference(regression.SCALES[name], self.first.results["train_mean"][name])
        predicted = self.predicted_intensity(target, reading, calibrated)
        resampled = [regression.resampled_scores(annotated, outputs, reference) for outputs in predicted]
        results = [run.results["test"][part][reading][name]["micro"] for run in self.runs]
        return metrics_over_seeds(INTENSITY_METRICS, results, resampled)


def metrics_over_seeds(names: Sequence[str], results: Sequence[dict], resampled: Sequence[dict]) -> dict[str, Metric]:
    """Metrics by name.

    results, resampled: for each seed its metrics of all examples and of the resamples; {} where nothing is annotated.
    """
    return {
        name: Metric.over_seeds([scores[name] for scores in results], [scores[name] for scores in resampled if scores])
        for name in names
    }


def find_runs(roots: Sequence[Path]) -> tuple[list[Group], dict[Path, dict]]:
    """The groups of all finished runs below the roots; and the records of the unfinished ones, by their folders.

    A root is a folder, or a file of `archive`. Raises UserError where a run's files are damaged or incomplete.
    """
    runs: dict[Path, Run] = {}
    records = {}
    for root in [root for root in roots if root.is_file()]:
        runs |= {run.folder: run for run in archive.read(root)}
    folders = {path.resolve().parent for root in roots for path in root.rglob(RECORD)}
    for folder in sorted(folder for folder in folders if not folder.name.startswith(".")):  # as .partial, being written
        if folder != checkpoints_folder(folder.parent):
            runs[folder] = Run.read(folder)
        elif not (folder.parent / RECORD).exists():  # else it is a finished run that is being trained again
            records[folder.parent] = unfinished_record(folder.parent)
    groups, excluded = defaultdict(list), RESUMABLE_FLAGS | {"seed"}
    for folder, run in runs.items():
        arguments = {name: value for name, value in run.record["arguments"].items() if name not in excluded}
        data = [run.record["data"][name] for name in ("fingerprint", "max_length")]
        groups[repr((folder.parent, sorted(arguments.items()), data, hardware(run.record)))].append(run)
    return [Group(runs) for runs in groups.values()], records


def hardware(record: dict) -> str:
    """The kind of processor and the precision of a run."""
    return f"{record['device']['name']}, {record['precision']}"


def task_name(record: dict) -> str:
    return "intensity" if "head_num" in record["arguments"] else "classification"


def heads_name(heads: int) -> str:
    return "one head" if heads == 1 else f"{heads} heads"


def paired_tests(group: Group, other: Group) -> dict[str, dict]:
    """The paired tests of `group` less `other` on the same test examples: of macro-F1, and of each target's MAE.

    By the name of the metric. On the seeds that both have; where they share none, on as many as both have.
    """
    seeds = set(group.seeds) & set(other.seeds) or set(group.seeds) | set(other.seeds)
    group, other = (Group([run for run in each.runs if run.record["seed"] in seeds]) for each in (group, other))
    macro_f1 = partial(classification.macro_f1, classes=len(group.label_names))
    tests = {"macro-F1": bootstrap.paired_test(macro_f1, group.labels, group.predicted_labels, other.predicted_labels)}
    for target in [target for target in group.targets if target in other.targets]:
        annotated = group.annotated(target)
        mask = ~np.isnan(annotated)
        if mask.any():
            predicted = [each.predicted_intensity(target)[:, mask] for each in (group, other)]
            test = bootstrap.paired_test(mean_absolute_error, annotated[mask], *predicted)
            tests[f"MAE, {INTENSITIES[target]}"] = test
    return tests


def mean_absolute_error(annotated: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Over the last axis: (..., n) to (...)."""
    return np.abs(predicted - annotated).mean(axis=-1)
