"""Weights & Biases: online with a key, offline without, and never in the way of the training."""

import hashlib
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from transformers import TrainerCallback, TrainerState

from artificial_pain import distributed, environment, storage
from artificial_pain.data.tokenization import Splits
from artificial_pain.errors import first_line, logger
from artificial_pain.runs import tracked_metrics, wandb_mode
from artificial_pain.runs.status import RESUMABLE_FLAGS

if TYPE_CHECKING:
    import wandb

PROJECT = "artificial-pain"
# Seconds, unless W&B's variable says otherwise. Its defaults, 90 and without end, are long where there is no network.
TIMEOUTS = {"init_timeout": 20, "finish_timeout": 20}
TRUE = ("1", "true", "yes", "on", "t", "y")  # of WANDB_DISABLED, which W&B itself no longer reads
MAX_TAG_LENGTH = 64  # W&B's
NOT_OF_A_SETTING = {*RESUMABLE_FLAGS, "seed"}  # flags that do not tell the settings of two runs apart


def init_arguments(name: str, record: dict, splits: Splits) -> dict:
    """Arguments of wandb.init for a run: name, config, group, job_type and tags.

    The config tells runs apart. The group is one setting: its name ends in a digest of the flags, less the seed and
    those that change no result, the precision, the encoder, and the data.
    """
    arguments, data = record["arguments"], record["data"]
    heads = arguments.get("head_num", 1)
    balance = "balanced" if arguments["balanced"] else "unbalanced"
    sizes = {split: len(frame) for split, frame in splits.texts.items()}
    setting = {flag: value for flag, value in arguments.items() if flag not in NOT_OF_A_SETTING}
    setting |= {name: record[name] for name in ("precision", "encoder")}
    setting |= {name: data[name] for name in ("fingerprint", "max_length")}
    digest = hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()
    return {
        "name": name,
        "group": f"{name}_{digest[:8]}",
        "job_type": "debug" if arguments["debug"] else "train",
        "tags": [data["corpus"], Path(record["encoder"]["name"]).resolve().name, balance, f"heads: {heads}"],
        "config": {
            **arguments,
            **{part: record[part] for part in ("precision", "encoder", "device", "git", "versions")},
            "data": {**data, "examples": sizes, "labels": splits.label_names},
        },
    }


