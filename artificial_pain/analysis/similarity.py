"""Similarity of representations: of pairs of texts (RSA), and of whole layers (CKA).

A matrix of dissimilarities is (n, n), symmetric, with 0 on its diagonal. Only the pairs of two texts count.
"""

from collections.abc import Mapping

import numpy as np

from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.regression import is_constant

PERMUTATIONS = 1000
DISTANCES = ("cosine", "euclidean")


def linear_cka(one: np.ndarray, other: np.ndarray) -> float:
    """Linear CKA of two representations of n texts, (n, features) each (Kornblith et al., ICML 2019).

    It is 1 if they are the same but for a rotation and a scale, about 0 if they have nothing in common, and NaN where
    one is the same for all texts. Its HSIC is the unbiased estimate (Song et al., JMLR 2012), which needs 4 texts or
    more. The usual one is high wherever there are more features than texts.
    """
    n, products = len(one), []
    for states in (one, other):
        if is_constant(states.T).all():  # as layer 0 of the first token, which all texts have
            return np.nan
        centred = states - states.mean(axis=0, dtype=float)
        product = centred @ centred.T
        np.fill_diagonal(product, 0)
        products.append(product)

    def hsic(x: np.ndarray, y: np.ndarray) -> float:
        sums = x.sum(axis=0), y.sum(axis=0)
        between = sums[0].sum() * sums[1].sum() / ((n - 1) * (n - 2)) - 2 * sums[0] @ sums[1] / (n - 2)
        return ((x * y).sum() + between) / (n * (n - 3))

    k, m = products
    norms = hsic(k, k), hsic(m, m)
    return float(hsic(k, m) / np.sqrt(np.prod(norms))) if min(norms) > 0 else np.nan


def dissimilarities(states: np.ndarray, distance: str) -> np.ndarray:
    """The matrix of the distances between n states (n, features); distance: one of DISTANCES."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(states, distance))


def differences(values: np.ndarray) -> np.ndarray:
    """The matrix of n values (n,): the absolute differences of numbers; 0 for two same labels, else 1."""
    if np.issubdtype(values.dtype, np.number):
        return np.abs(np.subtract.outer(values.astype(float), values))
    return (values[:, None] != values).astype(float)


def ranks(matrix: np.ndarray) -> np.ndarray:
    """The ranks of a matrix' pairs, less their mean; equal ones have their mean rank. Its diagonal is 0."""
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    ranked = rankdata(squareform(matrix, checks=False))
    return squareform(ranked - ranked.mean())


def partial(ranked: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What is left of ranks when what `given` ranks explain of them linearly is taken away."""
    return ranked - given * (ranked * given).sum() / (given**2).sum()


def correlations(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the pairs of two matrices, (rows,), where each text counts as `weights` say, (rows, n).

    Of `ranks` it is Spearman's. A text that a resample has twice is no pair with itself.
    """
    pairs = 1 - np.eye(len(one))

    def mean(matrix: np.ndarray) -> np.ndarray:
        return ((weights @ matrix) * weights).sum(axis=1) / counts

    counts = ((weights @ pairs) * weights).sum(axis=1)
    x, y = mean(one), mean(other)
    variances = (mean(one**2) - x**2) * (mean(other**2) - y**2)
    covariances = mean(one * other) - x * y
    defined = variances > bootstrap.TOLERANCE
    return np.divide(covariances, np.sqrt(variances), out=np.full_like(x, np.nan), where=defined)


def correlate(one: np.ndarray, other: np.ndarray) -> tuple[float, np.ndarray]:
    """The correlation of the pairs of two matrices, and in the resamples of the texts, (RESAMPLES,)."""
    value = correlations(one, other, np.ones((1, len(one))))[0]
    return float(value), correlations(one, other, bootstrap.resample_counts(len(one)))


def permutation_p_values(states: Mapping[object, np.ndarray], model: np.ndarray) -> dict[object, float]:
    """Of each matrix of centred ranks, by its key: the p-value of its correlation with the ranks of `model`.

    In each of PERMUTATIONS, the texts of `model` change places (Mantel, 1967; two-sided).
    """
    rng, keys = np.random.default_rng(bootstrap.SEED), list(states)
    rows = np.stack([states[key].ravel() for key in keys])
    observed, n_extreme = np.abs(rows @ model.ravel()), 0
    for _ in range(PERMUTATIONS):
        order = rng.permutation(len(model))
        n_extreme += np.abs(rows @ model[np.ix_(order, order)].ravel()) >= observed * (1 - bootstrap.TOLERANCE)
    return dict(zip(keys, ((n_extreme + 1) / (PERMUTATIONS + 1)).tolist(), strict=True))
