"""The files of a run's folder."""

import argparse
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from huggingface_hub import ModelCardData, metadata_load
from transformers import CONFIG_NAME, Trainer

from artificial_pain import figures, processes, text_csv
from artificial_pain.cli import REPOSITORY
from artificial_pain.digests import digest
from artificial_pain.encoders import ENCODERS, WEIGHTS, Encoder
from artificial_pain.files import write_json
from artificial_pain.tables import results_table
from artificial_pain.tokens import Splits
from artificial_pain.trainer import learning_curves

RECORD = "run.json"
PACKAGES = [
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "scikit-learn",
    "scipy",
    "pandas",
    "numpy",
    "wandb",
    "huggingface_hub",
]
NON_COMMERCIAL = "cc-by-nc-4.0"
CITATION = (
    "Wang & Roman, Toward Affective Empathy in AI: Encoding Internal Representations of Artificial Pain, CCN 2025"
)


def git_state() -> dict | None:
    """The commit of the code that runs, and whether files were changed since; None outside a checkout."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", REPOSITORY, *words], capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None  # a copy without .git, or a machine without git


def run_record(args: argparse.Namespace, encoder: Encoder, splits: Splits, precision: dict[str, bool]) -> dict:
    """What it takes to repeat a run: of run.json, what is known before the training."""
    on_gpu = torch.cuda.is_available()
    return {
        "command": shlex.join(["python", *sys.argv]),
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()},
        "started": datetime.now().astimezone().isoformat(),
        "git": git_state(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": {
            "type": "cuda" if on_gpu else "cpu",
            "name": torch.cuda.get_device_name() if on_gpu else platform.machine(),
            "threads": torch.get_num_threads(),
            "processes": processes.COUNT,
        },
        "seed": args.seed,
        "encoder": {"name": encoder.name, "revision": encoder.revision},
        "data": {"fingerprint": splits.fingerprint, **splits.settings},
        "precision": next((name for name, used in precision.items() if used), "fp32"),
    }


def write_training(folder: Path, trainer: Trainer, splits: Splits, record: dict) -> None:
    """The files that come of a training: the model, its tokenizer, the learning curves, and the record."""
    tokenizer, state = trainer.processing_class, trainer.state
    tokenizer.model_max_length = splits.settings["max_length"]  # it cuts texts where the training did
    trainer.model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    best_epoch = round(state.best_global_step / state.global_step * state.epoch)
    figures.draw_learning_curves(folder / "learning_curves.png", learning_curves(state.log_history), best_epoch)
    trained = {
        "epochs_trained": state.epoch,
        "steps_trained": state.global_step,
        "best_step": state.best_global_step,
        "sha256": {name: digest(folder / name) for name in (CONFIG_NAME, WEIGHTS)},
    }
    write_json(folder / RECORD, {**record, **trained})


def write_evaluation(
    folder: Path, results: dict, predictions: dict[str, pd.DataFrame], encoder: Encoder, splits: Splits, record: dict
) -> None:
    """The files that come of an evaluation: metrics, predictions, figures, and the model card."""
    write_json(folder / "evaluation_results.json", results)
    for split, frame in predictions.items():
        scores = results[split]
        text_csv.write(folder / f"predictions_{split}.csv", frame)
        title = f"{split} split, macro-F1 {scores['macro_f1']:.3f}"
        path = folder / f"confusion_matrix_{split}.png"
        figures.draw_confusion_matrix(path, scores["confusion_matrix"], splits.label_names, title)
        if "intensity" in scores:
            path = folder / f"intensities_{split}.png"
            figures.draw_intensities(path, frame, scores["intensity"], f"{split} split")
    card = model_card(record["arguments"], encoder, splits, results)
    (folder / "README.md").write_text(card, encoding="utf-8")


def licence(dataset_name: str, data_source: str | None, encoder: Encoder) -> str:
    """The model's licence: non-commercial where the data's is, else the encoder's."""
    if dataset_name == "ESConv" and data_source != "sample":
        return NON_COMMERCIAL
    return encoder_licence(encoder)


def encoder_licence(encoder: Encoder) -> str:
    """The licence of an encoder's weights: for a folder what its README.md declares, or "other"."""
    if encoder.name in ENCODERS:
        return ENCODERS[encoder.name]
    card = encoder.folder / "README.md"
    declared = metadata_load(card) if card.exists() else None
    return str((declared or {}).get("license", "other"))


def model_card(arguments: dict, encoder: Encoder, splits: Splits, results: dict) -> str:
    """README.md of the run's folder, in the hub's format."""
    dataset_name, source = arguments["dataset_name"], splits.settings["data_source"]
    data = ModelCardData(
        language="en",
        license=licence(dataset_name, source, encoder),
        base_model=encoder.name if encoder.name in ENCODERS else None,
        pipeline_tag="text-classification",
        tags=["emotion", "artificial-pain"],
    )
    origins = {None: "the published corpus", "sample": "a synthetic sample in its schema, not said by people"}
    origin = origins.get(source, "a copy given by the user")
    balance = "balanced by made examples" if arguments["balanced"] else "as unbalanced as the corpus"
    test = results["test"]
    return f"""---
{data.to_yaml()}
---
# {encoder.short_name} fine-tuned on {dataset_name}

From a text: which of {", ".join(splits.label_names)} it is\
{"; and its intensities: " + ", ".join(test["intensity"]["true_label"]) if "intensity" in test else ""}.

Trained on {dataset_name} ({origin}), its training split {balance}. Test split: {test["n"]} examples.

```
{results_table({"fine-tuned": results})}
```

All metrics are in `evaluation_results.json`, the settings in `run.json`.

Load it with `EmotionModel.from_pretrained(folder)` from `artificial_pain.models`, the tokenizer with
`AutoTokenizer.from_pretrained(folder)`.

For research, on English texts. Not a diagnostic tool.

{CITATION}.
"""
