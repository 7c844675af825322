"""How sure a metric of the test examples is: intervals, and tests of two settings or of two trained models.

Everything is drawn from one fixed seed: the same predictions give the same intervals and p-values.

The metrics here are functions of sums: each example adds its summands, such as 1 where it is predicted right. A
resample, a permutation or a left-out example changes the sums alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 2000
PERMUTATIONS = 10_000
SEED = 0
LEVEL, POWER = 0.05, 0.8
TOLERANCE = 1e-12  # rounding may change the last digits of an equal difference
PERCENTILES = (2.5, 97.5)  # the ends of a 95 % interval


def bootstrap_indices(n: int, stream: int = 0) -> np.ndarray:
    """The indices of n examples in each resample, drawn with replacement: (RESAMPLES, n).

    Where one interval resamples several sets of examples independently of each other, each set has its own stream.
    """
    return np.random.default_rng([SEED, stream]).integers(n, size=(RESAMPLES, n))


@lru_cache(maxsize=32)  # of three intensities, all examples and those of each emotion
def resample_counts(n: int, stream: int = 0) -> np.ndarray:
    """How often each of n examples is in each resample of `bootstrap_indices`: (RESAMPLES, n)."""
    return np.stack([np.bincount(indices, minlength=n) for indices in bootstrap_indices(n, stream)]).astype(float)


def interval(scores: np.ndarray, percentiles: Sequence[float] = PERCENTILES) -> list[float] | None:
    """The 95 % percentile interval (Efron & Tibshirani, 1993) of a metric's values in the resamples, (RESAMPLES,).

    Over the resamples in which it is defined (not NaN); None where it is in none.
    """
    defined = scores[np.isfinite(scores)]
    return [float(end) for end in np.percentile(defined, percentiles)] if len(defined) else None


def bca_interval(scores: np.ndarray, value: float, left_out: np.ndarray, examples: np.ndarray) -> list[float]:
    """The 95 % interval that corrects the percentiles for bias and skewness (BCa; Efron, JASA 1987).

    scores: in the resamples, (RESAMPLES,); value: of all examples; left_out: without one example, for each kind of
    example; examples: how many there are of that kind.
    """
    from scipy.stats import norm  # here: the first training step shall not wait for this import

    below = ((scores < value).mean() + (scores <= value).mean()) / 2  # of many equal ones a half
    bias = norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    influence = np.average(left_out, weights=examples) - left_out
    spread = (examples * influence**2).sum() ** 1.5
    skewness = (examples * influence**3).sum() / (6 * spread) if spread else 0.0
    shifted = bias + norm.ppf(np.divide(PERCENTILES, 100))
    # Of very few examples the denominator can fall to 0: the end is then that of all resamples.
    return interval(scores, 100 * norm.cdf(bias + shifted / np.maximum(1 - skewness * shifted, TOLERANCE)))


def intervals(samples: dict[str, np.ndarray]) -> dict[str, dict]:
    """The entry "intervals" of a result: each metric's interval, by name; empty where nothing was resampled."""
    return {"intervals": {name: interval(values) for name, values in samples.items()}} if samples else {}


@dataclass(frozen=True)
class Scores:
    """A metric of a setting's trained models, a seed each. Those of a baseline are all the same."""

    values: np.ndarray  # on all examples, (seeds,)
    resampled: np.ndarray  # in the resamples of these, (seeds, RESAMPLES); NaN where not defined

    @classmethod
    def stack(cls, of_seeds: Sequence[tuple[float, np.ndarray]]) -> "Scores":
        """Of each seed its value, and its values in the resamples, (RESAMPLES,)."""
        return cls(np.array([value for value, _ in of_seeds]), np.stack([resampled for _, resampled in of_seeds]))

    def __sub__(self, other: "Scores") -> "Scores":
        """The difference, seed by seed, on the same examples."""
        return Scores(self.values - other.values, self.resampled - other.resampled)

    def of(self, seeds: Sequence[int]) -> "Scores":
        """Those of some of the seeds, by their positions."""
        return Scores(self.values[seeds], self.resampled[seeds])

    @property
    def of_seeds(self) -> float:
        """The variance of the mean that comes from the seeds; NaN where one seed says nothing of it."""
        n = len(self.values)
        return self.values.var(ddof=1) / n if n > 1 else np.nan

    def of_seeds_on_examples(self, defined: np.ndarray) -> float:
        """That part of it which differs from example to example, from the resamples at `defined`."""
        resampled, n = self.resampled[:, defined], len(self.values)
        centred = resampled - resampled.mean(axis=1, keepdims=True)
        return float(centred.var(axis=0, ddof=1).mean() / n) if n > 1 else 0.0


