"""Weights & Biases: online with a key, offline without, and never in the way of the training."""

import os
from pathlib import Path

import pandas as pd
import wandb
from transformers import TrainerCallback

from artificial_pain.errors import warn

PROJECT = "artificial-pain"
INIT_TIMEOUT = 20  # seconds: wandb's own 90 are long for a machine without a network
# What the Trainer logs, under the names of our curves.
CURVES = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
    "eval_macro_f1": "validation/macro_f1",
}


def start(name: str, config: dict, folder: Path) -> wandb.Run:
    """Begin a W&B run of its own; WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY and WANDB_DIR win over what is set here."""
    settings = {
        "project": os.environ.get("WANDB_PROJECT") or PROJECT,
        "name": os.environ.get("WANDB_NAME") or name,
        "config": config,
        "dir": os.environ.get("WANDB_DIR") or str(folder),
        "reinit": "create_new",  # a run of the same process that is still open stays apart
        "settings": wandb.Settings(init_timeout=INIT_TIMEOUT, silent=True, console="off"),
    }
    try:
        return wandb.init(mode=_mode(), **settings)
    except (wandb.Error, OSError) as error:
        warn(f"W&B cannot be reached as set up ({str(error).splitlines()[0]}): the run is logged offline")
    try:
        return wandb.init(mode="offline", **settings)
    except (wandb.Error, OSError) as error:
        warn(f"W&B cannot write to {settings['dir']} ({str(error).splitlines()[0]}): the run is not logged to it")
    return wandb.init(mode="disabled", **settings)


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

    def __init__(self, run: wandb.Run):
        self.run = run

    def on_log(self, args, state, control, logs=None, **kwargs):
        curves = {CURVES[name]: value for name, value in logs.items() if name in CURVES}
        if curves and state.is_world_process_zero:
            self.run.log({**curves, "epoch": state.epoch}, step=state.global_step)


def log_results(run: wandb.Run, results: dict, predictions: pd.DataFrame, label_names: list[str]) -> None:
    """Test metrics and baselines to the run's summary; the test split's confusion matrix and predictions as tables."""
    for name, metrics in {"test": results["test"], **results["baselines"]}.items():
        scalars = {key: value for key, value in metrics.items() if isinstance(value, float)}
        run.summary.update({f"{name}/{key}": value for key, value in scalars.items()})
    index = {name: i for i, name in enumerate(label_names)}
    matrix = wandb.plot.confusion_matrix(
        y_true=predictions["label_name"].map(index).tolist(),
        preds=predictions["predicted"].map(index).tolist(),
        class_names=label_names,
    )
    run.log({"test/confusion_matrix": matrix, "test/predictions": wandb.Table(dataframe=predictions.reset_index())})


def describe(run: wandb.Run) -> dict:
    """What run.json says of the W&B run."""
    return {
        "id": run.id,
        "name": run.name,
        "project": run.project,
        "mode": "disabled" if run.disabled else "offline" if run.offline else "online",
        "url": run.url if not run.offline and not run.disabled else None,
        "folder": None if run.disabled else str(run.settings.sync_dir),
    }


def how_to_look(described: dict) -> str:
    """The line that tells where the run can be seen."""
    return {
        "online": f"W&B: {described['url']}",
        "offline": f"W&B: logged offline; to see it in the browser: wandb sync {described['folder']}",
        "disabled": "W&B: disabled",
    }[described["mode"]]
