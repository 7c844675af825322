"""The files of a run's folder."""

import argparse
import platform
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from huggingface_hub import ModelCardData
from transformers import Trainer

from artificial_pain import figures
from artificial_pain.cli import REPOSITORY
from artificial_pain.encoders import ENCODERS, Encoder
from artificial_pain.files import staged, write_json
from artificial_pain.tables import results_table
from artificial_pain.tokens import Splits, write_text_csv
from artificial_pain.training import learning_curves

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


def write_run(
    run_folder: Path,
    trainer: Trainer,
    splits: Splits,
    results: dict,
    predictions: dict[str, pd.DataFrame],
    args: argparse.Namespace,
    encoder: Encoder,
    tracked: dict,
) -> None:
    """All files of a run, in place of an earlier run's, together or not at all; then the checkpoints are removed."""
    tokenizer = trainer.processing_class
    tokenizer.model_max_length = splits.settings["max_length"]  # it cuts texts where the training did
    with staged(run_folder) as folder:
        trainer.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_json(folder / "evaluation_results.json", results)
        for split, frame in predictions.items():
            scores = results[split]
            write_text_csv(folder / f"predictions_{split}.csv", frame)
            title = f"{split} split, macro-F1 {scores['macro_f1']:.3f}"
            figures.draw_confusion_matrix(
                folder / f"confusion_matrix_{split}.png", scores["confusion_matrix"], splits.label_names, title
            )
            if "intensity" in scores:
                figures.draw_intensities(
                    folder / f"intensities_{split}.png", frame, scores["intensity"], f"{split} split"
                )
        state = trainer.state
        best_epoch = round(state.best_global_step / state.global_step * state.epoch)
        figures.draw_learning_curves(folder / "learning_curves.png", learning_curves(state.log_history), best_epoch)
        write_json(folder / "run.json", run_record(args, encoder, splits, trainer, tracked))
        (folder / "README.md").write_text(model_card(args, encoder, splits, results), encoding="utf-8")
    shutil.rmtree(trainer.args.output_dir)


def run_record(args: argparse.Namespace, encoder: Encoder, splits: Splits, trainer: Trainer, tracked: dict) -> dict:
    """What it takes to repeat a run, and how it went, for run.json."""
    device = trainer.args.device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "command": shlex.join(["python", *sys.argv]),
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()},
        "git": git_state(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": {"type": device.type, "name": gpu or platform.machine(), "threads": torch.get_num_threads()},
        "seed": args.seed,
        "encoder": {"name": encoder.name, "revision": encoder.revision},
        "data": {"fingerprint": splits.fingerprint, **splits.settings},
        "precision": "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32",
        "epochs_trained": trainer.state.epoch,
        "steps_trained": trainer.state.global_step,
        "best_step": trainer.state.best_global_step,
        "wandb": tracked,
    }


def licence(dataset_name: str, data_source: str | None, encoder_name: str) -> str:
    """The model's licence: non-commercial where the data's or the encoder's is, "other" for an encoder of one's own."""
    encoder_licence = ENCODERS.get(encoder_name, "other")
    if dataset_name == "ESConv" and data_source != "sample":
        return NON_COMMERCIAL
    return encoder_licence


def model_card(args: argparse.Namespace, encoder: Encoder, splits: Splits, results: dict) -> str:
    """README.md of the run's folder, in the hub's format."""
    source = splits.settings["data_source"]
    data = ModelCardData(
        language="en",
        license=licence(args.dataset_name, source, encoder.name),
        base_model=encoder.name if encoder.name in ENCODERS else None,
        pipeline_tag="text-classification",
        tags=["emotion", "artificial-pain"],
    )
    origins = {None: "the published corpus", "sample": "a synthetic sample in its schema, not said by people"}
    origin = origins.get(source, "a copy given by the user")
    balance = "balanced by made examples" if args.balanced else "as unbalanced as the corpus"
    test = results["test"]
    return f"""---
{data.to_yaml()}
---
# {encoder.short_name} fine-tuned on {args.dataset_name}

From a text: which of {", ".join(splits.label_names)} it is\
{"; and its intensities: " + ", ".join(test["intensity"]["true_label"]) if "intensity" in test else ""}.

Trained on {args.dataset_name} ({origin}), its training split {balance}. Test split: {test["n"]} examples.

```
{results_table({"fine-tuned": results})}
```

All metrics are in `evaluation_results.json`, the settings in `run.json`.

Load it with `EmotionModel.from_pretrained(folder)` from `artificial_pain.models`, the tokenizer with
`AutoTokenizer.from_pretrained(folder)`.

For research, on English texts. Not a diagnostic tool.

{CITATION}.
"""
