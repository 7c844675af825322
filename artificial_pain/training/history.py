"""What a training has logged so far, read back: `trainer.state.log_history`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import INTENSITIES

LOWER_IS_BETTER = {"loss", "mae"}  # of the metrics that choose a checkpoint


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: its step and metric, and how many evaluations there were without a better metric."""

    step: int | None = None  # None before the first evaluation
    value: float | None = None
    evaluations_since: int = 0


def best_evaluation(history: Sequence[dict], metric: str) -> Best:
    """The best evaluation by a metric of validation: the lowest of LOWER_IS_BETTER, the highest of the others.

    Of equal ones the one with the lowest validation loss, and of these the first. An equal one is no better one: the
    evaluations since are counted from the first that has the best metric. NaN is worse than any number.
    """
    evaluations = [log for log in history if f"eval_{metric}" in log]
    if not evaluations:
        return Best()

    def score(log: dict, name: str) -> float:
        return np.nan_to_num((-1 if name in LOWER_IS_BETTER else 1) * log[f"eval_{name}"], nan=-np.inf)

    scores = [score(log, metric) for log in evaluations]
    best = max(evaluations, key=lambda log: (score(log, metric), score(log, "loss")))
    return Best(best["step"], best[f"eval_{metric}"], len(scores) - 1 - scores.index(max(scores)))


def learning_curves(history: Sequence[dict]) -> pd.DataFrame:
    """The losses by epoch, of training (their means over its steps) and, as eval_…, of validation."""
    training = pd.DataFrame([log for log in history if "loss" in log])
    evaluations = pd.DataFrame([log for log in history if "eval_loss" in log])
    # A log is the mean over the steps since the one before it.
    training["steps"] = training["step"].diff().fillna(training["step"])
    curves = {}
    names = ["loss", "loss_emotion", *(f"loss_{name}" for name in INTENSITIES.values())]  # a log may be in any order
    for name in [name for name in names if name in training]:
        # A head that had nothing to learn from is left out of the log; a loss that is NaN stays one.
        logged = training if name == "loss" else training[training[name].notna()]
        epoch = np.ceil(logged["epoch"]).astype(int)
        sums = (logged[name] * logged["steps"]).groupby(epoch).sum(skipna=False)
        curves[name] = sums / logged["steps"].groupby(epoch).sum()
        if f"eval_{name}" in evaluations:
            curves[f"eval_{name}"] = evaluations.set_index(evaluations["epoch"].astype(int))[f"eval_{name}"]
    return pd.DataFrame(curves)
