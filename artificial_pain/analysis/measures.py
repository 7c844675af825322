"""All that is measured of a subject's representations, by target and by encoder: random, before and after training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np
import pandas as pd
from tqdm import tqdm

from artificial_pain.analysis import axis, probes, similarity
from artificial_pain.analysis.states import BEFORE, Severity, States, Subject
from artificial_pain.data import tokenization
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import UserError
from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.bootstrap import RESAMPLES, Scores
from artificial_pain.modeling.model import EmotionModel

AXES = ["initial_intensity", "final_intensity"]  # each has an axis, where it is annotated
TITLES = {"label_name": "label", "problem_type": "problem", "intensity_change": "change"}  # of the targets
TITLES |= {"initial_intensity": "initial intensity", "final_intensity": "final intensity"}


def without_resamples(values: Sequence[float]) -> Scores:
    """Scores of values (seeds,) that are not resampled over the examples: their interval is over the seeds alone."""
    return Scores(np.array(values), np.tile(np.array(values)[:, None], RESAMPLES))


@dataclass(frozen=True)
class Similarity:
    """Spearman's correlation of the dissimilarities of states and of a target."""

    layers: np.ndarray  # of each layer, the mean over the seeds
    last: Scores  # of the last layer
    given_length: Scores  # the same, partial: given how much the texts differ in length
    p_value: float  # of that, for the mean of the seeds
    p_value_holm: float  # corrected for all states and distances of the target


@dataclass(frozen=True)
class Axis:
    """The axis of an intensity in the last layer of an encoder, and what its heads lose without it."""

    projection: Scores  # r of the place along the axis and the annotated intensity
    severity: Scores | None  # rho of the place along the axis and the severity of another corpus' texts
    angles: np.ndarray  # between the axis and the labels' directions in degrees, the mean of the seeds, (labels,)
    random_range: list[float]  # between which 95 % of random directions are, in degrees
    ablations: list[pd.DataFrame]  # `axis.ablate` of each seed; none of an encoder that has no heads


