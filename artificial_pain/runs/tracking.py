"""Weights & Biases: online with a key, offline without, and never in the way of the training."""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import wandb
from transformers import TrainerCallback

from artificial_pain import distributed, storage
from artificial_pain.errors import first_line, logger

PROJECT = "artificial-pain"
# Seconds. By default wandb waits for 90 and without end, which is long where there is no network.
INIT_TIMEOUT = FINISH_TIMEOUT = 20
# Of the Trainer's names ("loss", "eval_loss_initial"). Its measurements of speed are not logged.
CURVE_PREFIXES = ("loss", "grad_norm", "learning_rate", "accuracy", "macro_f1", "mae", "pearson")


class Tracker:
    """A W&B run that cannot stop the training: the first call that fails is a warning, and the work goes on.

    A context manager: the W&B run ends with the block, as failed where an error leaves it.
    """

    def __init__(self, run: wandb.Run | None, folders: Sequence[str] = ()):
        """run: None logs nothing. folders: of the earlier parts of a run that goes on."""
        self._run, self._works = run, True
        self.mode = "disabled" if run is None or run.disabled else "offline" if run.offline else "online"
        self.description = {name: getattr(run, name, None) for name in ("id", "name", "project")}  # for run.json
        self.description |= {"mode": self.mode, "url": run.url if self.mode == "online" else None}
        self.description["folders"] = [*folders, run.settings.sync_dir] if self.mode != "disabled" else [*folders]

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(exit_code=0 if kind is None else 1)

    def finish(self, exit_code: int = 0) -> None:
        """End the W&B run, as failed if the exit code is not 0. Only the first call has an effect."""
        self.attempt(lambda run: run.finish(exit_code=exit_code))
        self._run = None

    def log(self, values: dict, step: int) -> None:
        self.attempt(lambda run: run.log(values, step=step))

    def attempt(self, call: Callable[[wandb.Run], object]) -> None:
        """Call it with the W&B run, if there is one. An error is a warning, the first time."""
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:  # of many families: wandb's own, pydantic's, ConnectionError, HandleAbandonedError
            if self._works:
                logger.warning(f"W&B failed ({_reason(error)}): the work goes on, and the run's folder gets all of it")
            self._works, self.description["url"] = False, None  # the page lacks a part of the run


def how_to_look(described: dict) -> str:
    """A line that says where to see a run, by the description in its run.json."""
    if described["mode"] == "disabled":
        return "W&B: disabled"
    if described["url"]:
        return f"W&B: {described['url']}"
    command = shlex.join([storage.program("wandb"), "sync", "--include-online", *described["folders"]])
    return f"W&B: logged offline; to see it in the browser, with a key (wandb login): {command}"


def start(name: str, config: dict, folder: Path, earlier: dict | None = None) -> Tracker:
    """Start a W&B run, or go on with the one that `earlier`, from run.json, describes.

    WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY and WANDB_DIR win over what is set here. Where W&B cannot be used so, the
    run is offline, and where that fails too, it is not logged: each with a warning. Only the main process logs.
    """
    if not distributed.is_main_process():
        return Tracker(None)
    earlier = earlier or {"id": None, "folders": []}

    for mode, failure in (
        (None, "cannot be used as set up ({}): the run is logged offline"),
        ("offline", "cannot log offline either ({}): the run is not logged to it"),
    ):
        try:
            run = wandb.init(
                project=os.environ.get("WANDB_PROJECT") or PROJECT,
                name=os.environ.get("WANDB_NAME") or name,
                config=config,
                dir=os.environ.get("WANDB_DIR") or str(folder),
                mode=mode or _mode(),
                id=earlier["id"],
                resume="allow" if earlier["id"] else None,
                reinit="create_new",  # a run of the same process that is still open stays apart
                settings=wandb.Settings(
                    init_timeout=INIT_TIMEOUT,
                    finish_timeout=FINISH_TIMEOUT,
                    finish_timeout_raises=True,
                    disable_git=True,  # it would log the remote's URL with the user, which may be a token
                    silent=True,
                    console="off",
                ),
            )
            return Tracker(run, earlier["folders"])
        except Exception as error:  # as many families as in Tracker.attempt
            logger.warning(f"W&B {failure.format(_reason(error))}")
    return Tracker(None, earlier["folders"])


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _mode() -> str:
    """WANDB_MODE where it needs no key; else online if there is a key, and offline if there is none."""
    mode = os.environ.get("WANDB_MODE")
    if mode in ("offline", "disabled", "dryrun"):
        return mode
    if wandb.login(prompt=False, verify=False):
        return mode or "online"
    if mode:
        logger.warning(f"WANDB_MODE is {mode}, but W&B has no API key (WANDB_API_KEY or `wandb login`): logged offline")
    return "offline"


class Curves(TrainerCallback):
    """Logs the learning curves, by step, with the epoch beside them."""

    def __init__(self, tracker: Tracker):
        self.tracker = tracker

    def on_log(self, args, state, control, logs=None, **kwargs):
        curves = {}
        for name, value in logs.items():
            split, curve = ("validation", name.removeprefix("eval_")) if name.startswith("eval_") else ("train", name)
            if curve.startswith(CURVE_PREFIXES):
                curves[f"{split}/{curve}"] = value
        if curves and state.is_world_process_zero:
            self.tracker.log({**curves, "epoch": state.epoch}, step=state.global_step)


def log_results(
    tracker: Tracker, results: dict, predictions: pd.DataFrame, label_names: list[str], run_folder: Path, texts: bool
) -> None:
    """Log the test metrics and baselines to the run's summary, the test split's confusion matrix as a table, and the
    figures of the run's folder; if `texts`, also the predictions as a table with their texts.

    In the summary `validation/macro_f1`, by which sweeps choose, becomes that of the kept epoch.
    """

    def log(run: wandb.Run) -> None:
        for name, metrics in {"test": results["test"], **results["baselines"]}.items():
            run.summary.update(_scalars(metrics, name))
        true, predicted = (predictions[name].map(label_names.index).tolist() for name in ("label_name", "predicted"))
        matrix = wandb.plot.confusion_matrix(y_true=true, preds=predicted, class_names=label_names)
        tables = {"test/predictions": wandb.Table(dataframe=predictions.reset_index())} if texts else {}
        images = {f"figures/{path.stem}": wandb.Image(str(path)) for path in sorted(run_folder.glob("*.png"))}
        run.log({"test/confusion_matrix": matrix, **tables, **images})
        # After that log, which ends the step before. Otherwise the summary keeps the curve's last point, which may be
        # of another epoch than the kept one.
        run.summary["validation/macro_f1"] = results["validation"]["macro_f1"]

    tracker.attempt(log)


def _scalars(metrics: dict, prefix: str) -> dict[str, float]:
    """The numbers in nested metrics by their paths, and the bounds of their intervals as …_low and …_high.

    Those of single classes are in the run's files alone.
    """
    scalars = {}
    for name, value in metrics.items():
        if name == "intervals":
            for metric, bounds in value.items():
                if bounds:  # None where the metric is not defined
                    scalars[f"{prefix}/{metric}_low"], scalars[f"{prefix}/{metric}_high"] = bounds
        elif isinstance(value, dict) and not name.startswith("per_"):
            scalars |= _scalars(value, f"{prefix}/{name}")
        elif isinstance(value, float):
            scalars[f"{prefix}/{name}"] = value
    return scalars
