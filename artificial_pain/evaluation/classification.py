"""Metrics of predicted labels as pure functions of arrays, and their intervals over the examples.

Most are functions of sums over the examples, see `bootstrap`: `summands` are what an example adds. The interval stands
beside the metric, in `intervals`, under the metric's name.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from artificial_pain.evaluation import bootstrap

BINS = 15  # of confidence, as in Guo et al. (ICML 2017)
CLASS_METRICS = ("precision", "recall", "f1")
DRAWS = 200  # of the calibration error of a calibrated model: its mean is then exact to about 0.001
PROPER = ("negative_log_likelihood", "brier_score")  # metrics of probabilities that the true ones have the best of


def confusion_counts(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How many of n examples of each true label (rows) have each predicted label (columns); (classes, classes)."""
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def summands(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """What each of n examples adds to the sums that `scores` takes: (n, 3 * classes).

    Of each class: whether it is the true label, the predicted one, and both.
    """
    one_hot = np.eye(classes)
    true, predicted = one_hot[labels], one_hot[predictions]
    return np.concatenate([true, predicted, true * predicted], axis=-1)


def scores(sums: np.ndarray, counts_missing: np.ndarray | bool = True) -> dict[str, np.ndarray]:
    """The metrics of sums of `summands`, (..., 3 * classes): each (...), those of single classes (..., classes).

    counts_missing: whether a class without examples counts as 0 in the means over the classes, or is left out of them;
    (classes,), or one for all.
    """
    support, predicted, true_positives = np.split(sums, 3, axis=-1)
    precision, recall = true_positives / np.maximum(predicted, 1), true_positives / np.maximum(support, 1)
    f1 = 2 * true_positives / np.maximum(support + predicted, 1)
    number = np.maximum(support.sum(axis=-1), 1)  # the only example may be left out
    accuracy = true_positives.sum(axis=-1) / number
    mask = (support > 0) | counts_missing

    def macro(scores: np.ndarray) -> np.ndarray:
        return (scores * mask).sum(axis=-1) / mask.sum(axis=-1)

    return {
        "accuracy": accuracy,
        "macro_accuracy": macro(recall),
        "macro_f1": macro(f1),
        "micro_f1": accuracy,
        "weighted_f1": (f1 * support).sum(axis=-1) / number,
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """Macro-F1, of sums of `summands` (..., 3 * classes). Returns (...)."""
    return scores(sums)["macro_f1"]


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Of each example the PROPER scores, which are their means: (n, 2). probabilities: (n, classes).

    The negative log-likelihood of the true label, and the squared distance between the probabilities and the label
    (Brier, 1950): 0 is the best of both, and 2 the worst Brier score.
    """
    of_label = np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(float).tiny)
    distance = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return np.stack([-np.log(of_label), distance], axis=1)


def resampled_scores(
    labels: np.ndarray, predictions: np.ndarray, classes: int, probabilities: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The metrics of `classification` in resamples of the examples: (RESAMPLES,) each, of classes (RESAMPLES, classes).

    A class that a resample happens to miss is left out of its means: else these would be lower than on new examples.
    """
    counts = bootstrap.resample_counts(len(labels))
    present = np.bincount(labels, minlength=classes) > 0  # another class counts as 0, as in the metric
    resampled = scores(counts @ summands(labels, predictions, classes), ~present)
    for prefix, values in (probabilities or {}).items():
        means = counts @ losses(labels, values) / len(labels)
        resampled |= {f"{prefix}{name}": means[:, i] for i, name in enumerate(PROPER)}
    return resampled


def _intervals(sums: np.ndarray, resampled: dict[str, np.ndarray], confusion: np.ndarray) -> dict[str, list]:
    """The intervals of metrics over all classes, by name; of functions of `sums` by BCa, of means by percentiles."""
    classes = len(confusion)
    true, predicted = np.nonzero(confusion)  # examples of one cell of the matrix are of one kind
    left_out = scores(sums - summands(true, predicted, classes), confusion.sum(axis=1) == 0)
    values, kinds = scores(sums), confusion[true, predicted]
    return {
        name: bootstrap.bca_interval(samples, values[name], left_out[name], kinds)
        if name in values
        else bootstrap.interval(samples)
        for name, samples in resampled.items()
        if name not in CLASS_METRICS
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
    intervals; the calibration error has none, but `…_if_calibrated` beside it.

    probabilities: of the labels, (n, labels), by the beginning of the names of their metrics: "" or "calibrated_".
    """
    classes = len(label_names)
    confusion, sums = confusion_counts(labels, predictions, classes), summands(labels, predictions, classes).sum(axis=0)
    values = scores(sums)
    for prefix, of_labels in (probabilities or {}).items():
        values |= {f"{prefix}{key}": loss for key, loss in zip(PROPER, losses(labels, of_labels).mean(0), strict=True)}
        confidence, error = of_labels.max(axis=1), f"{prefix}expected_calibration_error"
        values[error] = calibration_error(confidence, labels == predictions)
        values |= {f"{error}_if_calibrated": calibration_error_if_calibrated(confidence)} if intervals else {}
    resampled = resampled_scores(labels, predictions, classes, probabilities) if intervals else {}
    per_class = {
        name: {
            **{score: float(values[score][i]) for score in CLASS_METRICS},
            "support": int(confusion[i].sum()),
            **bootstrap.intervals({score: resampled[score][:, i] for score in CLASS_METRICS if resampled}),
        }
        for i, name in enumerate(label_names)
    }
    return {
        "n": len(labels),
        **{name: float(value) for name, value in values.items() if name not in CLASS_METRICS},
        **({"intervals": _intervals(sums, resampled, confusion)} if intervals else {}),
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
    }


def by_source(labels: np.ndarray, predictions: np.ndarray, label_names: Sequence[str], examples: pd.DataFrame) -> dict:
    """The entry "by_source" of a result: `n`, `accuracy` and `weighted_f1` for each source of the examples, where these
    have a column `source`; else nothing. labels, predictions: (n,), in the order of the examples.
    """
    if "source" not in examples:
        return {}
    metrics = {}
    for source, rows in sorted(examples.reset_index().groupby("source").indices.items()):
        of_source = classification(labels[rows], predictions[rows], label_names)
        metrics[source] = {name: of_source[name] for name in ("n", "accuracy", "weighted_f1")}
    return {"by_source": metrics}


def calibration_bins(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """For each of BINS equally wide bins of confidence: examples, sum of confidences, correct examples: (..., BINS, 3).

    confidence: the probability of the predicted label, correct: whether it is the true label; (..., n) each.
    """
    flat = confidence.reshape(-1, confidence.shape[-1])
    # A bin contains its upper end: 1 is in the last bin.
    bins = np.clip(np.ceil(flat * BINS).astype(int) - 1, 0, BINS - 1) + np.arange(len(flat))[:, None] * BINS
    added = np.ones_like(flat), flat, correct.astype(float)
    sums = [np.bincount(bins.ravel(), values.ravel(), minlength=len(flat) * BINS) for values in added]
    return np.stack(sums, axis=-1).reshape(*confidence.shape[:-1], BINS, 3)


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Expected calibration error (Naeini et al., AAAI 2015): mean over the examples of their bin's |accuracy - mean
    confidence|. confidence, correct: (..., n). Returns (...).
    """
    bins = calibration_bins(confidence, correct)
    return np.abs(bins[..., 2] - bins[..., 1]).sum(axis=-1) / confidence.shape[-1]


def calibration_error_if_calibrated(confidence: np.ndarray) -> float:
    """What the calibration error of n examples would be on average if the confidences (n,) were the truth.

    It is not 0, for the examples of a bin are right more or less often by chance. Each draw says of each example
    whether it is right, with its confidence as the probability.
    """
    drawn = np.random.default_rng(bootstrap.SEED).random((DRAWS, len(confidence)))
    return float(calibration_error(np.broadcast_to(confidence, drawn.shape), drawn < confidence).mean())


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the labels, in double precision; shape (n, labels)."""
    return torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()
