"""A split's predictions as a frame, and the metrics that follow from it.

A row is an example, indexed as in the corpus. The columns: `text`, `label_name`, of SAD's sheet `source`, and what the
model says: `predicted`, a probability a label, and for each intensity its annotation (NaN where missing) and the
prediction in each of READINGS. Then the calibrated probabilities and intensities, in columns that begin with
CALIBRATED. On test also what the baselines predict: a label in a column of the baseline's name, an intensity in one of
both names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import CALIBRATED, INTENSITIES, PROBABILITY
from artificial_pain.evaluation import classification, readings, regression
from artificial_pain.evaluation.calibration import Calibration
from artificial_pain.evaluation.readings import READINGS


def frame(
    texts: pd.DataFrame,
    predicted: np.ndarray,
    shares: np.ndarray,
    by_reading: Mapping[str, np.ndarray],
    names: Sequence[str],
    label_names: Sequence[str],
) -> pd.DataFrame:
    """The columns that are not calibrated. predicted: labels, (n,). shares: their probabilities, (n, labels).
    by_reading: the intensities in each of READINGS, (n, intensities). names: of the intensities.
    """
    columns = {"predicted": np.asarray(label_names)[predicted]}
    columns |= {f"{PROBABILITY}{name}": shares[:, i] for i, name in enumerate(label_names)}
    for i, name in enumerate(names):
        columns |= {name: texts[name]}
        columns |= {f"{name}{end}": by_reading[reading][:, i] for reading, end in READINGS.items()}
    return texts.filter(["text", "label_name", "source"]).assign(**columns)


def add_calibrated(predictions: pd.DataFrame, calibration: Calibration, label_names: Sequence[str]) -> pd.DataFrame:
    """The frame with the calibrated columns."""
    raw = [f"{PROBABILITY}{name}" for name in label_names]
    columns = dict(zip(raw, calibration.probabilities(predictions[raw].to_numpy(float)).T, strict=True))
    names = [name for name in INTENSITIES if name in predictions]
    for end in READINGS.values() if names else ():
        at = [f"{name}{end}" for name in names]
        columns |= dict(zip(at, calibration.intensities(predictions[at].to_numpy(float)).T, strict=True))
    return predictions.assign(**{f"{CALIBRATED}{name}": values for name, values in columns.items()})


def average(frames: Sequence[pd.DataFrame], label_column: str, probability: str) -> pd.DataFrame:
    """The frames of several models as those of one: the mean of each number, and the label that is the most probable.

    probability: the beginning of the columns' names that decide, before the labels.
    """
    numbers = frames[0].select_dtypes("number")
    mean = frames[0].assign(**{name: np.mean([frame[name] for frame in frames], axis=0) for name in numbers})
    of_labels = mean[[name for name in mean if name.startswith(probability)]]
    return mean.assign(**{label_column: of_labels.idxmax(axis=1).str.removeprefix(probability)})


def label_indices(predictions: pd.DataFrame, column: str, label_names: Sequence[str]) -> np.ndarray:
    """The labels of a column as indices into their names, (n,)."""
    return predictions[column].map({name: i for i, name in enumerate(label_names)}).to_numpy()


def probabilities(predictions: pd.DataFrame, label_names: Sequence[str]) -> dict[str, np.ndarray]:
    """The probabilities of the labels, (n, labels), by the beginning of their columns' names: "" and CALIBRATED."""
    names = [f"{PROBABILITY}{name}" for name in label_names]
    return {prefix: predictions[[f"{prefix}{name}" for name in names]].to_numpy(float) for prefix in ("", CALIBRATED)}


def emotion_metrics(predictions: pd.DataFrame, label_names: Sequence[str], intervals: bool) -> dict:
    """The metrics of a split's emotions, as in evaluation_results.json.

    `intervals` adds the 95 % intervals, and the metrics by source.
    """
    true, predicted = (label_indices(predictions, column, label_names) for column in ("label_name", "predicted"))
    shares = probabilities(predictions, label_names)
    scores = classification.classification(true, predicted, label_names, shares, intervals)
    return scores | (classification.by_source(true, predicted, label_names, predictions) if intervals else {})


def intensity_metrics(
    predictions: pd.DataFrame,
    label_names: Sequence[str],
    references: Mapping[str, regression.Reference],
    intervals: bool,
) -> dict:
    """The metrics of a split's intensities, as in evaluation_results.json; {} without intensities.

    references: by the columns of the intensities. `intervals` adds the 95 % intervals.
    """
    names, true = list(references), label_indices(predictions, "label_name", label_names)
    scores = {}
    for prefix in ("", CALIBRATED) if names else ():
        columns = {reading: [f"{prefix}{name}{end}" for name in names] for reading, end in READINGS.items()}
        read = {reading: predictions[at].to_numpy(float) for reading, at in columns.items()}
        arguments = predictions[names].to_numpy(float), read, true, references, label_names, intervals
        scores[f"{prefix}intensity"] = regression.intensity(*arguments)
        if len(names) == len(INTENSITIES):
            scores[f"{prefix}inconsistency"] = readings.inconsistencies(read, intervals)
    return scores
