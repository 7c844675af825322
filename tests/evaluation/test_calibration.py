"""Calibration: of probabilities whose temperature is known, and of intensities by a line."""

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


def no_intensities(n: int) -> tuple:
    return np.zeros((n, 0)), np.zeros((n, 0)), []


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_that_by_which_the_labels_were_drawn(temperature):
    probabilities, labels = drawn(temperature)
    found = fit(probabilities, labels, *no_intensities(len(labels)))
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
    many = np.tile(sure, (50_000, 1)), np.tile([0, 1], 50_000)
    assert fit(*many, *no_intensities(100_000)).temperature == pytest.approx(0.1, rel=0.01)
    assert fit(sure, np.array([1, 0]), *no_intensities(2)).temperature == pytest.approx(10, rel=0.01)
    assert 0.1 <= fit(certain, np.array([1, 2, 0]), *no_intensities(3)).temperature <= 10


@pytest.mark.parametrize("n", [2, 30, 500])
def test_of_few_examples_that_are_all_right_no_certainty_follows(n):
    """The calibrated probability is the target of Platt: (n + 1) / (n + 2)"""
    found = fit(np.tile([0.7, 0.3], (n, 1)), np.zeros(n, int), *no_intensities(n))
    assert found.probabilities(np.array([[0.7, 0.3]]))[0, 0] == pytest.approx((n + 1) / (n + 2), abs=1e-4)


def fitted(predicted: np.ndarray, annotated: np.ndarray, train_means: list[float]) -> Calibration:
    """The calibration of intensities, (n, intensities) each."""
    return fit(np.full((len(predicted), 2), 0.5), np.zeros(len(predicted), int), predicted, annotated, train_means)


def test_slopes_are_those_of_least_squares_from_0_to_1():
    """Of the known pairs, by scipy. Against the order of the truth the slope is 0, and the training mean is said; where
    the truth varies more than the prediction, the slope is 1.
    """
    rng = np.random.default_rng(1)
    predicted = rng.normal(3, 1, (50, 3))
    annotated = np.stack([2 + 0.3 * predicted[:, 0], 5 - predicted[:, 1], 3 * predicted[:, 2]], axis=1)
    annotated += rng.normal(0, 0.1, annotated.shape)
    annotated[::3, 0] = np.nan
    known = ~np.isnan(annotated[:, 0])
    line = stats.linregress(predicted[known, 0], annotated[known, 0])
    found = fitted(predicted, annotated, [annotated[known, 0].mean(), 2.5, 4.0])
    assert found.slopes == pytest.approx([line.slope, 0, 1])
    share = np.cov(predicted[:, 2], annotated[:, 2])[0, 1] / annotated[:, 2].var(ddof=1)
    clipped = share * annotated[:, 2].mean() + (1 - share) * 4 - predicted[:, 2].mean()
    assert found.intercepts == pytest.approx([line.intercept, 2.5, clipped])
    outputs = rng.normal(size=(50, 3, 2))
    calibrated = found.intensities(outputs)
    assert calibrated[:, 0] == pytest.approx(outputs[:, 0] * line.slope + line.intercept)
    assert found.intensities(outputs[:, :, 1]) == pytest.approx(calibrated[:, :, 1])


def test_intercept_by_hand():
    """The slope is 1/2, and the line explains 1/4 of the annotations' variance, 4. So the mean after the calibration is
    1/4 of the mean annotation, 2, and 3/4 of the training mean, 5. Half of the mean prediction, 4, is 2.
    """
    predicted, annotated = np.array([2.0, 2, 2, 2, 6, 6, 6, 6]), np.repeat([1.0, 3], 4)
    annotated += np.tile([3**0.5, -(3**0.5)], 4)
    found = fitted(predicted[:, None], annotated[:, None], [5.0])
    assert (found.slopes[0], found.intercepts[0]) == pytest.approx((0.5, 0.25 * 2 + 0.75 * 5 - 2))


@pytest.mark.parametrize(("true_slope", "explained"), [(0.5, 0.05), (0.5, 0.5), (0.5, 0.95), (2, 0.7), (4, 0.95)])
def test_intercept_has_at_most_the_error_of_validation_and_of_the_training_mean_alone(true_slope, explained):
    """But for 5 %. Of 30 examples, drawn 300 times from a line that explains that share of the variance"""
    rng, errors = np.random.default_rng(2), []
    for _ in range(300):
        x = rng.normal(size=30)
        y = 4 + true_slope * x + rng.normal(scale=true_slope * (1 / explained - 1) ** 0.5, size=30)
        found = fitted(x[:, None], y[:, None], [4.0])
        slope = found.slopes[0]
        errors.append([found.intercepts[0] - 4, y.mean() - slope * x.mean() - 4, -slope * x.mean()])
    ours, validation, training = np.square(errors).mean(axis=0)
    assert ours < 1.05 * min(validation, training)
    assert ours < 0.6 * max(validation, training)


@pytest.mark.parametrize(
    ("predicted", "annotated", "line"),
    [
        ([1.0, 2, 3, 4], [2.0, 4, 6, 8], (1, 0)),  # fewer than 5 pairs
        ([1.0, 2, 3, 4, 5], [np.nan] * 5, (1, 0)),
        ([3.0] * 5, [2.0, 4, 4, 5, 5], (1, 0.5)),  # to the training mean
        ([3.0] * 5, [4.0] * 5, (1, 0.5)),
        ([3.0, 3 - 1e-6, 3, 3, 3 + 1e-6], [4.0] * 5, (1, 0.5)),
        ([1.0, 2, 3, 4, 5], [4.0] * 5, (0, 3.5)),
        ([3.0, 3 - 1e-6, 3, 3, 3 + 1e-6], [5.0, 5, 4, 4, 2], (1, 0.5)),  # the same but for rounding
    ],
)
def test_what_fits_no_line_is_left_or_shifted(predicted, annotated, line):
    found = fitted(np.array([predicted]).T, np.array([annotated]).T, [3.5])
    assert (found.slopes[0], found.intercepts[0]) == pytest.approx(line)


def test_without_a_training_mean_nothing_is_fitted():
    found = fitted(np.arange(6.0)[:, None], np.arange(6.0)[:, None] / 2, [np.nan])
    assert (found.slopes, found.intercepts) == ([1.0], [0.0])


def test_a_model_of_before_is_not_calibrated():
    probabilities, intensities = drawn(1, n=10)[0], np.arange(6.0).reshape(2, 3)
    assert Calibration().probabilities(probabilities) == pytest.approx(probabilities)
    assert (Calibration().intensities(intensities) == intensities).all()
    assert Calibration(**asdict(Calibration(2.0, [0.5], [1.0]))) == Calibration(2.0, [0.5], [1.0])