class Tracker:
    """A W&B run that cannot stop the training: the first call that fails is a warning, and the work goes on.

    It starts with the first call, so that the first training steps wait neither for wandb's import nor for its server.
    A context manager: the W&B run ends with the block, as failed where an error leaves it. Only the main process logs.
    """

    def __init__(
        self, init: dict, folder: Path, earlier: dict | None = None, on_start: Callable[[], object] = lambda: None
    ):
        """init: name, config, group, job_type and tags of a new run, see `init_arguments`. folder: for W&B's files.

        earlier: what `description` was in an earlier part of the run, which goes on. on_start is called when
        `description`, for run.json, is known.
        """
        self.init, self._folder, self._on_start = init, folder, on_start
        self._run, self.started, self._works = None, False, True
        nothing = {"id": None, "name": None, "project": None, "folders": []}
        self.description = nothing | (earlier or {}) | {"mode": "disabled", "url": None}

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(exit_code=0 if kind is None else 1)

    def finish(self, exit_code: int = 0) -> None:
        """End the W&B run, as failed if the exit code is not 0. Only the first call has an effect."""
        if self._run is not None:
            self.attempt(lambda run: run.finish(exit_code=exit_code))
        self._run, self.started = None, True

    def log(self, values: dict, step: int) -> None:
        self.attempt(lambda run: run.log(values, step=step))

    def attempt(self, call: Callable[["wandb.Run"], object]) -> None:
        """Call it with the W&B run, if there is one. An error is a warning, the first time."""
        self.start()
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:  # of many families: wandb's own, pydantic's, ConnectionError, HandleAbandonedError
            if self._works:
                logger.warning(f"W&B failed ({_reason(error)}): the work goes on, and the run's folder gets all of it")
            self._works, self.description["url"] = False, None  # the page lacks a part of the run

    def start(self) -> None:
        """Start the W&B run, if it has not started.

        Where W&B cannot be used as set up, the run is offline, and where that fails too, it is not logged: each with a
        warning.
        """
        if self.started or not distributed.is_main_process():
            return
        self.started = True
        mode = os.environ.get("WANDB_MODE", "").strip().lower()
        if mode == "disabled" or os.environ.get("WANDB_DISABLED", "").strip().lower() in TRUE:
            return  # without the second that wandb's import takes
        for mode, failure in (
            (None, f"cannot be used as set up ({{}}{environment.network_settings()}): the run is logged offline"),
            ("offline", "cannot log offline either ({}): the run is not logged to it"),
        ):
            try:
                run = self._init(mode or wandb_mode.resolve())
                self._describe(run)
                break
            except Exception as error:  # as many families as in `attempt`
                logger.warning(f"W&B {failure.format(_reason(error))}")
        else:
            return
        self._run = run
        if self.description["url"]:
            logger.info(f"W&B: {self.description['url']}")
        self._on_start()
        self.attempt(tracked_metrics.define)

    def _describe(self, run: "wandb.Run") -> None:
        self.description |= {name: getattr(run, name, None) for name in ("id", "name", "project")}
        self.description["mode"] = "disabled" if run.disabled else "offline" if run.offline else "online"
        self.description["url"] = run.url if self.description["mode"] == "online" else None
        if not run.disabled:
            self.description["folders"] = [*self.description["folders"], run.settings.sync_dir]

    def _init(self, mode: str) -> "wandb.Run":
        """wandb.init, in which W&B's variables of the environment win over what is set here."""
        import wandb  # here: the first training steps shall not wait for this import

        tags = [*self.init.get("tags", []), *filter(None, os.environ.get("WANDB_TAGS", "").split(","))]
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or wandb.setup().settings.project or PROJECT,
            name=os.environ.get("WANDB_NAME") or self.init["name"],
            group=os.environ.get("WANDB_RUN_GROUP") or self.init.get("group"),
            job_type=os.environ.get("WANDB_JOB_TYPE") or self.init.get("job_type"),
            tags=[tag[:MAX_TAG_LENGTH] for tag in tags],
            config=self.init["config"],
            dir=os.path.expanduser(os.environ.get("WANDB_DIR") or self._folder),
            mode=mode,
            id=self.description["id"],
            resume="allow" if self.description["id"] else None,
            reinit="create_new",  # a run of the same process that is still open stays apart
            settings=wandb.Settings(
                **{name: seconds for name, seconds in TIMEOUTS.items() if f"WANDB_{name.upper()}" not in os.environ},
                finish_timeout_raises=True,
                disable_git=True,  # it would log the remote's URL with the user, which may be a token
                silent=True,
                console="off",
            ),
        )


def how_to_look(described: dict) -> str:
    """A line that says where to see a run, by the description in its run.json."""
    if described["mode"] == "disabled":
        return "W&B: disabled"
    if described["url"]:
        return f"W&B: {described['url']}"
    command = shlex.join([storage.program("wandb"), "sync", "--include-online", *described["folders"]])
    return f"W&B: logged offline; to see it in the browser, with a key (wandb login): {command}"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


class Curves(TrainerCallback):
    """Logs the learning curves, by step, with the epoch beside them."""

    def __init__(self, tracker: Tracker):
        self.tracker = tracker

    def on_log(self, args, state, control, logs=None, **kwargs):
        if control.should_save and not state.epoch.is_integer() and not self.tracker.started:
            return  # a signal stops the training: its checkpoint does not wait until W&B has started
        curves = tracked_metrics.curves(logs)
        if curves and state.is_world_process_zero:
            self.tracker.log({**curves, "epoch": state.epoch}, step=state.global_step)


def log_results(
    tracker: Tracker, results: dict, state: TrainerState, predictions: pd.DataFrame, run_folder: Path, texts: bool
) -> None:
    """Log the end of a run: a few numbers to its summary, all metrics and baselines as tables, and the figures.

    state: of the Trainer, for the kept epoch. predictions: of the test split, logged with their texts if `texts`.
    """

    def log(run: "wandb.Run") -> None:
        import wandb

        frames = tracked_metrics.tables(results) | ({"test/predictions": predictions.reset_index()} if texts else {})
        tables = {name: wandb.Table(dataframe=frame) for name, frame in frames.items()}
        label_names = list(results["test"]["per_class"])
        true, predicted = (predictions[name].map(label_names.index).tolist() for name in ("label_name", "predicted"))
        matrix = wandb.plot.confusion_matrix(y_true=true, preds=predicted, class_names=label_names)
        images = {f"figures/{path.stem}": wandb.Image(str(path)) for path in sorted(run_folder.glob("*.png"))}
        run.log({"test/confusion_matrix": matrix, **tables, **images})

    tracker.attempt(log)
    # After that log, which ends the step before: otherwise a curve's last point would replace the kept epoch's.
    tracker.attempt(lambda run: run.summary.update(tracked_metrics.summary(results, state)))
