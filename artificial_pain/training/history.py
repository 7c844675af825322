"""What a training has logged so far, read back: `trainer.state.log_history`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import INTENSITIES


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: its step and metric, and how many evaluations there were since."""

    step: int | None = None  # None before the first evaluation
    value: float | None = None
    evaluations_since: int = 0


def best_evaluation(history: Sequence[dict], metric: str) -> Best:
    """The best evaluation by a metric of validation: the lowest "loss", or the highest "accuracy" or "macro_f1".

    Of equal ones the first. NaN is worse than any number.
    """
    sign = -1 if metric == "loss" else 1
    values = [(log["step"], log[f"eval_{metric}"]) for log in history if f"eval_{metric}" in log]
    best = max(range(len(values)), key=lambda i: np.nan_to_num(sign * values[i][1], nan=-np.inf), default=None)
    return Best() if best is None else Best(*values[best], evaluations_since=len(values) - 1 - best)


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
