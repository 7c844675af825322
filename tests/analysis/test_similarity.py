"""CKA and dissimilarities: hand-computed, invariant where they should be, and as scipy has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, rankdata, spearmanr

from artificial_pain.analysis import similarity

PAIRS = np.triu_indices(40, 1)


def drawn(seed: int, n: int = 40, size: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, size))


def rotation(seed: int, size: int = 6) -> np.ndarray:
    return np.linalg.qr(drawn(seed, size, size))[0]


def test_cka_by_hand():
    """Four texts in one dimension each: HSIC of products, without those of a text with itself, as in Song et al."""
    x, y = np.array([[-3.0], [-1], [1], [3]]), np.array([[-1.0], [1], [-1], [1]])
    # K = x x', its sums of rows are -x²: (-9, -1, -1, -9), of all -20. L likewise: (-1, -1, -1, -1), -4.
    # trace(KL) = 2 (3·-1 + -3·1 + -9·-1 + -1·-1 + -3·1 + 3·-1) = -4
    k_l = (-4 + 20 * 4 / 6 - 2 * (9 + 1 + 1 + 9) / 2) / 4
    k_k = (2 * (9 + 9 + 81 + 1 + 9 + 9) + 20 * 20 / 6 - 2 * (81 + 1 + 1 + 81) / 2) / 4
    l_l = (12 + 4 * 4 / 6 - 2 * 4 / 2) / 4
    assert similarity.linear_cka(x, y) == pytest.approx(k_l / np.sqrt(k_k * l_l))
    assert k_l < 0 < l_l


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-50, 50))
def test_cka_is_invariant_to_rotation_scale_and_shift(seed, scale, shift):
    x, y = drawn(seed), drawn(seed + 1)
    moved = scale * x @ rotation(seed + 2) + shift
    assert similarity.linear_cka(x, moved) == pytest.approx(1)
    assert similarity.linear_cka(moved, y) == pytest.approx(similarity.linear_cka(x, y), abs=1e-9)
    assert similarity.linear_cka(x, y) == pytest.approx(similarity.linear_cka(y, x))


def test_cka_of_independent_states_is_about_0_with_more_features_than_texts():
    """Where the biased estimate is near 1"""
    values = [similarity.linear_cka(drawn(2 * i, 60, 300), drawn(2 * i + 1, 60, 300)) for i in range(20)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(20) < 0.05


def test_cka_of_states_that_are_all_the_same_is_not_defined():
    """As those of the first token in layer 0"""
    same = np.tile(drawn(0, 1, 384).astype(np.float32), (40, 1))
    assert np.isnan(similarity.linear_cka(same, drawn(1))) and np.isnan(similarity.linear_cka(same, same))


@pytest.mark.parametrize("distance", similarity.DISTANCES)
def test_dissimilarities_are_invariant_to_rotation(distance):
    """And to a scale: the cosine as it is, Euclidean distances in their ranks"""
    x = drawn(0)
    matrix = similarity.dissimilarities(x, distance)
    assert matrix == pytest.approx(similarity.dissimilarities(x @ rotation(1), distance))
    assert similarity.ranks(matrix) == pytest.approx(similarity.ranks(similarity.dissimilarities(3 * x, distance)))
    assert matrix[PAIRS] == pytest.approx(pdist(x, distance)) and (matrix == matrix.T).all()


def test_differences_of_labels_and_of_numbers():
    assert similarity.differences(np.array(["a", "b", "a"], object)).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert similarity.differences(np.array([1, 5, 3])).tolist() == [[0, 4, 2], [4, 0, 2], [2, 2, 0]]


def test_correlation_of_ranks_is_spearmans():
    labels = np.random.default_rng(0).integers(3, size=40)
    x, y = similarity.dissimilarities(drawn(1), "cosine"), similarity.differences(labels)
    value, resampled = similarity.correlate(similarity.ranks(x), similarity.ranks(y))
    assert value == pytest.approx(spearmanr(x[PAIRS], y[PAIRS]).statistic)
    assert resampled.shape == (2000,) and abs(resampled.mean() - value) < 0.05 and resampled.std() > 0.005


def test_a_resample_counts_each_pair_of_texts_as_often_as_both_are_drawn():
    """Against the pairs written out, without those of a text with itself"""
    x, y = (similarity.ranks(similarity.dissimilarities(drawn(seed), "euclidean")) for seed in (1, 2))
    indices = np.random.default_rng(3).integers(40, size=40)
    pairs = [(i, j) for a, i in enumerate(indices) for j in indices[:a] if i != j]
    assert len(pairs) < 40 * 39 / 2
    expected = pearsonr(*(np.array([matrix[pair] for pair in pairs]) for matrix in (x, y))).statistic
    weights = np.bincount(indices, minlength=40)[None].astype(float)
    assert similarity.correlations(x, y, weights)[0] == pytest.approx(expected)


def test_partial_correlation_is_that_of_the_textbook():
    matrices = [similarity.dissimilarities(drawn(seed) + 2 * drawn(9), "euclidean") for seed in (1, 2, 3)]
    x, y, z = (rankdata(matrix[PAIRS]) for matrix in matrices)
    r = np.corrcoef([x, y, z])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    ours, theirs, given = map(similarity.ranks, matrices)
    partials = similarity.partial(ours, given), similarity.partial(theirs, given)
    assert similarity.correlate(*partials)[0] == pytest.approx(expected)
    assert abs(expected - r[0, 1]) > 0.05


def test_permutations_find_what_is_there_and_seldom_what_is_not():
    labels = np.arange(30) % 3
    model = similarity.ranks(similarity.differences(labels))
    planted = np.eye(3)[labels] + 0.5 * drawn(0, 30, 3)
    states = {"planted": similarity.ranks(similarity.dissimilarities(planted, "euclidean"))}
    states |= {i: similarity.ranks(similarity.dissimilarities(drawn(i, 30), "euclidean")) for i in range(60)}
    p_values = similarity.permutation_p_values(states, model)
    assert p_values.pop("planted") == pytest.approx(1 / 1001)
    assert np.mean([p < 0.05 for p in p_values.values()]) < 0.15 and 0.35 < np.mean(list(p_values.values())) < 0.65
