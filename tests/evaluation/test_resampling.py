"""Intervals and paired tests against exact results."""

import itertools

import numpy as np
import pytest
from scipy import stats

from artificial_pain.evaluation import bootstrap, classification, regression


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


def test_bca_interval_is_that_of_scipy():
    """Of the mean of skewed values, and of an accuracy, whose examples are of two kinds: right and wrong"""
    options = {"method": "BCa", "n_resamples": 20_000, "vectorized": True, "rng": 0}
    values = np.random.default_rng(0).exponential(size=60)
    expected = stats.bootstrap((values,), np.mean, **options).confidence_interval
    resampled, left_out = bootstrap.resample_counts(60) @ values / 60, (values.sum() - values) / 59
    assert bootstrap.bca_interval(resampled, values.mean(), left_out, np.ones(60)) == pytest.approx(expected, abs=0.015)
    assert bootstrap.interval(resampled) != pytest.approx(expected, abs=0.03)

    labels, predictions = np.zeros(60, int), np.repeat([0, 1], [52, 8])
    expected = stats.bootstrap(((predictions == labels).astype(float),), np.mean, **options).confidence_interval
    got = classification.classification(labels, predictions, ["a", "b"], intervals=True)["intervals"]["accuracy"]
    assert got == pytest.approx(expected, abs=1.01 / 60), "one example more or less"


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_intervals_of_very_few_examples_are_in_order(n):
    """Whatever is predicted right of them"""
    for right in itertools.product([0, 1], repeat=n):
        got = classification.classification(np.zeros(n, int), 1 - np.array(right), ["a", "b"], intervals=True)
        low, high = got["intervals"]["accuracy"]
        assert 0 <= low <= got["accuracy"] <= high <= 1


def test_counts_of_a_resample_are_those_of_its_indices():
    counts = bootstrap.resample_counts(30)
    for row, indices in zip(counts[:50], bootstrap.bootstrap_indices(30)[:50], strict=True):
        assert row.tolist() == np.bincount(indices, minlength=30).tolist()


