"""Three ways to read one intensity from a regressor, which has an output for each emotion."""

from collections.abc import Mapping

import numpy as np

from artificial_pain.evaluation import bootstrap

# A reading's name in the results, and the end of its columns' names.
READINGS = {"true_label": "_at_true", "predicted_label": "_at_predicted", "expected": "_expected"}
READING_TITLES = {"true_label": "at the true emotion", "predicted_label": "at the predicted emotion"}
READING_TITLES |= {"expected": "expected over the emotions"}


def select_by_label(intensities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each example's outputs (n, targets, labels) at its label (n,): (n, targets)."""
    return intensities[np.arange(len(labels)), :, labels]


def expected(intensities: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Each example's outputs (n, targets, labels), weighted by the labels' probabilities (n, labels): (n, targets)."""
    return (intensities * probabilities[:, None]).sum(axis=2)


def read(
    intensities: np.ndarray, labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> dict[str, np.ndarray]:
    """The outputs (n, targets, labels) by READINGS, (n, targets) each: at the true and at the predicted labels (n,)
    each, and weighted by the probabilities (n, labels).
    """
    at_true, at_predicted = (select_by_label(intensities, emotions) for emotions in (labels, predictions))
    return {"true_label": at_true, "predicted_label": at_predicted, "expected": expected(intensities, probabilities)}


def inconsistency(intensities: np.ndarray) -> np.ndarray:
    """How far the three intensities contradict each other, in points of the scale.

    The mean over the examples of |final - initial - change|; intensities: (..., n, 3), in the order of INTENSITIES.
    """
    initial, final, change = np.moveaxis(intensities, -1, 0)
    return np.abs(final - initial - change).mean(axis=-1)


def inconsistencies(by_reading: Mapping[str, np.ndarray], intervals: bool = False) -> dict:
    """The inconsistency of each reading (n, 3), by its name; `intervals` adds the 95 % intervals."""
    samples = {}
    if intervals:
        indices = bootstrap.bootstrap_indices(len(next(iter(by_reading.values()))))
        samples = {reading: inconsistency(values[indices]) for reading, values in by_reading.items()}
    return {name: float(inconsistency(values)) for name, values in by_reading.items()} | bootstrap.intervals(samples)
