"""Finished runs of one setting and several seeds together, and their test metrics with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from artificial_pain.data import examples
from artificial_pain.data.vocabulary import CALIBRATED, FITTED_CLASSIFIERS, INTENSITIES
from artificial_pain.evaluation import bootstrap, classification, predictions, regression
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.reporting import combine
from artificial_pain.reporting.run_files import INTENSITY_METRICS, Run
from artificial_pain.runs.status import RESUMABLE_FLAGS
from artificial_pain.storage import TASK_FOLDERS

FITTED = [*FITTED_CLASSIFIERS, "tfidf_ridge", "frozen_ridge"]  # the baselines that are tested against
# Where a metric can lie, if not from 0 to 1.
LIMITS = dict.fromkeys(["mse", "mae", *classification.PROPER], (0, np.inf)) | {"brier_score": (0, 2)}
LIMITS |= dict.fromkeys(["pearson", "spearman", "quadratic_weighted_kappa"], (-1, 1)) | {"r2": (-np.inf, 1)}
TRAINED_ON = "trained on"  # the setting of the processor and the precision


@dataclass(frozen=True)
class Metric:
    """Mean and sample standard deviation over the seeds, and the 95 % interval of the mean for other seeds and other
    examples; with one seed, for other examples.
    """

    mean: float | None  # None where the metric is not defined for one of the seeds
    deviation: float | None  # None where there is one seed
    interval: list[float] | None

    @classmethod
    def over_seeds(cls, name: str, results: Sequence[dict], resampled: Sequence[dict] = ()) -> "Metric":
        """results, resampled: for each seed its metrics of all examples and of the resamples.

        The interval of a single seed is the one in its results, or else that of the resamples.
        """
        values = [scores[name] for scores in results]
        if None in values:
            return cls(None, None, None)
        mean = float(np.mean(values))
        if len(values) == 1:
            interval = results[0].get("intervals", {}).get(name)
            return cls(mean, None, bootstrap.interval(resampled[0][name]) if resampled else interval)
        interval = bootstrap.compare(scores_of(name, results, resampled))["interval"] if resampled else None
        limits = LIMITS.get(name.removeprefix(CALIBRATED), (0, 1))  # two seeds can say nearly nothing
        return cls(mean, float(np.std(values, ddof=1)), interval and np.clip(interval, *limits).tolist())


@dataclass(frozen=True)
class Measure:
    """A metric of each seed, as tests need it."""

    scores: bootstrap.Scores
    summands: np.ndarray  # what each example adds to the sums, (seeds, n, summands)
    score: Callable[[np.ndarray], np.ndarray]  # sums (..., summands) to the metric (...)


def scores_of(name: str, results: Sequence[dict], resampled: Sequence[dict]) -> bootstrap.Scores:
    """A metric of several seeds, of all examples and of the resamples."""
    values = np.array([scores[name] for scores in results], float)
    return bootstrap.Scores(values, np.stack([scores[name] for scores in resampled]))


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
        self.corpus = corpus_name(self.first.record)
        self.label_names, self.targets = self.first.label_names, self.first.targets
        self.num_labels = len(self.label_names)

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
        of_data = ("max_length", "seed", "label_column", "deduplicate")
        settings |= {f"data's {flag}": self.data[flag] for flag in of_data}
        balanced = self.arguments["balanced"] and self.data["samples_per_label"]
        return settings | {"heads": self.heads, "balanced": balanced}

    def differences(self, other: "Group") -> set[str]:
        """The names of the settings in which two groups differ; those of regressors count if both have some."""
        names = {name for name, _ in self.settings.items() ^ other.settings.items()}
        return names if self.targets and other.targets else names - {"regressor_init", "regressor_outputs"}

    @cached_property
    def labels(self) -> np.ndarray:
        """True labels, (n,)."""
        return predictions.label_indices(self.first.predictions, "label_name", self.label_names)

    @cached_property
    def predicted_labels(self) -> np.ndarray:
        """Predicted labels, (seeds, n)."""
        labels = [predictions.label_indices(run.predictions, "predicted", self.label_names) for run in self.runs]
        return np.stack(labels)

    @cached_property
    def ensemble(self) -> "Group":
        """The seeds as one model, on each fold where there are some."""
        if self.first.folds:
            by_fold = zip(*(run.folds for run in self.runs), strict=True)
            return Group([combine.pool([combine.average(runs) for runs in by_fold])])
        return Group([combine.average(self.runs)])

    def baselines(self) -> dict[str, "Group"]:
        """The baselines that are fitted to the training split, by their names in the results."""
        names = [name for name in FITTED if name in self.first.results["baselines"]]
        return {name: Group([combine.as_run(run, name) for run in self.runs]) for name in names}

    def annotated(self, target: str) -> np.ndarray:
        """A target's annotation, (n,), NaN where missing."""
        return self.first.predictions[target].to_numpy(float)

    def predicted_intensity(
        self, target: str, reading: str = "predicted_label", calibrated: bool = False
    ) -> np.ndarray:
        """The models' predictions for a target in one of READINGS, (seeds, n)."""
        column = f"{CALIBRATED if calibrated else ''}{target}{READINGS[reading]}"
        return np.stack([run.predictions[column].to_numpy(float) for run in self.runs])

    @property
    def results(self) -> list[dict]:
        """The results of each run on the test split."""
        return [run.results["test"] for run in self.runs]

    @property
    def validation_macro_f1(self) -> Metric:
        """Macro-F1 on the validation split, by which settings are chosen."""
        return Metric.over_seeds("macro_f1", [run.results["validation"] for run in self.runs])

    @cached_property
    def resampled(self) -> list[dict]:
        """The metrics of the emotion in the resamples of the test examples, for each run."""
        resampled = []
        for run, predicted in zip(self.runs, self.predicted_labels, strict=True):
            shares = predictions.probabilities(run.predictions, self.label_names)
            resampled.append(classification.resampled_scores(self.labels, predicted, self.num_labels, shares))
        return resampled

    def emotion_metric(self, name: str) -> Metric:
        """A test metric of the emotion; of several seeds it has an interval if it is one of the `resampled`."""
        is_resampled = len(self.runs) > 1 and name in self.resampled[0]
        return Metric.over_seeds(name, self.results, self.resampled if is_resampled else ())

    def intensity_results(self, target: str, reading: str, calibrated: bool) -> list[dict]:
        """The test metrics of a target, for each run."""
        part = f"{CALIBRATED if calibrated else ''}intensity"
        return [results[part][reading][INTENSITIES[target]]["micro"] for results in self.results]

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """What is tested, by name: macro-F1, and the MAE of each target at the predicted emotion."""
        measures = {}
        if "macro_f1" in self.results[0]:  # a baseline of the intensities has no emotions
            summands = [classification.summands(self.labels, each, self.num_labels) for each in self.predicted_labels]
            scores = scores_of("macro_f1", self.results, self.resampled)
            measures["macro-F1"] = Measure(scores, np.stack(summands), classification.macro_f1)
        for target in self.targets if "intensity" in self.results[0] else ():
            known = ~np.isnan(self.annotated(target))
            if known.any():
                errors = np.abs(self.predicted_intensity(target) - self.annotated(target))[:, known] / known.sum()
                resampled = errors @ bootstrap.resample_counts(known.sum()).T
                scores = bootstrap.Scores(errors.sum(axis=1), resampled)
                measures[f"MAE, {INTENSITIES[target]}"] = Measure(scores, errors[:, :, None], lambda sums: sums[..., 0])
        return measures

    def intensity_metrics(self, target: str, reading: str, calibrated: bool = False) -> dict[str, Metric]:
        """The test metrics of a target in one of READINGS, by name."""
        reference, annotated = self.first.references[target], self.annotated(target)
        results = self.intensity_results(target, reading, calibrated)
        has_interval = len(self.runs) == 1 and "intervals" in results[0]
        predicted = () if has_interval else self.predicted_intensity(target, reading, calibrated)
        resampled = [regression.resampled_scores(annotated, outputs, reference) for outputs in predicted]
        return {name: Metric.over_seeds(name, results, resampled) for name in INTENSITY_METRICS}


