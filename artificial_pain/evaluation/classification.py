"""Metrics of predicted labels as pure functions of arrays, and their intervals over the examples.

The functions ending in `_scores` take any number of leading axes, of which each row is a set of examples: one of them
for a metric, RESAMPLES of them for its interval. A metric's interval stands in `intervals`, beside it, by its name.
"""

from collections.abc import Sequence

import numpy as np
import torch

from artificial_pain.evaluation import bootstrap

BINS = 15  # of confidence, as in Guo et al. (ICML 2017)


def confusion_counts(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How many examples of each true label (rows) have each predicted one: of (..., n), (..., classes, classes)."""
    codes = (labels * classes + predictions).reshape(-1, labels.shape[-1])
    rows = np.arange(len(codes))[:, None] * classes**2
    counts = np.bincount((codes + rows).ravel(), minlength=len(codes) * classes**2)
    return counts.reshape(*labels.shape[:-1], classes, classes)


def class_mask(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which classes a mean over them is of, in resamples of the true labels (n,) with these counts: (..., classes).

    One that a resample happens to miss is left out of its means: else they would be lower than on new examples.
    """
    there = np.bincount(labels, minlength=counts.shape[-1]) > 0
    return (counts.sum(axis=-1) > 0) | ~there


def classification_scores(counts: np.ndarray, among: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The metrics of `confusion_counts` (..., classes, classes): each (...), those of single classes (..., classes).

    among: (..., classes), whether a class counts in the means over the classes; all do where nothing is said.
    """
    found, support, predicted = counts.diagonal(axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)
    precision, recall = found / np.maximum(predicted, 1), found / np.maximum(support, 1)
    f1 = 2 * found / np.maximum(support + predicted, 1)
    accuracy = found.sum(axis=-1) / support.sum(axis=-1)
    among = np.ones_like(support, bool) if among is None else among

    def macro(scores: np.ndarray) -> np.ndarray:
        return (scores * among).sum(axis=-1) / among.sum(axis=-1)

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
    """Over the classes that there are among the true labels: of (..., n) each, (...)."""
    counts = confusion_counts(labels, predictions, classes)
    return classification_scores(counts, counts.sum(axis=-1) > 0)["macro_f1"]


def classification(
    labels: np.ndarray,
    predictions: np.ndarray,
    label_names: Sequence[str],
    probabilities: np.ndarray | None = None,
    intervals: bool = False,
) -> dict:
    """Metrics of predicted labels; labels and predictions are indices into label_names, shape (n,).

    `macro_` is the mean over the classes, each counting the same; `macro_accuracy` the mean over the classes of the
    share of their examples that was found (balanced accuracy, the same number as `macro_recall`). Where every example
    has one label, `micro_f1` equals `accuracy`. A class that is never predicted has precision 0, one without
    examples recall 0. `confusion_matrix` counts, true labels in rows. With the probabilities (n, labels) of the labels,
    also the `expected_calibration_error`.
    """
    counts = confusion_counts(labels, predictions, len(label_names))
    scores = classification_scores(counts)
    drawn = bootstrap.bootstrap_indices(len(labels)) if intervals else None
    samples = {}
    if intervals:
        of_samples = confusion_counts(labels[drawn], predictions[drawn], len(label_names))
        samples = classification_scores(of_samples, class_mask(of_samples, labels))
    if probabilities is not None:
        confidence, correct = probabilities.max(axis=1), labels == predictions
        name = "expected_calibration_error"
        scores[name] = calibration_error(confidence, correct)
        if intervals:
            samples[name] = calibration_error(confidence[drawn], correct[drawn])
    of_class = ("precision", "recall", "f1")
    per_class = {
        name: {
            **{score: float(scores[score][i]) for score in of_class},
            "support": int(counts[i].sum()),
            **bootstrap.intervals({score: samples[score][:, i] for score in of_class if samples}),
        }
        for i, name in enumerate(label_names)
    }
    whole = [name for name in scores if name not in of_class]
    return {
        "n": len(labels),
        **{name: float(scores[name]) for name in whole},
        **bootstrap.intervals({name: samples[name] for name in whole if samples}),
        "per_class": per_class,
        "confusion_matrix": counts.tolist(),
    }


def calibration_bins(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Of each of the BINS of confidence, equally wide: examples, sum of the confidences, correct ones: (..., BINS, 3).

    confidence: the probability of the predicted label, correct: whether it is the true one; (..., n) each.
    """
    flat = confidence.reshape(-1, confidence.shape[-1])
    # A bin has its upper end: 1 is in the last one.
    bins = np.clip(np.ceil(flat * BINS).astype(int) - 1, 0, BINS - 1) + np.arange(len(flat))[:, None] * BINS
    sums = [
        np.bincount(bins.ravel(), weights.ravel(), minlength=len(flat) * BINS)
        for weights in (np.ones_like(flat), flat, correct.astype(float))
    ]
    return np.stack(sums, axis=-1).reshape(*confidence.shape[:-1], BINS, 3)


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Expected calibration error (Naeini et al., AAAI 2015): mean over the examples of their bin's |accuracy - mean
    confidence|; of (..., n) each, (...).
    """
    bins = calibration_bins(confidence, correct)
    return np.abs(bins[..., 2] - bins[..., 1]).sum(axis=-1) / confidence.shape[-1]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the labels, in double precision; shape (n, labels)."""
    return torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()
