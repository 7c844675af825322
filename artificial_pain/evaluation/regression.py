"""Metrics of predicted intensities as pure functions of arrays, and their intervals over the examples.

`regression_scores` takes weights, as the resamples of `bootstrap` are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation import bootstrap

MIN_PAIRS = 5  # an emotion with fewer known intensities is left out of their mean over the emotions
# Values with a smaller spread, in points of the scale, are constant: a network that always predicts the same still
# differs in the last digits of single precision from batch to batch.
MIN_SPREAD = 1e-5
NO_SPREAD = MIN_SPREAD / 2  # the standard deviation that values of that spread have at most
SCALES = {"initial": (1, 5), "final": (1, 5), "change": (-4, 4)}  # of the annotation
RELATIVE = ["r2", "pearson", "spearman", "quadratic_weighted_kappa"]  # not defined for some constants
METRICS = ["mse", "mae", *RELATIVE]


@dataclass(frozen=True)
class Reference:
    """What the metrics of an intensity refer to: the lowest and highest value of the annotation, and the training mean,
    which R² compares with. Of pooled folds each example has that of its fold, (n,).
    """

    scale: tuple[int, int] = (1, 5)
    train_mean: float | np.ndarray = np.nan

    def of(self, examples: np.ndarray) -> "Reference":
        """That of some of n examples: `examples` is a mask, (n,)."""
        return replace(self, train_mean=np.broadcast_to(self.train_mean, examples.shape)[examples])


def regression_scores(
    annotated: np.ndarray, predicted: np.ndarray, reference: Reference, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """The metrics of predicted values by name, (rows,) each, NaN where not defined; see `regression`.

    annotated, predicted: (n,). weights: how often each example counts, (rows, n), such as in a resample.

    Cohen's kappa with quadratic weights (Cohen, 1968) is 1 less a ratio: the mean squared difference, over its
    expectation if the two sides were independent. The expectation is the sum of both variances and the squared
    difference of the means.
    """
    errors, deviations = predicted - annotated, annotated - reference.train_mean
    rounded = np.clip(np.rint(predicted), *reference.scale) - annotated.mean()
    x, y = annotated - annotated.mean(), predicted - predicted.mean()
    summands = [x, y, rounded, x**2, y**2, rounded**2, x * y, (x - rounded) ** 2]
    summands += [errors**2, np.abs(errors), deviations**2]
    means = (weights @ np.stack(summands, axis=1)).T / weights.sum(axis=1)
    x_mean, y_mean, r_mean, x_square, y_square, r_square, product, difference, mse, mae, of_mean = means
    x_variance, y_variance = x_square - x_mean**2, y_square - y_mean**2
    by_chance = x_variance + r_square - r_mean**2 + (x_mean - r_mean) ** 2
    # The ranks of nearly constant values are not constant.
    constant = (min(np.ptp(x), np.ptp(y)) <= MIN_SPREAD) | (np.minimum(x_variance, y_variance) <= NO_SPREAD**2)
    correlation = _ratio(product - x_mean * y_mean, np.sqrt(np.where(constant, 0, x_variance * y_variance)))
    return {
        "mse": mse,
        "mae": mae,
        "r2": 1 - _ratio(mse, of_mean),
        "pearson": np.clip(correlation, -1, 1),  # rounding may leave it just above 1
        "spearman": np.where(constant, np.nan, _rank_correlation(annotated, predicted, weights)),
        "quadratic_weighted_kappa": 1 - _ratio(difference, np.where(by_chance > NO_SPREAD**2, by_chance, 0)),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is not above 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _rank_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of values (n,) with weights (rows, n), equal values having their mean rank: (rows,)."""
    number, ranks, variances = weights.sum(axis=1), [], []
    for values in (x, y):
        distinct, codes = np.unique(values, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        counts = np.add.reduceat(weights[:, order], np.searchsorted(codes[order], np.arange(len(distinct))), axis=1)
        centred = counts.cumsum(axis=1) - counts / 2 - number[:, None] / 2  # a mean rank, less that of all
        ranks.append(centred[:, codes])
        variances.append((counts * centred**2).sum(axis=1))
    return _ratio(np.einsum("rn,rn,rn->r", weights, *ranks), np.sqrt(np.prod(variances, axis=0)))


def resampled_scores(
    annotated: np.ndarray, predicted: np.ndarray, reference: Reference, stream: int = 0
) -> dict[str, np.ndarray]:
    """The metrics by name in the resamples of that `stream`: (RESAMPLES,) each. {} where nothing is annotated.

    The arguments are those of `regression`.
    """
    annotated, predicted, reference = _known(annotated, predicted, reference)
    if not len(annotated):
        return {}
    return regression_scores(annotated, predicted, reference, bootstrap.resample_counts(len(annotated), stream))


def _known(annotated: np.ndarray, predicted: np.ndarray, reference: Reference) -> tuple:
    """Those of the three arguments for the pairs whose annotation is known."""
    known = ~np.isnan(annotated)
    return annotated[known].astype(float), predicted[known].astype(float), reference.of(known)


def regression(
    annotated: np.ndarray,
    predicted: np.ndarray,
    reference: Reference = Reference(),
    resampled: dict[str, np.ndarray] | None = None,
) -> dict:
    """Metrics of one target over the n pairs whose annotation is known (not NaN); both of shape (examples,).

    `mse`, `mae`, `r2` (1 less the ratio of the squared error to that of the training mean: the skill), Pearson's
    correlation `pearson` with its two-sided `p_value` (scipy.stats.pearsonr), Spearman's `spearman`,
    `quadratic_weighted_kappa` of the values rounded to the scale, and `n`. A metric that is not defined is None: all
    metrics without pairs, the correlations where either side is constant, and a value that is not finite, of a model
    that diverged. The `resampled_scores` add `intervals`.
    """
    from scipy.stats import pearsonr  # here: the first training step shall not wait for this import

    annotated, predicted, reference = _known(annotated, predicted, reference)
    scores = dict.fromkeys([*METRICS, "p_value"], np.nan)
    if len(annotated):
        of_all = regression_scores(annotated, predicted, reference, np.ones((1, len(annotated))))
        scores |= {name: score[0] for name, score in of_all.items()}
    if np.isfinite(scores["pearson"]):
        scores["p_value"] = pearsonr(annotated, predicted).pvalue
    metrics = {name: _finite(score) for name, score in scores.items()}
    return {**metrics, "n": len(annotated), **bootstrap.intervals(resampled or {})}


def is_constant(values: np.ndarray) -> np.ndarray:
    """Whether the values (..., n), at least one, are all the same within the rounding of single precision: (...)."""
    return np.ptp(values, axis=-1) <= MIN_SPREAD * np.maximum(1, np.abs(values).max(axis=-1))


def target_metrics(
    annotated: np.ndarray,
    predicted: np.ndarray,
    labels: np.ndarray,
    label_names: Sequence[str],
    reference: Reference = Reference(),
    intervals: bool = False,
) -> dict[str, dict]:
    """Metrics of one target over all examples (`micro`), for each true emotion, and their mean (`macro`).

    annotated (NaN where missing), predicted, labels: (n,). `macro` is the mean over the `emotions` with at least
    MIN_PAIRS pairs, and its `n` the sum of their pairs. Its R² and correlations are means over those emotions that have
    one (`pearson_emotions`), without a p-value. For its intervals, each emotion's pairs are resampled independently.
    """
    masks = [labels == i for i in range(len(label_names))]
    pairs = [(annotated[mask], predicted[mask], reference.of(mask)) for mask in masks]
    resampled = [resampled_scores(*pair, 1 + i) if intervals else {} for i, pair in enumerate(pairs)]
    scores = [regression(*pair, samples) for pair, samples in zip(pairs, resampled, strict=True)]
    averaged = [i for i, emotion in enumerate(scores) if emotion["n"] >= MIN_PAIRS]
    macro, macro_resampled = {}, {}
    for metric in METRICS:
        values = np.array([scores[i][metric] for i in averaged], float)  # NaN where not defined
        defined = values[~np.isnan(values)] if metric in RELATIVE else values
        macro[metric] = _finite(defined.mean()) if len(defined) else None
        if intervals and averaged:
            # A mean without the NaNs, and without numpy's warnings where all are.
            in_resamples = np.ma.masked_invalid([resampled[i][metric] for i in averaged])
            macro_resampled[metric] = in_resamples.mean(axis=0).filled(np.nan)
    macro |= {
        "p_value": None,
        "n": sum(scores[i]["n"] for i in averaged),
        "emotions": len(averaged),
        "pearson_emotions": sum(scores[i]["pearson"] is not None for i in averaged),
        **bootstrap.intervals(macro_resampled),
    }
    of_all = resampled_scores(annotated, predicted, reference) if intervals else {}
    micro = regression(annotated, predicted, reference, of_all)
    return {"micro": micro, "macro": macro, "per_emotion": dict(zip(label_names, scores, strict=True))}


def _finite(score: float) -> float | None:
    return float(score) if np.isfinite(score) else None


def intensity(
    annotated: np.ndarray,
    by_reading: Mapping[str, np.ndarray],
    labels: np.ndarray,
    references: Mapping[str, Reference],
    label_names: Sequence[str],
    intervals: bool = False,
) -> dict[str, dict]:
    """The metrics of each target, for each reading.

    annotated: (n, targets), NaN where missing. by_reading: the predictions, (n, targets) each, by their names in
    `readings.READINGS`. labels: (n,). references: by the targets' columns.
    """
    metrics: dict[str, dict] = {}
    for reading, predicted in by_reading.items():
        # A baseline that says the same of every emotion is evaluated once.
        same = [other for other in metrics if np.allclose(predicted, by_reading[other], rtol=0, atol=1e-9)]
        if same:
            metrics[reading] = metrics[same[0]]
            continue
        columns = zip(references.items(), annotated.T, predicted.T, strict=True)
        metrics[reading] = {
            INTENSITIES[name]: target_metrics(x, y, labels, label_names, reference, intervals)
            for (name, reference), x, y in columns
        }
    return metrics
