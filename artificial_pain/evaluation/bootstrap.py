"""How sure a metric of the test examples is: intervals of the bootstrap, and paired tests of two models.

Everything is drawn from one fixed seed: the same predictions give the same intervals and p-values. A model that was
trained with several seeds has a prediction of each seed for an example. An example is drawn with all of them: the
examples are resampled, and a metric is the mean over the seeds.
"""

from collections.abc import Callable

import numpy as np

RESAMPLES = 2000
PERMUTATIONS = 10_000
SEED = 0
PERCENTILES = (2.5, 97.5)  # the ends of a 95 % interval


def bootstrap_indices(n: int, stream: int = 0) -> np.ndarray:
    """The indices of n examples in each resample, drawn with replacement: (RESAMPLES, n).

    Where one interval resamples several sets of examples independently of each other, each set has its own stream.
    """
    return np.random.default_rng([SEED, stream]).integers(n, size=(RESAMPLES, n))


def interval(scores: np.ndarray) -> list[float] | None:
    """The 95 % percentile interval (Efron & Tibshirani, 1993) of a metric's values in the resamples, (RESAMPLES,).

    Over the resamples in which it is defined (not NaN); None where it is in none.
    """
    defined = scores[np.isfinite(scores)]
    return [float(end) for end in np.percentile(defined, PERCENTILES)] if len(defined) else None


def intervals(samples: dict[str, np.ndarray]) -> dict[str, dict]:
    """The entry "intervals" of a result: each metric's interval, by name; empty where nothing was resampled."""
    return {"intervals": {name: interval(values) for name, values in samples.items()}} if samples else {}


Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]


def paired_test(score: Scores, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Whether one model's predictions score otherwise than another's on the same examples.

    score: takes the truth (..., n) and predictions (..., n), returns a metric (...). truth: (n,). ours, theirs:
    (seeds, n). The `difference` is ours less theirs, and `interval` its 95 % bootstrap interval. The `p_value` is that
    of approximate randomisation (Noreen, 1989; two-sided): in each of PERMUTATIONS, the two models' predictions of an
    example change places with probability 1/2, those of all seeds together. Where the models have different numbers of
    seeds, as many of each are compared as both have.
    """
    seeds = min(len(ours), len(theirs))
    ours, theirs = ours[:seeds], theirs[:seeds]

    def difference(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Of each row: truth (rows, n); ours, theirs: (seeds, rows, n)."""
        return np.mean([score(truth, mine) - score(truth, other) for mine, other in zip(ours, theirs, strict=True)], 0)

    observed = difference(truth[None], ours[:, None], theirs[:, None])[0]
    indices = bootstrap_indices(len(truth))
    differences = difference(truth[indices], ours[:, indices], theirs[:, indices])
    swapped = np.random.default_rng(SEED).random((PERMUTATIONS, len(truth))) < 0.5
    n_extreme, tolerance = 0, 1e-12  # rounding may change the last digits of an equal difference
    for swap in np.array_split(swapped, -(-PERMUTATIONS // 1000)):
        mixed, other = np.where(swap, theirs[:, None], ours[:, None]), np.where(swap, ours[:, None], theirs[:, None])
        by_chance = difference(np.broadcast_to(truth, swap.shape), mixed, other)
        n_extreme += int((np.abs(by_chance) >= abs(observed) - tolerance).sum())
    p_value = (n_extreme + 1) / (PERMUTATIONS + 1)
    return {"difference": float(observed), "interval": interval(differences), "p_value": p_value}
