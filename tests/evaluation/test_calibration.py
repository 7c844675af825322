"""Calibration: of probabilities whose temperature is known, and of intensities by least squares."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy import special, stats
from sklearn.metrics import log_loss

from artificial_pain.evaluation.calibration import Calibration, fit


def drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 4) of logits, and labels that were drawn from the softmax of the logits by the temperature."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(n, 4))
    labels = (special.softmax(logits / temperature, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return special.softmax(logits, axis=1), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_that_by_which_the_labels_were_drawn(temperature):
    probabilities, labels = drawn(temperature)
    found = fit(probabilities, labels, *[np.zeros((len(labels), 0))] * 2)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    calibrated = found.probabilities(probabilities)
    assert calibrated == pytest.approx(special.softmax(np.log(probabilities) / found.temperature, axis=1))
    assert (calibrated.argmax(axis=1) == probabilities.argmax(axis=1)).all(), "no prediction is another one"
    for other in (0.9, 1.1):
        moved = Calibration(found.temperature * other).probabilities(probabilities)
        assert log_loss(labels, moved) > log_loss(labels, calibrated)


def test_temperature_has_bounds_and_certainty_is_no_error():
    """Where all is right, none would be low enough; a probability of 0 stays one, and is finite in the likelihood"""
    certain = np.eye(3)
    assert Calibration(0.3).probabilities(certain) == pytest.approx(certain)
    sure = np.array([[0.6, 0.4], [0.3, 0.7]])
    assert fit(sure, np.array([0, 1]), *[np.zeros((2, 0))] * 2).temperature == pytest.approx(0.1, rel=0.01)
    assert fit(sure, np.array([1, 0]), *[np.zeros((2, 0))] * 2).temperature == pytest.approx(10, rel=0.01)
    assert 0.1 <= fit(certain, np.array([1, 2, 0]), *[np.zeros((3, 0))] * 2).temperature <= 10


def test_slopes_and_intercepts_are_those_of_least_squares():
    """Of the known pairs, by scipy. Against the order of the truth the slope is 0, and the mean is said; where the
    truth varies more than the prediction, the slope is 1, and the mean is right.
    """
    rng = np.random.default_rng(1)
    predicted, probabilities = rng.normal(3, 1, (50, 3)), np.full((50, 2), 0.5)
    annotated = np.stack([2 + 0.3 * predicted[:, 0], 5 - predicted[:, 1], 3 * predicted[:, 2]], axis=1)
    annotated += rng.normal(0, 0.1, annotated.shape)
    annotated[::3, 0] = np.nan
    found = fit(probabilities, np.zeros(50, int), predicted, annotated)
    known = ~np.isnan(annotated[:, 0])
    line = stats.linregress(predicted[known, 0], annotated[known, 0])
    assert (found.slopes[0], found.intercepts[0]) == pytest.approx((line.slope, line.intercept))
    assert (found.slopes[1], found.intercepts[1]) == pytest.approx((0, annotated[:, 1].mean()))
    assert (found.slopes[2], found.intercepts[2]) == pytest.approx((1, (annotated - predicted)[:, 2].mean()))
    outputs = rng.normal(size=(50, 3, 2))
    calibrated = found.intensities(outputs)
    assert calibrated[:, 0] == pytest.approx(outputs[:, 0] * line.slope + line.intercept)
    assert found.intensities(outputs[:, :, 1]) == pytest.approx(calibrated[:, :, 1])


@pytest.mark.parametrize(
    ("predicted", "annotated", "line"),
    [
        ([1.0, 2, 3, 4], [2.0, 4, 6, 8], (1, 0)),  # fewer than 5 pairs
        ([1.0, 2, 3, 4, 5], [np.nan] * 5, (1, 0)),
        ([3.0] * 5, [2.0, 4, 4, 5, 5], (1, 1)),
        ([3.0, 3 - 1e-6, 3, 3, 3 + 1e-6], [5.0, 5, 4, 4, 2], (1, 1)),  # the same but for rounding
    ],
)
def test_what_fits_no_line_is_left_or_shifted(predicted, annotated, line):
    predicted, annotated = np.array([predicted]).T, np.array([annotated]).T
    found = fit(np.full((len(predicted), 2), 0.5), np.zeros(len(predicted), int), predicted, annotated)
    assert (found.slopes[0], found.intercepts[0]) == pytest.approx(line)


def test_a_model_of_before_is_not_calibrated():
    probabilities, intensities = drawn(1, n=10)[0], np.arange(6.0).reshape(2, 3)
    assert Calibration().probabilities(probabilities) == pytest.approx(probabilities)
    assert Calibration().intensities(intensities) is intensities
    assert Calibration(**asdict(Calibration(2.0, [0.5], [1.0]))) == Calibration(2.0, [0.5], [1.0])