def of_accuracy(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What each example adds to the accuracy, (seeds, n, 1)."""
    return (truth == predictions)[:, :, None] / len(truth)


def of_macro_f1(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.stack([classification.summands(truth, each, 3) for each in predictions])


def of_absolute_error(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.abs(predictions - truth)[:, :, None] / len(truth)


def first(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0]


def exact_p_value(score, ours: np.ndarray, theirs: np.ndarray) -> float:
    """All 2^n ways in which two models' predictions of n examples can change places; ours, theirs: (n, summands)."""
    observed = abs(score(ours.sum(axis=0)) - score(theirs.sum(axis=0)))
    n_extreme = 0
    for swap in map(np.array, itertools.product([False, True], repeat=len(ours))):
        mixed, other = np.where(swap[:, None], theirs, ours), np.where(swap[:, None], ours, theirs)
        n_extreme += abs(score(mixed.sum(axis=0)) - score(other.sum(axis=0))) >= observed - 1e-12
    return n_extreme / 2 ** len(ours)


@pytest.mark.parametrize(
    ("summands", "score", "scale"),
    [(of_accuracy, first, 2), (of_macro_f1, classification.macro_f1, 3), (of_absolute_error, first, 5)],
)
def test_p_value_matches_all_permutations(summands, score, scale):
    rng = np.random.default_rng(3)
    truth, ours = rng.integers(scale, size=(2, 11))
    theirs = np.where(rng.random(11) < 0.5, truth, rng.integers(scale, size=11))
    both = summands(truth, ours[None]), summands(truth, theirs[None])
    p_value = bootstrap.permutation_test(score, *both)
    assert p_value == pytest.approx(exact_p_value(score, both[0][0], both[1][0]), abs=0.015)
    assert bootstrap.permutation_test(score, *reversed(both)) == p_value


def test_equal_predictions_have_no_difference():
    truth, ours = np.arange(20) % 2, np.arange(20) % 3 % 2
    both = [of_accuracy(truth, ours[None])] * 2
    assert bootstrap.permutation_test(first, *both) == 1


def test_opposite_predictions_have_the_smallest_p_value():
    """Of 30 examples all change places in 1 of 2^29 ways that are as extreme: no permutation finds one"""
    truth = np.zeros(30, int)
    both = of_accuracy(truth, truth[None]), of_accuracy(truth, 1 - truth[None])
    assert bootstrap.permutation_test(first, *both) == 1 / (bootstrap.PERMUTATIONS + 1)


def test_seeds_of_a_model_are_swapped_together():
    """Two equal seeds are no more evidence than one"""
    rng = np.random.default_rng(5)
    truth, *both = rng.integers(2, size=(3, 40))
    once, twice = ([of_accuracy(truth, np.stack([each] * n)) for each in both] for n in (1, 2))
    assert bootstrap.permutation_test(first, *twice) == bootstrap.permutation_test(first, *once)


def test_p_values_under_the_null_are_not_too_small(monkeypatch):
    """Of 200 pairs of models that are right at the same rate, about one in ten has p below 0.1, or fewer"""
    monkeypatch.setattr(bootstrap, "PERMUTATIONS", 500)
    rng, truth, small = np.random.default_rng(0), np.zeros(40, int), 0
    for _ in range(200):
        both = [of_accuracy(truth, (rng.random((1, 40)) < 0.4).astype(int)) for _ in range(2)]
        small += bootstrap.permutation_test(first, *both) < 0.1
    assert small <= 34  # 20 expected at most; more than 34 in 1 of 1,000 cases


def scores(right: np.ndarray) -> bootstrap.Scores:
    """The accuracy of seeds, from what each predicts right, (seeds, n)."""
    resampled = right @ bootstrap.resample_counts(right.shape[1]).T / right.shape[1]
    return bootstrap.Scores(right.mean(axis=1), resampled)


def test_seeds_alone_give_welch_s_test():
    """Where all examples are alike, nothing varies but the seeds: scipy's t test of two samples"""
    rng = np.random.default_rng(0)
    values = rng.normal(0.6, [[0.02], [0.03]], (2, 5))
    ours, theirs = (bootstrap.Scores(each, np.repeat(each[:, None], bootstrap.RESAMPLES, axis=1)) for each in values)
    expected = stats.ttest_ind(*values, equal_var=False)
    got = bootstrap.compare(ours, theirs)
    assert got["p_value"] == pytest.approx(expected.pvalue)
    assert got["interval"] == pytest.approx(list(expected.confidence_interval()))
    assert got["difference"] == pytest.approx(values[0].mean() - values[1].mean())
    mean = bootstrap.compare(ours)["interval"]
    assert mean == pytest.approx(list(stats.ttest_1samp(values[0], 0).confidence_interval()))


def test_examples_alone_give_a_paired_z_test():
    """Baselines are the same for all seeds: the interval is that of the mean of paired differences, and so is p"""
    rng = np.random.default_rng(1)
    right = (rng.random((2, 400)) < [[0.7], [0.62]]).astype(float)
    ours, theirs = (scores(np.stack([each] * n)) for each, n in zip(right, (2, 5), strict=True))
    differences = right[0] - right[1]
    error = differences.std() / np.sqrt(400)
    got = bootstrap.compare(ours, theirs)
    assert got["interval"] == pytest.approx(differences.mean() + np.array([-1.96, 1.96]) * error, abs=0.004)
    assert got["p_value"] == pytest.approx(2 * stats.norm.sf(abs(differences.mean()) / error), abs=0.01)
    assert got["detectable"] == pytest.approx((1.96 + 0.84) * error, rel=0.06)


def test_what_a_seed_makes_of_single_examples_is_counted_once():
    """Seeds that are right by chance alone: the variance of their mean is that of the binomial, over all seeds"""
    right = (np.random.default_rng(2).random((200, 300)) < 0.5).astype(float)
    low, high = bootstrap.compare(scores(right))["interval"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 300 / 200), rel=0.15)


def test_one_seed_says_nothing_of_a_setting():
    """Its interval is that of the trained model; twice the same predictions differ in nothing"""
    right = (np.random.default_rng(3).random((3, 100)) < 0.5).astype(float)
    got = bootstrap.compare(scores(right[:1]), scores(right[1:]))
    assert got["p_value"] is None and got["detectable"] is None and got["interval"][0] < got["difference"]
    same = bootstrap.compare(scores(right), scores(right))
    assert same["difference"] == 0 and same["p_value"] == 1
    low, high = got["interval"]
    models = (right[0] - right[1:].mean(axis=0)).std() / 10
    assert high - low == pytest.approx(2 * 1.96 * models, rel=0.06), "over the examples alone"
    nothing = scores(np.ones((2, 50)))
    assert bootstrap.compare(nothing, nothing)["p_value"] == 1


def test_p_values_of_holm_by_hand():
    """0.01 times 4, 0.02 times 3, then 0.03 times 2 is no less than the one before, and 0.9 is at most 1"""
    assert bootstrap.holm([0.03, 0.01, 0.9, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert bootstrap.holm([0.7, 0.8]).tolist() == [1, 1] and bootstrap.holm([]).tolist() == []


def test_rank_correlation_of_a_resample_is_that_of_scipy():
    """Of values with ties, and of one that is constant in some resamples"""
    rng = np.random.default_rng(7)
    annotated, predicted = rng.integers(1, 6, 12).astype(float), np.round(rng.normal(3, 1, 12), 1)
    got = regression.resampled_scores(annotated, predicted, regression.Reference(), stream=3)["spearman"]
    for score, indices in zip(got[:200], bootstrap.bootstrap_indices(12, 3), strict=False):
        expected = stats.spearmanr(annotated[indices], predicted[indices]).statistic
        assert score == pytest.approx(expected, abs=1e-12, nan_ok=True)
