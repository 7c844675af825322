"""Calibration on the validation split: of the emotion's probabilities, and of the intensities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artificial_pain.evaluation.regression import MIN_PAIRS, is_constant

TEMPERATURES = (0.1, 10.0)  # where it is searched: if all of validation is predicted right, the best would be 0


@dataclass(frozen=True)
class Calibration:
    """The parameters of a calibration, as in the model's configuration. By default they change nothing.

    temperature: what the logits are divided by (temperature scaling, Guo et al., ICML 2017). slopes, intercepts:
    (intensities,) each; a calibrated intensity is slope · predicted + intercept.
    """

    temperature: float = 1.0
    slopes: Sequence[float] | None = None
    intercepts: Sequence[float] | None = None

    def probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """The calibrated probabilities, from the uncalibrated ones: (n, labels)."""
        powers = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1 / self.temperature)
        return powers / powers.sum(axis=1, keepdims=True)

    def intensities(self, intensities: np.ndarray) -> np.ndarray:
        """The calibrated intensities, (n, intensities) or (n, intensities, labels)."""
        if self.slopes is None:
            return intensities
        shape = (1, -1) + (1,) * (intensities.ndim - 2)
        return intensities * np.reshape(self.slopes, shape) + np.reshape(self.intercepts, shape)


def fit(probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray, annotated: np.ndarray) -> Calibration:
    """The calibration of a model, from what it predicts of validation, and what is true there.

    The temperature has the lowest negative log-likelihood. Slope and intercept have the lowest squared error, with a
    slope from 0 to 1.

    probabilities: (n, labels), not calibrated. labels: the true ones, (n,). predicted: the intensities at the predicted
    emotion, (n, intensities). annotated: (n, intensities), NaN where missing.
    """
    lines = [_line(*pair) for pair in zip(predicted.T, annotated.T, strict=True)]
    return Calibration(_temperature(probabilities, labels), [slope for slope, _ in lines], [at for _, at in lines])


def _temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    from scipy.optimize import minimize_scalar  # here: the first training step shall not wait for this import

    def negative_log_likelihood(log_temperature: float) -> float:
        calibrated = Calibration(np.exp(log_temperature)).probabilities(probabilities)
        return -np.log(np.maximum(calibrated[np.arange(len(labels)), labels], np.finfo(float).tiny)).mean()

    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=np.log(TEMPERATURES), method="bounded").x))


def _line(predicted: np.ndarray, annotated: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the least squares, with a slope from 0 to 1; predicted, annotated: (n,).

    A slope below 0 would reverse the order of the texts. One above 1 would enlarge their differences, and without bound
    where the predictions are nearly constant. Nothing is fitted to fewer than MIN_PAIRS known pairs.
    """
    known = ~np.isnan(annotated)
    if known.sum() < MIN_PAIRS:
        return 1.0, 0.0
    x, y = predicted[known], annotated[known]
    slope = 1.0  # of predictions that differ by rounding alone
    if not is_constant(x):
        slope = np.clip(((x - x.mean()) * (y - y.mean())).mean() / x.var(), 0, 1)
    return float(slope), float(y.mean() - slope * x.mean())
