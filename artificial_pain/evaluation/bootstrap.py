"""How sure a metric of the test examples is: intervals of the bootstrap, and paired tests of two models.

Everything is drawn from one fixed seed: the same predictions give the same intervals and p-values. Where a model was
trained with several seeds, each example has a prediction of each, and is drawn with all of them: what is resampled are
the examples, and a metric is the mean over the seeds.
"""

from collections.abc import Callable

import numpy as np

RESAMPLES = 2000
PERMUTATIONS = 10_000
SEED = 0
PERCENTILES = (2.5, 97.5)  # the ends of a 95 % interval


def bootstrap_indices(n: int, stream: int = 0) -> np.ndarray:
    """The places of n examples in each resample, drawn with replacement: (RESAMPLES, n).

    Sets of examples that are resampled independently of each other, for one interval, are each of another stream.
    """
    return np.random.default_rng([SEED, stream]).integers(n, size=(RESAMPLES, n))


def interval(scores: np.ndarray) -> list[float] | None:
    """The 95 % percentile interval (Efron & Tibshirani, 1993) of a metric's values in the resamples, (RESAMPLES,).

    Over the resamples in which it is defined (not NaN); None where it is in none.
    """
    defined = scores[np.isfinite(scores)]
    return [float(end) for end in np.percentile(defined, PERCENTILES)] if len(defined) else None


def intervals(samples: dict[str, np.ndarray]) -> dict[str, dict]:
    """Those of metrics by name, under the name that all intervals stand under; nothing where nothing was resampled."""
    return {"intervals": {name: interval(values) for name, values in samples.items()}} if samples else {}


Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]


def paired_test(score: Scores, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Whether one model's predictions score otherwise than another's on the same examples.

    score: of the truth (..., n) and predictions (..., n), a metric (...). truth: (n,); ours, theirs: (seeds, n), with
    as many seeds as each has. The `difference` is ours less theirs, `interval` its 95 % bootstrap interval, and
    `p_value` that of approximate randomisation (Noreen, 1989; two-sided): in each of PERMUTATIONS, both models'
    predictions of an example change places with probability 1/2, those of all seeds together. Where their numbers of
    seeds differ, the seeds that both have are compared.
    """
    seeds = min(len(ours), len(theirs))
    ours, theirs = ours[:seeds], theirs[:seeds]

    def difference(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Of each row: truth (rows, n); ours, theirs: (seeds, rows, n)."""
        return np.mean([score(truth, mine) - score(truth, other) for mine, other in zip(ours, theirs, strict=True)], 0)

    observed = difference(truth[None], ours[:, None], theirs[:, None])[0]
    drawn = bootstrap_indices(len(truth))
    differences = difference(truth[drawn], ours[:, drawn], theirs[:, drawn])
    swapped = np.random.default_rng(SEED).random((PERMUTATIONS, len(truth))) < 0.5
    as_large, tiny = 0, 1e-12  # a difference that is the same may differ in its last digits
    for swap in np.array_split(swapped, -(-PERMUTATIONS // 1000)):
        mixed, other = np.where(swap, theirs[:, None], ours[:, None]), np.where(swap, ours[:, None], theirs[:, None])
        by_chance = difference(np.broadcast_to(truth, swap.shape), mixed, other)
        as_large += int((np.abs(by_chance) >= abs(observed) - tiny).sum())
    return {
        "difference": float(observed),
        "interval": interval(differences),
        "p_value": (as_large + 1) / (PERMUTATIONS + 1),
    }