def corpus_name(record: dict) -> str:
    """The name of the corpus folder of a run, without what changes no test example of all its folds."""
    tested = record["data"] | dict.fromkeys(["samples_per_label", "max_length", "fold"])
    return examples.corpus_name(record["arguments"]["dataset_name"], tested)


def hardware(record: dict) -> str:
    """The kind of processor and the precision of a run."""
    return f"{record['device']['name']}, {record['precision']}"


def task_name(record: dict) -> str:
    return "intensity" if "head_num" in record["arguments"] else "classification"


def heads_name(heads: int) -> str:
    return "one head" if heads == 1 else f"{heads} heads"


def paired_tests(group: Group, other: Group) -> dict[str, dict]:
    """The tests of `group` less `other` on the same test examples: of macro-F1, and of each target's MAE.

    By the name of the metric: what `bootstrap.compare` says of the settings, on all their seeds; and
    `p_value_of_models`, of the models that were trained, on the seeds that both have. Where they share none, that is on
    as many as both have. Without a p of the settings, the difference is of the same models.
    """
    shared = set(group.seeds) & set(other.seeds)
    rows = [[i for i, seed in enumerate(each.seeds) if not shared or seed in shared] for each in (group, other)]
    rows = [some[: min(map(len, rows))] for some in rows]
    tests = {}
    for name in [name for name in group.measures if name in other.measures]:
        ours, theirs = group.measures[name], other.measures[name]
        p_value = bootstrap.permutation_test(ours.score, ours.summands[rows[0]], theirs.summands[rows[1]])
        test = bootstrap.compare(ours.scores, theirs.scores)
        if test["p_value"] is None:
            test = bootstrap.compare(ours.scores.of(rows[0]), theirs.scores.of(rows[1]))
        tests[name] = test | {"p_value_of_models": p_value}
    return tests
