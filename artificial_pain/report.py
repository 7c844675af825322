"""The files and figures of a run's folder, and the table on the console."""

import argparse
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from huggingface_hub import ModelCardData
from transformers import Trainer

from artificial_pain.cli import REPOSITORY
from artificial_pain.encoders import ENCODERS, Encoder
from artificial_pain.files import write_json
from artificial_pain.tokens import Splits, write_text_csv

matplotlib.use("Agg")  # files only: no display is needed
import matplotlib.pyplot as plt

PACKAGES = [
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "scikit-learn",
    "pandas",
    "numpy",
    "wandb",
    "huggingface_hub",
]
BASELINES = {"tfidf_logistic_regression": "TF-IDF + logistic regression", "majority": "majority class"}
NON_COMMERCIAL = "cc-by-nc-4.0"
CITATION = (
    "Wang & Roman, Toward Affective Empathy in AI: Encoding Internal Representations of Artificial Pain, CCN 2025"
)


def predictions_frame(texts: pd.DataFrame, probabilities: np.ndarray, label_names: Sequence[str]) -> pd.DataFrame:
    """A row an example, indexed as in the corpus: text, true and predicted label, a probability a label."""
    frame = texts[["text", "label_name"]].copy()
    frame["predicted"] = np.asarray(label_names)[probabilities.argmax(axis=1)]
    for i, name in enumerate(label_names):
        frame[f"probability_{name}"] = probabilities[:, i]
    return frame


def draw_confusion_matrix(path: Path, counts: Sequence[Sequence[int]], label_names: Sequence[str], title: str) -> None:
    """The shares of each true label's examples (rows add to 1), with the numbers of examples behind them."""
    counts = np.asarray(counts)
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    side = 3 + 0.75 * len(label_names)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(label_names))
    supported = [f"{name} ({n})" for name, n in zip(label_names, support[:, 0], strict=True)]
    axes.set_xticks(ticks, label_names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(ticks, supported, parse_math=False)  # a label may have a $ in it
    axes.set(xlabel="predicted", ylabel="true (examples)", title=title)
    for row in ticks:
        for column in ticks:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{shares[row, column]:.2f}", ha="center", va="center", color=colour, fontsize=9)
    figure.colorbar(image, label="share of the true label", shrink=0.8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def git_state() -> dict | None:
    """The commit of the code that runs, and whether files were changed since; None outside a checkout."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", REPOSITORY, *words], capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None  # a copy without .git, or a machine without git


def write_results(
    folder: Path, results: dict, predictions: dict[str, pd.DataFrame], label_names: Sequence[str]
) -> None:
    """evaluation_results.json, and for validation and test the predictions (CSV) and the confusion matrix (PNG)."""
    write_json(folder / "evaluation_results.json", results)
    for split, frame in predictions.items():
        write_text_csv(folder / f"predictions_{split}.csv", frame)
        title = f"{split} split, macro-F1 {results[split]['macro_f1']:.3f}"
        draw_confusion_matrix(
            folder / f"confusion_matrix_{split}.png", results[split]["confusion_matrix"], label_names, title
        )


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

From a text: which of {", ".join(splits.label_names)} it is.

Trained on {args.dataset_name} ({origin}), its training split {balance}. \
Test split: {test["n"]} examples, macro-F1 {test["macro_f1"]:.3f}, accuracy {test["accuracy"]:.3f} \
(macro-F1 of the baselines: {comparison(results)}). All metrics are in `evaluation_results.json`, the settings in \
`run.json`.

Load it with `EmotionModel.from_pretrained(folder)` from `artificial_pain.models`, the tokenizer with
`AutoTokenizer.from_pretrained(folder)`.

For research, on English texts. Not a diagnostic tool.

{CITATION}.
"""


def comparison(results: dict) -> str:
    """The baselines' test macro-F1, in words."""
    return ", ".join(f"{told} {results['baselines'][name]['macro_f1']:.3f}" for name, told in BASELINES.items())


def results_table(title: str, results: dict) -> str:
    """The console's table: the fine-tuned model and the baselines on the test split."""
    rows = {"fine-tuned": results["test"]}
    rows |= {told: results["baselines"][name] for name, told in BASELINES.items()}
    lines = [title, f"{'test split':32s}{'macro-F1':>10s}{'accuracy':>10s}"]
    lines += [f"{name:32s}{row['macro_f1']:10.3f}{row['accuracy']:10.3f}" for name, row in rows.items()]
    return "\n".join(lines)
