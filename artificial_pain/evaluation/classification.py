"""Metrics of predicted labels as pure functions of arrays, and their intervals over the examples.

Where a shape begins with "...", any number of leading axes is taken. Each row is a set of examples: one row for a
metric, RESAMPLES rows for its interval. The interval stands beside the metric, in `intervals`, under the metric's name.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from artificial_pain.evaluation import bootstrap

BINS = 15  # of confidence, as in Guo et al. (ICML 2017)
CLASS_METRICS = ("precision", "recall", "f1")

MAX_COUNTS = 2**24  # of the confusion matrices that are in memory at once


def confusion_counts(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How many examples of each true label (rows) have each predicted label (columns).

    labels, predictions: (..., n). Returns (..., classes, classes).
    """
    codes = (labels * classes + predictions).reshape(-1, labels.shape[-1])
    rows = np.arange(len(codes))[:, None] * classes**2
    counts = np.bincount((codes + rows).ravel(), minlength=len(codes) * classes**2)
    return counts.reshape(*labels.shape[:-1], classes, classes)


def classification_scores(counts: np.ndarray, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The metrics of `confusion_counts` (..., classes, classes): each (...), those of single classes (..., classes).

    mask: (..., classes), whether a class belongs in the means over the classes; None is all classes.
    """
    true_positives, support, predicted = counts.diagonal(axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)
    precision, recall = true_positives / np.maximum(predicted, 1), true_positives / np.maximum(support, 1)
    f1 = 2 * true_positives / np.maximum(support + predicted, 1)
    accuracy = true_positives.sum(axis=-1) / support.sum(axis=-1)
    mask = np.ones_like(support, bool) if mask is None else mask

    def macro(scores: np.ndarray) -> np.ndarray:
        return (scores * mask).sum(axis=-1) / mask.sum(axis=-1)

    return {
        "accuracy": accuracy,
        "macro_accuracy": macro(recall),
        "macro_f1": macro(f1),
        "micro_f1": accuracy,
        "weighted_f1": (f1 * support).sum(axis=-1) / support.sum(axis=-1),
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def macro_f1(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Macro-F1 over the classes that occur in the true labels; labels, predictions: (..., n). Returns (...)."""
    counts = confusion_counts(labels, predictions, classes)
    return classification_scores(counts, counts.sum(axis=-1) > 0)["macro_f1"]


def resampled_scores(
    labels: np.ndarray, predictions: np.ndarray, classes: int, probabilities: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The metrics of `classification` in resamples of the examples: (RESAMPLES,) each, of classes (RESAMPLES, classes).

    A class that a resample happens to miss is left out of its means: else these would be lower than on new examples.
    """
    indices, size = bootstrap.bootstrap_indices(len(labels)), max(1, MAX_COUNTS // classes**2)
    present = np.bincount(labels, minlength=classes) > 0  # another class counts as 0, as in the metric
    parts = []
    for some in np.split(indices, range(size, len(indices), size)):
        counts = confusion_counts(labels[some], predictions[some], classes)
        parts.append(classification_scores(counts, (counts.sum(axis=-1) > 0) | ~present))
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return scores | _calibration_errors(labels == predictions, probabilities, indices)


def _calibration_errors(
    correct: np.ndarray, probabilities: Mapping[str, np.ndarray] | None, indices: np.ndarray | slice = slice(None)
) -> dict[str, np.ndarray]:
    """The `calibration_error` of each of the probabilities, of the examples at the indices; see `classification`."""
    return {
        f"{prefix}expected_calibration_error": calibration_error(values.max(axis=1)[indices], correct[indices])
        for prefix, values in (probabilities or {}).items()
    }


def classification(
    labels: np.ndarray,
    predictions: np.ndarray,
    label_names: Sequence[str],
    probabilities: Mapping[str, np.ndarray] | None = None,
    intervals: bool = False,
) -> dict:
    """Metrics of predicted labels; labels and predictions are indices into label_names, shape (n,).

    `macro_` is the unweighted mean over the classes. `macro_accuracy` is balanced accuracy: the mean over the classes
    of the share of their examples that are predicted right, the same number as `macro_recall`. Every example has one
    label, so `micro_f1` equals `accuracy`. A class that is never predicted has precision 0; a class without examples
    has recall 0. `confusion_matrix` has the numbers of examples, true labels in rows. `intervals` adds the 95 %
    intervals.

    probabilities: of the labels, (n, labels), by the beginning of the name of their `expected_calibration_error`: "" or
    "calibrated_".
    """
    counts = confusion_counts(labels, predictions, len(label_names))
    scores = classification_scores(counts) | _calibration_errors(labels == predictions, probabilities)
    resampled = resampled_scores(labels, predictions, len(label_names), probabilities) if intervals else {}
    per_class = {
        name: {
            **{score: float(scores[score][i]) for score in CLASS_METRICS},
            "support": int(counts[i].sum()),
            **bootstrap.intervals({score: resampled[score][:, i] for score in CLASS_METRICS if resampled}),
        }
        for i, name in enumerate(label_names)
    }
    overall = [name for name in scores if name not in CLASS_METRICS]
    return {
        "n": len(labels),
        **{name: float(scores[name]) for name in overall},
        **bootstrap.intervals({name: resampled[name] for name in overall if resampled}),
        "per_class": per_class,
        "confusion_matrix": counts.tolist(),
    }


def calibration_bins(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """For each of BINS equally wide bins of confidence: examples, sum of confidences, correct examples: (..., BINS, 3).

    confidence: the probability of the predicted label, correct: whether it is the true label; (..., n) each.
    """
    flat = confidence.reshape(-1, confidence.shape[-1])
    # A bin contains its upper end: 1 is in the last bin.
    bins = np.clip(np.ceil(flat * BINS).astype(int) - 1, 0, BINS - 1) + np.arange(len(flat))[:, None] * BINS
    summands = np.ones_like(flat), flat, correct.astype(float)
    sums = [np.bincount(bins.ravel(), values.ravel(), minlength=len(flat) * BINS) for values in summands]
    return np.stack(sums, axis=-1).reshape(*confidence.shape[:-1], BINS, 3)


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Expected calibration error (Naeini et al., AAAI 2015): mean over the examples of their bin's |accuracy - mean
    confidence|. confidence, correct: (..., n). Returns (...).
    """
    bins = calibration_bins(confidence, correct)
    return np.abs(bins[..., 2] - bins[..., 1]).sum(axis=-1) / confidence.shape[-1]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the labels, in double precision; shape (n, labels)."""
    return torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()
