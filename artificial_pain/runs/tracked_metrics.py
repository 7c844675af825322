"""What of a run's numbers W&B shows where: the curves, at most 40 numbers in the summary, and tables of the rest.

The summary is a run's row in the table of a project: a few numbers, which a reader compares.
"""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import pandas as pd
from transformers import TrainerState

from artificial_pain.data.vocabulary import CALIBRATED, INTENSITIES
from artificial_pain.evaluation.readings import READINGS

if TYPE_CHECKING:
    import wandb

# Of the Trainer's names ("loss", "eval_loss_initial"). Its measurements of speed are not logged.
CURVE_PREFIXES = ("loss", "grad_norm", "learning_rate", "accuracy", "macro_f1", "mae", "pearson")
# The curves with a best point in the summary, and which point that is. The others have none.
BEST = {"train/loss": "min", "validation/loss": "min", "validation/accuracy": "max", "validation/macro_f1": "max"}
BEST |= {"validation/mae": "min"} | {f"validation/mae_{name}": "min" for name in INTENSITIES.values()}
# The metrics of the summary, and which of them have their interval there, as …_low and …_high.
EMOTION_METRICS = ("macro_f1", "accuracy", "weighted_f1", "expected_calibration_error")
INTENSITY_METRICS = ("mae", "pearson")
WITH_INTERVAL = {"macro_f1", "accuracy", *INTENSITY_METRICS}


def curves(logs: dict) -> dict[str, float]:
    """A log of the Trainer by W&B's names: train/loss, validation/macro_f1, ..."""
    points = {}
    for name, value in logs.items():
        split, curve = ("validation", name.removeprefix("eval_")) if name.startswith("eval_") else ("train", name)
        if curve.startswith(CURVE_PREFIXES):
            points[f"{split}/{curve}"] = value
    return points


def define(run: "wandb.Run") -> None:
    """Draw the curves over the epoch, and keep the best points of the main ones in the summary."""
    run.define_metric("epoch", summary="none")
    for name in ("train/*", "validation/*"):
        run.define_metric(name, step_metric="epoch", summary="none")
    for name, best in BEST.items():
        run.define_metric(name, step_metric="epoch", summary=best)


def summary(results: dict, state: TrainerState) -> dict[str, float]:
    """The numbers of a finished run: main metrics on test, the kept epoch's on validation, epochs and seconds.

    The intensities are read at the predicted emotion. What is not defined is left out. The kept epoch's numbers take
    the place of the curves' best points, for a sweep chooses by `validation/macro_f1`.
    """
    test = results["test"]
    numbers = dict(_with_interval(test, EMOTION_METRICS, "test/{}"))
    for name, groups in test.get("intensity", {}).get("predicted_label", {}).items():
        numbers |= _with_interval(groups["micro"], INTENSITY_METRICS, f"test/{{}}_{name}")
    (kept,) = [log for log in state.log_history if log["step"] == state.best_global_step and "eval_loss" in log]
    numbers |= {name: value for name, value in curves(kept).items() if name in BEST}
    seconds = [log["train_runtime"] for log in state.log_history if "train_runtime" in log]
    numbers |= {"epochs": state.epoch} | ({"train_seconds": seconds[-1]} if seconds else {})
    return {name: value for name, value in numbers.items() if value is not None}


def _with_interval(scores: dict, metrics: tuple[str, ...], name: str) -> Iterator[tuple[str, float | None]]:
    for metric in metrics:
        yield name.format(metric), scores[metric]
        low, high = (metric in WITH_INTERVAL and scores.get("intervals", {}).get(metric)) or (None, None)
        yield from ((f"{name.format(metric)}_low", low), (f"{name.format(metric)}_high", high))


def tables(results: dict) -> dict[str, pd.DataFrame]:
    """All metrics on test in long form, by the table's name: a row a metric, with its interval."""
    test = results["test"]
    classes = [(label, *row) for label, scores in test["per_class"].items() for row in _rows(scores)]
    for part, reading in product(("intensity", f"{CALIBRATED}intensity"), READINGS):
        for target, groups in test.get(part, {}).get(reading, {}).items():
            name = f"{part}/{reading}/{target}"
            classes += [(label, *row) for label, scores in groups["per_emotion"].items() for row in _rows(scores, name)]
    baselines = [(name, *row) for name, scores in results["baselines"].items() for row in _rows(scores)]
    columns = ["metric", "value", "low", "high"]
    return {
        "test/metrics": pd.DataFrame(_rows(test), columns=columns),
        "test/per_class": pd.DataFrame(classes, columns=["label", *columns]),
        "baselines": pd.DataFrame(baselines, columns=["baseline", *columns]),
    }


def _rows(scores: dict, path: str = "") -> Iterator[tuple[str, float | None, float | None, float | None]]:
    """The path, the value and the interval of each metric in nested ones, without those of single classes."""
    for name, value in scores.items():
        inside = f"{path}/{name}".strip("/")
        if isinstance(value, dict):
            if name != "intervals" and not name.startswith("per_"):
                yield from _rows(value, inside)
        elif not isinstance(value, list):
            yield inside, value, *(scores.get("intervals", {}).get(name) or (None, None))
