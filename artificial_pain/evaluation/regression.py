"""Metrics of predicted intensities as pure functions of arrays, and their intervals over the examples.

`regression_scores` takes any number of leading axes, as the functions of `classification` do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation import bootstrap

MIN_PAIRS = 5  # an emotion with fewer known intensities is left out of their mean over the emotions
# Values with a smaller spread, in points of the scale, are constant: a network that always predicts the same still
# differs in the last digits of single precision from batch to batch.
MIN_SPREAD = 1e-5
SCALES = {"initial": (1, 5), "final": (1, 5), "change": (-4, 4)}  # of the annotation
RELATIVE = ["r2", "pearson", "spearman", "quadratic_weighted_kappa"]  # not defined for some constants
METRICS = ["mse", "mae", *RELATIVE]


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation over the last axis; NaN where either side is constant."""
    x_centred, y_centred = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    spread = np.sqrt((x_centred**2).sum(axis=-1) * (y_centred**2).sum(axis=-1))
    defined = ~(is_constant(x) | is_constant(y))
    correlation = (x_centred * y_centred).sum(axis=-1) / np.where(defined, spread, 1)
    return np.where(defined, np.clip(correlation, -1, 1), np.nan)  # rounding may leave it just above 1


def _kappa(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cohen's kappa with quadratic weights (Cohen, 1968), over the last axis; NaN where all values are the same.

    It is 1 less a ratio: the mean squared difference, over its expectation if the two sides were independent. The
    expectation is the sum of both variances and the squared difference of the means.
    """
    by_chance = x.var(axis=-1) + y.var(axis=-1) + (x.mean(axis=-1) - y.mean(axis=-1)) ** 2
    defined = by_chance > 0
    return np.where(defined, 1 - ((x - y) ** 2).mean(axis=-1) / np.where(defined, by_chance, 1), np.nan)


@dataclass(frozen=True)
class Reference:
    """What the metrics of an intensity refer to: the lowest and highest value of the annotation, and the training mean,
    which R² compares with.
    """

    scale: tuple[int, int] = (1, 5)
    train_mean: float = np.nan


def regression_scores(
    annotated: np.ndarray, predicted: np.ndarray, reference: Reference, ranks: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """The metrics of predicted values by name, (...) each, NaN where not defined; see `regression`.

    annotated, predicted: (..., n). ranks: those of annotated and predicted over the last axis.
    """
    errors = predicted - annotated
    rounded = np.clip(np.rint(predicted), *reference.scale)
    of_mean = ((annotated - reference.train_mean) ** 2).mean(axis=-1)
    return {
        "mse": (errors**2).mean(axis=-1),
        "mae": np.abs(errors).mean(axis=-1),
        "r2": np.where(of_mean > 0, 1 - (errors**2).mean(axis=-1) / np.where(of_mean > 0, of_mean, 1), np.nan),
        "pearson": _correlation(annotated, predicted),
        # The ranks of nearly constant values are not constant.
        "spearman": np.where(is_constant(predicted), np.nan, _correlation(*ranks)),
        "quadratic_weighted_kappa": _kappa(annotated, rounded),
    }


def resampled_scores(
    annotated: np.ndarray, predicted: np.ndarray, reference: Reference, stream: int = 0
) -> dict[str, np.ndarray]:
    """The metrics by name in the resamples of that `stream`: (RESAMPLES,) each. {} where nothing is annotated.

    The arguments are those of `regression`.
    """
    annotated, predicted = _known(annotated, predicted)
    if not len(annotated):
        return {}
    indices = bootstrap.bootstrap_indices(len(annotated), stream)
    ranks = (_ranks_in_resamples(values, indices) for values in (annotated, predicted))
    return regression_scores(annotated[indices], predicted[indices], reference, tuple(ranks))


def _ranks_in_resamples(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The ranks of values (n,) in each resample, (resamples, n), equal values having their mean rank.

    Those of scipy.stats.rankdata, without sorting each resample: the values are sorted once, and counted in each.
    """
    _, codes = np.unique(values, return_inverse=True)
    codes, num_codes = codes[indices], codes.max() + 1
    rows = np.arange(len(codes))[:, None] * num_codes
    counts = np.bincount((rows + codes).ravel(), minlength=len(codes) * num_codes).reshape(len(codes), num_codes)
    ranks = np.take_along_axis(counts.cumsum(axis=1) - (counts - 1) / 2, codes, axis=1)
    ranks[np.isnan(values)[indices].any(axis=1)] = np.nan
    return ranks


def _known(annotated: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs whose annotation is known."""
    known = ~np.isnan(annotated)
    return annotated[known].astype(float), predicted[known].astype(float)


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
    from scipy.stats import pearsonr, rankdata  # here: the first training step shall not wait for this import

    annotated, predicted = _known(annotated, predicted)
    scores = dict.fromkeys([*METRICS, "p_value"], np.nan)
    if len(annotated):
        scores |= regression_scores(annotated, predicted, reference, (rankdata(annotated), rankdata(predicted)))
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
    pairs = [(annotated[labels == i], predicted[labels == i]) for i in range(len(label_names))]
    resampled = [resampled_scores(*pair, reference, 1 + i) if intervals else {} for i, pair in enumerate(pairs)]
    scores = [regression(*pair, reference, samples) for pair, samples in zip(pairs, resampled, strict=True)]
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
    micro = regression(
        annotated, predicted, reference, resampled_scores(annotated, predicted, reference) if intervals else {}
    )
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
        pairs = zip(references.items(), annotated.T, predicted.T, strict=True)
        metrics[reading] = (
            metrics[same[0]]
            if same
            else {
                INTENSITIES[name]: target_metrics(*pair, labels, label_names, reference, intervals)
                for (name, reference), *pair in pairs
            }
        )
    return metrics