NOTHING = Scores(np.zeros(2), np.zeros((2, RESAMPLES)))


def compare(ours: Scores, theirs: Scores = NOTHING) -> dict:
    """The difference of two settings' means as it would be with other seeds and other examples; of one, its mean.

    Its variance is the sum of what other examples would change, and what other seeds would. The first is the variance
    over the resamples of the examples, less what the seeds make of single examples, which is in the second too: the
    variance over the seeds, divided by their number. The degrees of freedom are those of Satterthwaite
    (Biometrics Bulletin, 1946) and Welch (Biometrika, 1947).

    `difference`; its 95 % `interval`; the `p_value` of t, two-sided; `detectable`, the true difference that is found in
    about POWER of the cases. Where one of the two has a single seed, the interval is that of these trained models, over
    the examples, and the other two are None.
    """
    from scipy.stats import t  # here: the first training step shall not wait for this import

    both = (ours, theirs)
    difference = float(ours.values.mean() - theirs.values.mean())
    resampled = ours.resampled.mean(axis=0) - theirs.resampled.mean(axis=0)
    defined = np.isfinite(resampled)
    variance, of_freedom = resampled[defined].var(ddof=1), 0.0
    of_seeds = np.array([scores.of_seeds for scores in both])
    if is_of_settings := not np.isnan(of_seeds).any():
        variance -= sum(scores.of_seeds_on_examples(defined) for scores in both)
        variance = np.maximum(0, variance) + of_seeds.sum()
        of_freedom = sum(part**2 / (len(scores.values) - 1) for part, scores in zip(of_seeds, both, strict=True))
    freedom, error = variance**2 / of_freedom if of_freedom else np.inf, variance**0.5
    margin = t.ppf(1 - LEVEL / 2, freedom) * error
    tested = {"p_value": None, "detectable": None}
    if is_of_settings:
        is_exact = error < TOLERANCE  # nothing varies
        p_value = abs(difference) < TOLERANCE if is_exact else 2 * t.sf(abs(difference) / error, freedom)
        tested = {"p_value": float(p_value), "detectable": float(margin + t.ppf(POWER, freedom) * error)}
    return {"difference": difference, "interval": [difference - margin, difference + margin], **tested}


def holm(p_values: Sequence[float]) -> np.ndarray:
    """The p-values as they count among each other (Holm, 1979): below 0.05, all errors together are that rare."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def permutation_test(score: Callable[[np.ndarray], np.ndarray], ours: np.ndarray, theirs: np.ndarray) -> float:
    """The p-value of two settings' trained models scoring otherwise on the same examples: of these models, not of
    others of the same settings.

    It is that of approximate randomisation (Noreen, 1989; two-sided): in each of PERMUTATIONS, the two settings'
    predictions of an example change places with probability 1/2, those of all seeds together.

    ours, theirs: what each seed's predictions of an example add to the sums, (seeds, n, summands), as many seeds each.
    score: takes sums (..., summands), returns a metric (...).
    """
    rng = np.random.default_rng(SEED)
    both = np.stack([ours, theirs])
    sums, swap_adds = both.sum(axis=2)[:, :, None], np.stack([theirs - ours, ours - theirs])

    def difference(sums: np.ndarray) -> np.ndarray:
        scores = score(sums).mean(axis=1)
        return scores[0] - scores[1]

    observed, n_extreme = abs(difference(sums)), 0
    for rows in np.array_split(np.arange(PERMUTATIONS), -(-PERMUTATIONS // 1000)):
        swapped = (rng.random((len(rows), ours.shape[1])) < 0.5).astype(float)
        n_extreme += int((abs(difference(sums + swapped @ swap_adds)) >= observed - TOLERANCE).sum())
    return (n_extreme + 1) / (PERMUTATIONS + 1)
