"""The files of a run's folder."""

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from artificial_pain import distributed, storage
from artificial_pain.data import text_csv
from artificial_pain.data.tokenization import Splits
from artificial_pain.data.vocabulary import PROBABILITY
from artificial_pain.encoders import CONFIG, WEIGHTS, Encoder
from artificial_pain.errors import logger
from artificial_pain.runs import model_card
from artificial_pain.runs.status import FORMAT, RECORD
from artificial_pain.training.history import learning_curves

if TYPE_CHECKING:
    from transformers import Trainer

PACKAGES = ["torch", "transformers", "datasets", "accelerate", "scikit-learn", "scipy", "pandas", "numpy", "wandb"]
PACKAGES += ["huggingface_hub"]


def git_state() -> dict | None:
    """The commit of the code that runs, and whether files were changed since; None outside a checkout."""

    folder = storage.REPOSITORY
    if not (folder / ".git").exists():
        return None
    # The variables of a git that has started this process are about its repository. The checkout may be another user's,
    # whom we trust as far as to run the code, and is not written to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(folder.parent)  # a damaged .git is not that of a folder above
    options = [f"safe.directory={folder}", "core.fsmonitor=false"]
    command = ["git", "--no-optional-locks", *(word for option in options for word in ("-c", option)), "-C", folder]

    def git(*words: str) -> str:
        done = subprocess.run([*command, *words], capture_output=True, check=True, env=environment)
        return done.stdout.decode(errors="replace").strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip() or str(error)
        logger.warning(f"{folder}: git does not tell the commit ({said.splitlines()[0]}): {RECORD} has none")
        return None


def _processor() -> str:
    """The processor's name, and the vector instructions that PyTorch uses on it."""
    name = torch.cpu.get_capabilities().get("cpu_name", "").strip() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def start_record(args: argparse.Namespace, encoder: Encoder, splits: Splits, precision: str) -> dict:
    """What it takes to repeat a run: the part of run.json that is known before the training."""
    kind = distributed.device().type
    return {
        "format": FORMAT,
        "command": shlex.join(["python", *sys.argv]),
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()},
        "started": datetime.now().astimezone().isoformat(),
        "git": git_state(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": {
            "type": kind,
            "name": torch.cuda.get_device_name() if kind == "cuda" else _processor(),
            "threads": torch.get_num_threads(),
            "processes": distributed.num_processes(),
        },
        "seed": args.seed,
        "encoder": {"name": encoder.name, "revision": encoder.revision},
        "data": {"fingerprint": splits.fingerprint, **splits.settings},
        "precision": precision,
    }


def write_training(folder: Path, trainer: "Trainer", splits: Splits, record: dict) -> None:
    """The files that come of a training: the model, its tokenizer, the learning curves, and the record."""
    from artificial_pain.evaluation import figures  # here, as below: the training does not need matplotlib

    tokenizer, state = trainer.processing_class, trainer.state
    tokenizer.model_max_length = splits.settings["max_length"]  # it cuts texts where the training did
    trainer.model.save_pretrained(folder)
    shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors makes a file that is the owner's alone
    tokenizer_files = [Path(path).name for path in tokenizer.save_pretrained(folder)]
    best_epoch = round(state.best_global_step / state.global_step * state.epoch)
    curves = learning_curves(state.log_history)
    curves.to_csv(folder / "learning_curves.csv", index_label="epoch")
    figures.draw_learning_curves(folder / "learning_curves.png", [curves], best_epoch)
    trained = {
        "epochs_trained": state.epoch,
        "steps_trained": state.global_step,
        "best_step": state.best_global_step,
        "sha256": {name: storage.checksum(folder / name) for name in (CONFIG, WEIGHTS, *tokenizer_files)},
    }
    storage.write_json(folder / RECORD, {**record, **trained})


def write_evaluation(
    folder: Path, results: dict, predictions: dict[str, pd.DataFrame], encoder: Encoder, splits: Splits, record: dict
) -> None:
    """The files that come of an evaluation: metrics, predictions, figures, and the model card."""
    from artificial_pain.evaluation import figures

    storage.write_json(folder / "evaluation_results.json", results)
    for split, frame in predictions.items():
        scores = results[split]
        text_csv.write(folder / f"predictions_{split}.csv", frame)
        title = f"{split} split, macro-F1 {scores['macro_f1']:.3f}"
        path = folder / f"confusion_matrix_{split}.png"
        figures.draw_confusion_matrix(path, scores["confusion_matrix"], splits.label_names, title)
        confidence = frame.filter(regex=f"^{PROBABILITY}").to_numpy().max(axis=1)
        correct = (frame["predicted"] == frame["label_name"]).to_numpy()
        title = f"{split} split, expected calibration error {scores['expected_calibration_error']:.3f}"
        figures.draw_reliability(folder / f"reliability_{split}.png", confidence, correct, title)
        if "intensity" in scores:
            figures.draw_intensities(folder / f"intensities_{split}.png", frame, scores["intensity"], f"{split} split")
    card = model_card.card(record, encoder, splits, results)
    (folder / "README.md").write_text(card, encoding="utf-8", errors="backslashreplace")