class Measures:
    """What is measured of a subject, and of other texts whose severity is known."""

    def __init__(self, subject: Subject, severity: Severity | None = None):
        """Raises UserError where a split has a single label."""
        self.subject, self.severity = subject, severity
        self.states, self.texts = subject.states, subject.splits.texts
        self.test, self.label_names = self.texts["test"], subject.splits.label_names
        if "label_name" not in probes.targets(self.texts):
            raise UserError("a split has examples of one label alone: nothing can be read from the states")
        self.intensities = [name for name in probes.targets(self.texts) if name in INTENSITIES]

    @cached_property
    def probes(self) -> dict[str, dict[str, list[probes.Probe]]]:
        """By target and the name of the states: a probe of each layer."""
        return probes.probe(self.states, self.texts)

    @cached_property
    def similarities(self) -> dict[str, dict[tuple[str, str], Similarity]]:
        """By target, then by distance and the name of the states."""
        targets = tqdm(["label_name", *self.intensities], "Similarity", unit=" targets", disable=None)
        return {target: self._similarities(target) for target in targets}

    def _similarities(self, target: str) -> dict[tuple[str, str], Similarity]:
        known = self.test[target].notna().to_numpy()
        differences = similarity.differences(self.test[target][known].to_numpy())
        lengths = tokenization.lengths(self.subject.splits.tokenized["test"])[known]
        model, length = (similarity.ranks(each) for each in (differences, similarity.differences(lengths)))
        model_given, once = similarity.partial(model, length), np.ones((1, known.sum()))
        found, residuals = {}, {}
        for distance, name in product(similarity.DISTANCES, self.states):
            of_layers = []
            for layers in zip(*(_layers(each) for each in self.states[name]), strict=True):
                ranked = [similarity.ranks(similarity.dissimilarities(layer[known], distance)) for layer in layers]
                of_layers.append(np.mean([similarity.correlations(each, model, once) for each in ranked]))
            given = [similarity.partial(each, length) for each in ranked]  # of the last layer, as what follows
            residuals[distance, name] = np.mean([each / np.linalg.norm(each) for each in given], axis=0)
            last = Scores.stack([similarity.correlate(each, model) for each in ranked])
            partial = Scores.stack([similarity.correlate(each, model_given) for each in given])
            found[distance, name] = np.array(of_layers), last, partial
        p_values = similarity.permutation_p_values(residuals, model_given)
        corrected = bootstrap.holm(list(p_values.values())).tolist()
        return {
            key: Similarity(*found[key], p_value, of_all)
            for (key, p_value), of_all in zip(p_values.items(), corrected, strict=True)
        }

    @cached_property
    def cka_with_before(self) -> dict[str, np.ndarray]:
        """By setting: CKA of each layer before fine-tuning (rows) with each after it, (seeds, layers, layers)."""
        before = _layers(self.states[BEFORE][0])

        def cka(after: np.ndarray) -> list:
            return [[similarity.linear_cka(x, y) for y in after] for x in before]

        return {name: np.array([cka(_layers(each)) for each in self.states[name]]) for name in self.subject.groups}

    @cached_property
    def cka_by_layer(self) -> dict[str, np.ndarray]:
        """CKA of two runs' same layers, the mean over pairs of runs, (layers,): of the seeds of a setting, and of two
        settings with the same seed.
        """
        pairs = {f"{name}, between seeds": list(combinations(self.states[name], 2)) for name in self.subject.groups}
        for one, other in combinations(self.subject.groups, 2):
            pairs[f"{one} and {other}"] = [
                (self.states[one][i], self.states[other][j]) for i, j in self.same_seeds(one, other)
            ]

        def cka(pair: Sequence[States]) -> list[float]:
            return [similarity.linear_cka(*layers) for layers in zip(*map(_layers, pair), strict=True)]

        return {name: np.mean(list(map(cka, some)), axis=0) for name, some in pairs.items() if some}

    def same_seeds(self, name: str, other: str) -> list[tuple[int, int]]:
        """The positions, among the seeds of two settings, of those that both have."""
        ours, theirs = (self.subject.groups[each].seeds for each in (name, other))
        return [(ours.index(seed), theirs.index(seed)) for seed in ours if seed in theirs]

    @cached_property
    def axes(self) -> dict[str, dict[str, Axis]]:
        """By target and the name of the states."""
        targets = [target for target in AXES if target in self.intensities]
        return {target: {name: self._axis(target, name) for name in self.states} for target in targets}

    def _axis(self, target: str, name: str) -> Axis:
        runs = self.subject.groups[name].runs if name in self.subject.groups else []
        labels, num_labels = self.texts["train"]["label"].to_numpy(), len(self.label_names)
        projections, severities, angles, random_angles, ablations = [], [], [], [], []
        for i, each in enumerate(self.states[name]):
            states = {split: each.last(split) for split in self.texts}
            direction = axis.fit(states, self.texts, target)
            projections.append(probes.score(target, self.test[target], states["test"] @ direction, np.nan)["pearson"])
            angles.append(axis.angles(axis.emotion_directions(states["train"], labels, num_labels), direction))
            random_angles.append(axis.angles(axis.random_directions(states["train"]), direction))
            if self.severity:
                places = each.read(self.severity.tokenized, "severity")[:, -1] @ direction
                severities.append(probes.score(target, self.severity.texts["severity"], places, np.nan)["spearman"])
            if runs:
                model = EmotionModel.from_pretrained(runs[i].folder).eval()
                ablations.append(axis.ablate(model, states, self.test, direction))
        severity = Scores.stack(severities) if severities else None
        random_range = bootstrap.interval(np.concatenate(random_angles))
        return Axis(Scores.stack(projections), severity, np.mean(angles, axis=0), random_range, ablations)

    def last_layer(self, name: str) -> dict[str, Scores]:
        """What is measured of the last layer of states, by its title."""
        scores = {}
        for target, by_name in self.probes.items():
            metric, last = "r" if target in INTENSITIES else "macro-F1", by_name[name][-1]
            scores[f"probe of the {TITLES[target]}: {metric}"] = last.score
            scores[f"probe of the {TITLES[target]}: selectivity"] = last.selectivity
        for target, distance in product(self.similarities, similarity.DISTANCES):
            title = f"similarity with the {TITLES[target]}, {distance}: rho"
            scores[title] = self.similarities[target][distance, name].last
        for target, by_name in self.axes.items():
            scores[f"axis of the {TITLES[target]}: r along it"] = by_name[name].projection
            lost = [frame["label_name"]["whole"] - frame["label_name"]["axis"] for frame in by_name[name].ablations]
            if lost:
                scores[f"axis of the {TITLES[target]}: macro-F1 lost without it"] = without_resamples(lost)
            if severity := by_name[name].severity:
                scores[f"axis of the {TITLES[target]}: rho with SAD's severity"] = severity
        if name in self.cka_with_before:
            scores["CKA with before fine-tuning"] = without_resamples(self.cka_with_before[name][:, -1, -1])
        return scores

    def compare(self, name: str, other: str) -> list[dict]:
        """For each measure what `bootstrap.compare` says of a setting less another, on the seeds that both have; with
        its `title`, and its `p_value_holm` among all. Empty where the two have fewer than two seeds in common.

        A measure is left out where it is not defined for a run, whose states are all the same.
        """
        both, theirs = self.same_seeds(name, other), self.last_layer(other)
        if len(both) < 2:
            return []
        ours, others = map(list, zip(*both, strict=True))
        tests = []
        for title, scores in self.last_layer(name).items():
            difference = scores.of(ours) - theirs[title].of(others)
            if np.isfinite(difference.values).all():
                tests.append({"title": title, **bootstrap.compare(difference)})
        corrected = bootstrap.holm([test["p_value"] for test in tests]).tolist()
        return [test | {"p_value_holm": p_value} for test, p_value in zip(tests, corrected, strict=True)]


def _layers(states: States) -> np.ndarray:
    """The states of the test split, (layers + 1, examples, hidden)."""
    return states["test"].swapaxes(0, 1)
