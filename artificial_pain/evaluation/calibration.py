"""Calibration on the validation split: of the emotion's probabilities, and of the intensities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artificial_pain.evaluation.regression import MIN_PAIRS, is_constant

TEMPERATURES = (0.1, 10.0)  # where it is searched


@dataclass(frozen=True)
class Calibration:
    """The parameters of a calibration, as in the model's configuration. By default they change nothing.

    temperature: what the logits are divided by (temperature scaling, Guo et al., ICML 2017). slopes, intercepts:
    (intensities,) each, or one for all; a calibrated intensity is slope · predicted + intercept.
    """

    temperature: float = 1.0
    slopes: Sequence[float] | float = 1.0
    intercepts: Sequence[float] | float = 0.0

    def probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """The calibrated probabilities, from the uncalibrated ones: (n, labels)."""
        powers = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1 / self.temperature)
        return powers / powers.sum(axis=1, keepdims=True)

    def intensities(self, intensities: np.ndarray) -> np.ndarray:
        """The calibrated intensities, (n, intensities) or (n, intensities, labels)."""
        return (intensities.swapaxes(1, -1) * self.slopes + self.intercepts).swapaxes(1, -1)


def fit(
    probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray, annotated: np.ndarray, train_means: Sequence
) -> Calibration:
    """The calibration of a model, from what it predicts of validation, and what is true there.

    The temperature has the lowest negative log-likelihood, see `_temperature`. The slope, from 0 to 1, has the lowest
    squared error. The intercept follows from validation and from the training means, see `_line`.

    probabilities: (n, labels), not calibrated. labels: the true ones, (n,). predicted: the intensities at the predicted
    emotion, (n, intensities). annotated: (n, intensities), NaN where missing. train_means: of the intensities, NaN
    where the training split has none.
    """
    lines = [_line(*columns) for columns in zip(predicted.T, annotated.T, train_means, strict=True)]
    return Calibration(_temperature(probabilities, labels), [slope for slope, _ in lines], [at for _, at in lines])


def _temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest negative log-likelihood of n labels that are not quite certain.

    Each true label has the probability (n + 1) / (n + 2), and the others share the rest: the targets of Platt (1999).
    Else a model that predicts all of a small validation split right would be certain of whatever it says.
    """
    from scipy.optimize import minimize_scalar  # here: the first training step shall not wait for this import

    n, num_labels = probabilities.shape
    targets = np.full((n, num_labels), 1 / (n + 2) / (num_labels - 1))
    targets[np.arange(n), labels] = (n + 1) / (n + 2)

    def negative_log_likelihood(log_temperature: float) -> float:
        calibrated = Calibration(np.exp(log_temperature)).probabilities(probabilities)
        return -(targets * np.log(np.maximum(calibrated, np.finfo(float).tiny))).sum(axis=1).mean()

    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=np.log(TEMPERATURES), method="bounded").x))


def _line(predicted: np.ndarray, annotated: np.ndarray, train_mean: float) -> tuple[float, float]:
    """Slope and intercept of an intensity; predicted, annotated: (n,).

    The slope is that of the least squares, from 0 to 1. One below 0 would reverse the order of the texts. One above 1
    would enlarge their differences, and without bound where the predictions are nearly constant.

    The intercept gives the calibrated predictions a mean between train_mean and the mean annotation. The share of the
    latter is slope · covariance / variance of the annotation: what the line explains, if the slope is not clipped. Of
    all shares it gives the intercept the least squared error, with the slope and train_mean taken as exact: the mean
    annotation varies with the drawn examples, but as far as the line explains that, the mean prediction varies alike.

    Nothing is fitted to fewer than MIN_PAIRS known pairs, or without a training mean.
    """
    known = ~np.isnan(annotated)
    if known.sum() < MIN_PAIRS or np.isnan(train_mean):
        return 1.0, 0.0
    x, y = predicted[known], annotated[known]
    (variance, covariance), (_, annotated_variance) = np.cov(x, y)
    slope = 1.0 if is_constant(x) else np.clip(covariance / variance, 0, 1)  # constant: they differ by rounding alone
    share = 0.0 if is_constant(y) else slope * covariance / annotated_variance
    mean = share * y.mean() + (1 - share) * train_mean
    return float(slope), float(mean - slope * x.mean())
