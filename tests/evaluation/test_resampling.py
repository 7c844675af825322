"""Intervals and paired tests against exact results."""

import itertools

import numpy as np
import pytest
from scipy import stats

from artificial_pain.evaluation import bootstrap, classification, regression


def accuracy(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return (truth == predictions).mean(axis=-1)


def mean_absolute_error(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.abs(predictions - truth).mean(axis=-1)


def test_interval_of_proportion_matches_normal_approximation():
    """280 of 400: 0.7 ± 1.96 sqrt(0.7 · 0.3 / 400) = 0.655 to 0.745. The seed is fixed: a second call is equal."""
    labels, predictions = np.zeros(400, int), np.repeat([0, 1], [280, 120])
    got = classification.classification(labels, predictions, ["a", "b"], intervals=True)
    assert got["intervals"]["accuracy"] == pytest.approx([0.655, 0.745], abs=0.006)
    assert got == classification.classification(labels, predictions, ["a", "b"], intervals=True)
    assert got["per_class"]["a"]["intervals"]["precision"] == [1, 1]
    assert classification.classification(labels, predictions, ["a", "b"])["accuracy"] == 0.7


def test_class_missing_from_resample_does_not_lower_interval():
    """Six classes of three examples, all predicted right: resamples miss a class now and then, the model never does."""
    labels = np.repeat(np.arange(6), 3)
    got = classification.classification(labels, labels, list("abcdef"), intervals=True)
    assert got["macro_f1"] == 1 and got["intervals"]["macro_f1"] == got["intervals"]["macro_recall"] == [1, 1]


def test_interval_ignores_resamples_where_metric_is_undefined():
    scores = np.r_[np.full(100, np.nan), np.linspace(0, 1, 1001)]
    assert bootstrap.interval(scores) == pytest.approx([0.025, 0.975])
    assert bootstrap.interval(np.full(10, np.nan)) is None


def test_emotions_are_resampled_independently():
    """Six times the same 40 pairs: their mean is as sure as one of 240, 1.96 s / sqrt(n) to each side"""
    rng, labels = np.random.default_rng(1), np.repeat(np.arange(6), 40)
    annotated, errors = np.tile(rng.integers(1, 6, 40).astype(float), 6), np.tile(rng.exponential(size=40), 6)
    got = regression.target_metrics(annotated, annotated + errors, labels, list("abcdef"), intervals=True)
    low, high = got["macro"]["intervals"]["mae"]
    assert high - low == pytest.approx(2 * 1.96 * errors.std() / np.sqrt(240), rel=0.06)


def exact_p_value(score, truth, ours, theirs) -> float:
    """All 2^n ways in which two models' predictions of n examples can change places."""
    observed = abs(score(truth, ours) - score(truth, theirs))
    n_extreme = 0
    for swap in map(np.array, itertools.product([False, True], repeat=len(truth))):
        difference = score(truth, np.where(swap, theirs, ours)) - score(truth, np.where(swap, ours, theirs))
        n_extreme += abs(difference) >= observed - 1e-12
    return n_extreme / 2 ** len(truth)


@pytest.mark.parametrize(
    ("score", "scale"), [(accuracy, 2), (lambda *both: classification.macro_f1(*both, 3), 3), (mean_absolute_error, 5)]
)
def test_p_value_matches_all_permutations(score, scale):
    rng = np.random.default_rng(3)
    truth, ours = rng.integers(scale, size=(2, 11))
    theirs = np.where(rng.random(11) < 0.5, truth, rng.integers(scale, size=11))
    test = bootstrap.paired_test(score, truth, ours[None], theirs[None])
    assert test["p_value"] == pytest.approx(exact_p_value(score, truth, ours, theirs), abs=0.015)
    assert test["difference"] == pytest.approx(score(truth, ours) - score(truth, theirs))
    other = bootstrap.paired_test(score, truth, theirs[None], ours[None])
    assert other["difference"] == -test["difference"] and other["p_value"] == test["p_value"]
    assert other["interval"] == pytest.approx([-end for end in reversed(test["interval"])])


def test_equal_predictions_have_no_difference():
    truth, ours = np.arange(20) % 2, np.arange(20) % 3 % 2
    test = bootstrap.paired_test(accuracy, truth, ours[None], ours[None])
    assert test == {"difference": 0, "interval": [0, 0], "p_value": 1}


def test_opposite_predictions_have_the_smallest_p_value():
    """Of 30 examples all change places in 1 of 2^29 ways that are as extreme: no permutation finds one"""
    truth = np.zeros(30, int)
    test = bootstrap.paired_test(accuracy, truth, truth[None], 1 - truth[None])
    assert test == {"difference": 1, "interval": [1, 1], "p_value": 1 / (bootstrap.PERMUTATIONS + 1)}


def test_seeds_of_a_model_are_swapped_together():
    """Two equal seeds are no more evidence than one. Of two and three seeds, the first two of both are compared."""
    rng = np.random.default_rng(5)
    truth, ours, theirs = rng.integers(2, size=(3, 40))
    once = bootstrap.paired_test(accuracy, truth, ours[None], theirs[None])
    twice = bootstrap.paired_test(accuracy, truth, np.stack([ours] * 2), np.stack([theirs] * 3))
    assert {**twice, "interval": None} == pytest.approx({**once, "interval": None})
    assert twice["interval"] == pytest.approx(once["interval"])


def test_p_values_under_the_null_are_not_too_small(monkeypatch):
    """Of 200 pairs of models that are right at the same rate, about one in ten has p below 0.1, or fewer"""
    monkeypatch.setattr(bootstrap, "PERMUTATIONS", 500)
    rng, truth, small = np.random.default_rng(0), np.zeros(40, int), 0
    for _ in range(200):
        ours, theirs = (rng.random((2, 40)) < 0.4).astype(int)
        small += bootstrap.paired_test(accuracy, truth, ours[None], theirs[None])["p_value"] < 0.1
    assert small <= 34  # 20 expected at most; more than 34 in 1 of 1,000 cases


def test_rank_correlation_of_a_resample_is_that_of_scipy():
    """Of values with ties, and of one that is constant in some resamples"""
    rng = np.random.default_rng(7)
    annotated, predicted = rng.integers(1, 6, 12).astype(float), np.round(rng.normal(3, 1, 12), 1)
    got = regression.resampled_scores(annotated, predicted, regression.Reference(), stream=3)["spearman"]
    for score, indices in zip(got[:200], bootstrap.bootstrap_indices(12, 3), strict=False):
        expected = stats.spearmanr(annotated[indices], predicted[indices]).statistic
        assert score == pytest.approx(expected, abs=1e-12, nan_ok=True)
