"""An axis of pain: the direction in the states that the heads read along which an intensity is told."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from artificial_pain.evaluation import baselines, classification
from artificial_pain.modeling.model import EmotionModel

RANDOM_DIRECTIONS = 100
SEED = 0


def fit(states: Mapping[str, np.ndarray], texts: Mapping[str, pd.DataFrame], target: str) -> np.ndarray:
    """The axis of a target, (hidden,), of length 1: the covariance of the training states with what ridge regression
    predicts from them. states: of each split, (examples, hidden).

    It is not the weights of the regression: these also cancel what disturbs it, and point where the states hardly vary
    (Haufe et al., NeuroImage 2014).
    """
    centred = states["train"] - states["train"].mean(axis=0)
    direction = baselines.fit_ridge(states, texts, target).predict(states["train"]) @ centred
    return direction / np.linalg.norm(direction)


def emotion_directions(states: np.ndarray, labels: np.ndarray, num_labels: int) -> np.ndarray:
    """From the mean of all training states (n, hidden) to the mean of each label's: (labels, hidden), of length 1."""
    means = np.stack([states[labels == label].mean(axis=0) for label in range(num_labels)]) - states.mean(axis=0)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def random_directions(states: np.ndarray) -> np.ndarray:
    """RANDOM_DIRECTIONS of length 1, (directions, hidden): random mixtures of training states (n, hidden).

    They lie where the states vary, as the axis does. Uniformly random ones would hardly touch them.
    """
    mixture = np.random.default_rng(SEED).normal(size=(RANDOM_DIRECTIONS, len(states)))
    directions = mixture @ (states - states.mean(axis=0))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def angles(directions: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """In degrees, 0 to 180; directions (…, hidden) and axis (hidden,) have length 1."""
    return np.degrees(np.arccos(np.clip(directions @ axis, -1, 1)))


def project_out(states: np.ndarray, direction: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The states (n, hidden) with the centre's value along a direction of length 1; centre, direction: (hidden,)."""
    return states - ((states - centre) @ direction)[:, None] * direction


@torch.inference_mode()
def head_scores(model: EmotionModel, states: np.ndarray, texts: pd.DataFrame) -> dict[str, float]:
    """What the heads make of the states (n, hidden): macro-F1 of the emotion, and r of each intensity at that emotion.

    texts: the examples, with their labels and annotated intensities.
    """
    pooled = torch.from_numpy(states.astype(np.float32))
    predicted = model.emotion_head(pooled).numpy().argmax(axis=1)
    sums = classification.summands(texts["label"].to_numpy(), predicted, model.config.num_labels).sum(axis=0)
    scores = {"label_name": float(classification.macro_f1(sums))}
    for target, regressor in model.regressors.items():
        values = regressor(pooled).numpy()[np.arange(len(predicted)), predicted]
        known = texts[target].notna().to_numpy()
        scores[target] = float(np.nan_to_num(np.corrcoef(values[known], texts[target][known])[0, 1]))
    return scores


def ablate(
    model: EmotionModel, states: Mapping[str, np.ndarray], texts: pd.DataFrame, axis: np.ndarray
) -> pd.DataFrame:
    """The `head_scores` on test, a column a head. The rows are of the `whole` states, without the `axis`, and without
    each of the random directions, from 0 on.
    """
    test, centre = states["test"], states["train"].mean(axis=0)
    rows: dict[object, dict] = {"whole": head_scores(model, test, texts)}
    for name, direction in [("axis", axis), *enumerate(random_directions(states["train"]))]:
        rows[name] = head_scores(model, project_out(test, direction, centre), texts)
    return pd.DataFrame.from_dict(rows, orient="index")
