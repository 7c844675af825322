"""Weights & Biases: online with a key, offline without, and never in the way of the training."""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import wandb
from transformers import TrainerCallback

from artificial_pain import distributed
from artificial_pain.errors import first_line, warn
from artificial_pain.storage import program

PROJECT = "artificial-pain"
# Seconds: wandb's own are 90 and no end, which is long where there is no network.
INIT_TIMEOUT = 20
FINISH_TIMEOUT = 20
# Beginnings of the names that the Trainer logs ("loss", "eval_loss_initial"), less its measurements of speed.
CURVES = ("loss", "grad_norm", "learning_rate", "accuracy", "macro_f1", "mae", "pearson")


class Tracker:
    """A W&B run that cannot stop the training: a call that fails is told, the first time, and the work goes on.

    A context manager: the W&B run ends with it, as failed where an error leaves the block.
    """

    def __init__(self, run: wandb.Run | None, folders: Sequence[str] = ()):
        """`folders` are those of the run's parts before this one, where it goes on."""
        self._run = run
        self._works = True
        self.mode = "disabled" if run is None or run.disabled else "offline" if run.offline else "online"
        self.id, self.name, self.project = (run.id, run.name, run.project) if run else (None, None, None)
        self.url = run.url if self.mode == "online" else None
        self.folders = [*folders, run.settings.sync_dir] if self.mode != "disabled" else [*folders]

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
        """Call it with the run, if there is one."""
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:  # of many families: wandb's own, pydantic's, ConnectionError, HandleAbandonedError
            if self._works:
                warn(f"W&B failed ({_reason(error)}): the work goes on, and the run's folder will have all of it")
            self._works, self.url = False, None  # what is there is not the whole

    def describe(self) -> dict:
        """For run.json."""
        return {name: getattr(self, name) for name in ("id", "name", "project", "mode", "url", "folders")}


def how_to_look(described: dict) -> str:
    """The line that tells where a run can be seen, by what run.json has of it."""
    if described["mode"] == "disabled":
        return "W&B: disabled"
    if described["url"]:
        return f"W&B: {described['url']}"
    command = shlex.join([program("wandb"), "sync", "--include-online", *described["folders"]])
    return f"W&B: logged offline; to see it in the browser, with a key (wandb login): {command}"


def start(name: str, config: dict, folder: Path, earlier: dict | None = None) -> Tracker:
    """Begin a W&B run of its own, or go on with the one that `earlier`, from run.json, describes.

    WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY and WANDB_DIR win over what is set here. Where that cannot be, it is
    offline, and where that cannot be either, there is none: each is told. Of several processes, the first alone logs.
    """
    if not distributed.is_main_process():
        return Tracker(None)
    earlier = earlier or {"id": None, "folders": []}

    def begin(mode: str) -> Tracker:
        return Tracker(
            wandb.init(
                project=os.environ.get("WANDB_PROJECT") or PROJECT,
                name=os.environ.get("WANDB_NAME") or name,
                config=config,
                dir=os.environ.get("WANDB_DIR") or str(folder),
                mode=mode,
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
            ),
            earlier["folders"],
        )

    try:
        return begin(_mode())
    except Exception as error:  # as many families as in Tracker.attempt
        warn(f"W&B cannot be used as set up ({_reason(error)}): the run is logged offline")
    try:
        return begin("offline")
    except Exception as error:
        warn(f"W&B cannot log offline either ({_reason(error)}): the run is not logged to it")
        return Tracker(None, earlier["folders"])


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _mode() -> str:
    """WANDB_MODE where it needs no key; else online if there is a key, and offline if there is none."""
    asked = os.environ.get("WANDB_MODE")
    if asked in ("offline", "disabled", "dryrun"):
        return asked
    if wandb.login(prompt=False, verify=False):
        return asked or "online"
    if asked:
        warn(f"WANDB_MODE is {asked}, but W&B has no API key (WANDB_API_KEY or `wandb login`): logged offline")
    return "offline"


class Curves(TrainerCallback):
    """Logs the learning curves, by step, with the epoch beside them."""

    def __init__(self, tracker: Tracker):
        self.tracker = tracker

    def on_log(self, args, state, control, logs=None, **kwargs):
        curves = {}
        for name, value in logs.items():
            split, curve = ("validation", name.removeprefix("eval_")) if name.startswith("eval_") else ("train", name)
            if curve.startswith(CURVES):
                curves[f"{split}/{curve}"] = value
        if curves and state.is_world_process_zero:
            self.tracker.log({**curves, "epoch": state.epoch}, step=state.global_step)


def log_results(
    tracker: Tracker, results: dict, predictions: pd.DataFrame, label_names: list[str], run_folder: Path, texts: bool
) -> None:
    """Test metrics and baselines to the run's summary; the test split's confusion matrix as a table, and the figures of
    the run's folder; where `texts` is true, the predictions as a table with their texts.

    In the summary `validation/macro_f1`, by which sweeps choose, becomes that of the kept epoch.
    """

    def log(run: wandb.Run) -> None:
        for name, metrics in {"test": results["test"], **results["baselines"]}.items():
            run.summary.update(_scalars(metrics, name))
        matrix = wandb.plot.confusion_matrix(
            y_true=[label_names.index(name) for name in predictions["label_name"]],
            preds=[label_names.index(name) for name in predictions["predicted"]],
            class_names=label_names,
        )
        tables = {"test/predictions": wandb.Table(dataframe=predictions.reset_index())} if texts else {}
        images = {f"figures/{path.stem}": wandb.Image(str(path)) for path in sorted(run_folder.glob("*.png"))}
        run.log({"test/confusion_matrix": matrix, **tables, **images})
        # After that log, which ends the step before. Otherwise the last point of the curve would stay, which may be of
        # another epoch than the kept one.
        run.summary["validation/macro_f1"] = results["validation"]["macro_f1"]

    tracker.attempt(log)


def _scalars(metrics: dict, prefix: str) -> dict[str, float]:
    """The numbers in nested metrics, by their path, the ends of their intervals as …_low and …_high; those of single
    classes are left to the files.
    """
    scalars = {}
    for name, value in metrics.items():
        if name == "intervals":
            known = {metric: ends for metric, ends in value.items() if ends}
            scalars |= {f"{prefix}/{metric}_low": ends[0] for metric, ends in known.items()}
            scalars |= {f"{prefix}/{metric}_high": ends[1] for metric, ends in known.items()}
        elif isinstance(value, dict) and not name.startswith("per_"):
            scalars |= _scalars(value, f"{prefix}/{name}")
        elif isinstance(value, float):
            scalars[f"{prefix}/{name}"] = value
    return scalars
