"""Metrics as pure functions of arrays."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from artificial_pain.corpora import INTENSITIES

FEWEST_PAIRS = 5  # an emotion with fewer known intensities is left out of their mean over the emotions
# A smaller spread, in points of the scale, is constant: a network that always says the same still differs in the last
# digits of single precision from batch to batch.
SMALLEST_SPREAD = 1e-5


def classification(labels: np.ndarray, predictions: np.ndarray, label_names: Sequence[str]) -> dict:
    """Metrics of predicted labels; labels and predictions are indices into label_names, shape (n,).

    `macro_` is the mean over the classes, each counting the same; `macro_accuracy` the mean over the classes of the
    share of their examples that was found (balanced accuracy, the same number as `macro_recall`). Where every example
    has one label, `micro_f1` equals `accuracy`. A class that is never predicted has precision 0, one without
    examples recall 0. `confusion_matrix` counts, true labels in rows.
    """
    indices = np.arange(len(label_names))
    scores = precision_recall_fscore_support(labels, predictions, labels=indices, zero_division=0)
    precision, recall, f1, support = scores
    accuracy = float(np.mean(labels == predictions))
    per_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for name, p, r, f, n in zip(label_names, *scores, strict=True)
    }
    return {
        "n": len(labels),
        "accuracy": accuracy,
        "macro_accuracy": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "micro_f1": accuracy,
        "weighted_f1": float(np.average(f1, weights=support)),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(labels, predictions, labels=indices).tolist(),
    }


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the labels, in double precision; shape (n, labels)."""
    return torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()


def read_at(intensities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each example's outputs (n, targets, labels) at its label (n,): (n, targets)."""
    return intensities[np.arange(len(labels)), :, labels]


def regression(annotated: np.ndarray, predicted: np.ndarray) -> dict[str, float | int | None]:
    """Metrics of one target over the n pairs whose annotation is known (not NaN); both of shape (examples,).

    `mse`, `mae`, Pearson's correlation `pearson` with its two-sided `p_value` (scipy.stats.pearsonr), and `n`. What is
    not defined is None: everything without pairs, the correlation where either side is constant, and what is not
    finite, of a model that diverged.
    """
    known = ~np.isnan(annotated)
    annotated, predicted = annotated[known].astype(float), predicted[known].astype(float)
    scores = dict.fromkeys(["mse", "mae", "pearson", "p_value"])
    if len(annotated):
        errors = predicted - annotated
        scores |= {"mse": float(np.mean(errors**2)), "mae": float(np.mean(np.abs(errors)))}
    if len(annotated) and not is_constant(annotated) and not is_constant(predicted):
        correlation = stats.pearsonr(annotated, predicted)
        scores |= {"pearson": float(correlation.statistic), "p_value": float(correlation.pvalue)}
    return {**{name: _finite(score) for name, score in scores.items()}, "n": len(annotated)}


def is_constant(values: np.ndarray) -> bool:
    """Whether the values, at least one, are all the same within the rounding of single precision."""
    return bool(np.ptp(values) <= SMALLEST_SPREAD * max(1, np.abs(values).max()))


def target_metrics(
    annotated: np.ndarray, predicted: np.ndarray, labels: np.ndarray, label_names: Sequence[str]
) -> dict[str, dict]:
    """Metrics of one target over all examples (`micro`), for each true emotion, and their mean (`macro`).

    annotated (NaN where missing), predicted, labels: (n,). `macro` is over the `emotions` with at least 5 pairs, n
    their pairs in all; its correlation over those of them that have one (`pearson_emotions`), without a p-value.
    """
    per_emotion = {
        name: regression(annotated[labels == i], predicted[labels == i]) for i, name in enumerate(label_names)
    }
    averaged = [scores for scores in per_emotion.values() if scores["n"] >= FEWEST_PAIRS]
    correlations = [scores["pearson"] for scores in averaged if scores["pearson"] is not None]
    macro = {
        "mse": _mean([scores["mse"] for scores in averaged]),
        "mae": _mean([scores["mae"] for scores in averaged]),
        "pearson": _mean(correlations),
        "p_value": None,
        "n": sum(scores["n"] for scores in averaged),
        "emotions": len(averaged),
        "pearson_emotions": len(correlations),
    }
    return {"micro": regression(annotated, predicted), "macro": macro, "per_emotion": per_emotion}


def _mean(values: Sequence[float | None]) -> float | None:
    return _finite(float(np.mean(values))) if values and None not in values else None


def _finite(score: float | None) -> float | None:
    return score if score is not None and np.isfinite(score) else None


def intensity(
    annotated: np.ndarray,
    intensities: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    targets: Sequence[str],
    label_names: Sequence[str],
) -> dict[str, dict]:
    """The metrics of each target, its outputs read at the true emotion and at the predicted one.

    annotated: (n, targets), NaN where missing; intensities: (n, targets, labels); labels and predictions (n,).
    """
    metrics = {}
    for name, emotions in {"true_label": labels, "predicted_label": predictions}.items():
        read = read_at(intensities, emotions)
        metrics[name] = {
            INTENSITIES[target]: target_metrics(annotated[:, i], read[:, i], labels, label_names)
            for i, target in enumerate(targets)
        }
    return metrics
