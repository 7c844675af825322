"""A user's whole process, from the command to the results: our model script and the plain Trainer, in turns.

On one core, or with the GPU.
"""

import json
import tempfile
from pathlib import Path

import pandas as pd
from around import CLASSIFICATION_MODEL
from commands import Timed, timed
from recipes import ON_GPU, Task
from tqdm import tqdm

RUNS = (("SAD", 6, 3), ("SAD", 16, 3), ("ESConv", 6, 1))  # corpus, batch size, turns of each
CORES = None if ON_GPU else 1
HERE = Path(__file__).parent


def measure(model_name: str, sources: dict[str, str], root: Path) -> pd.DataFrame:
    """A row for each run of an epoch: its seconds, its peak memory in GB, and the test metrics.

    Of ours also the seconds outside its steps.
    """
    turns = [(corpus, batch_size, turn) for corpus, batch_size, count in RUNS for turn in range(count)]
    rows = []
    for corpus, batch_size, turn in tqdm(turns, desc="Whole processes"):
        task = Task(model_name, corpus, sources[corpus], root, batch_size=batch_size)
        for recipe in (plain, ours) if turn % 2 == 0 else (ours, plain):
            run, of_recipe = recipe(task)
            row = {"corpus": corpus, "batch": batch_size, "turn": turn, "recipe": recipe.__name__}
            rows.append(row | {"seconds": run.seconds, "peak": run.peak} | of_recipe)
    return pd.DataFrame(rows)


def plain(task: Task) -> tuple[Timed, dict[str, float]]:
    encoder, _, _ = task.load()
    layout = task.layout(encoder)
    splits = layout.corpus / layout.tokenized_splits
    with tempfile.TemporaryDirectory() as folder:
        run = timed(HERE / "plain_trainer.py", encoder.folder, splits, folder, task.batch_size, 1, cores=CORES)
    printed = json.loads(run.output.splitlines()[-1])
    return run, {name: printed[f"test_{name}"] for name in ("accuracy", "macro_f1")}


def ours(task: Task) -> tuple[Timed, dict[str, float]]:
    encoder, _, _ = task.load()
    flags = ["--model_name", task.encoder, "--dataset_name", task.corpus, "--data_source", task.source]
    flags += ["--output_dir", task.root, "--batch_size", task.batch_size, "--epochs", 1, "--restart"]
    with tempfile.TemporaryDirectory() as folder:
        steps = Path(folder, "seconds.txt")
        words = [HERE / "timed_script.py", steps, CLASSIFICATION_MODEL, *flags]
        run = timed(*words, environment={"WANDB_MODE": "offline"}, cores=CORES)
        seconds = float(steps.read_text())
    folder = task.layout(encoder).run_folder("loss-classification", task.seed, debug=False)
    scores = json.loads((folder / "evaluation_results.json").read_text())["test"]
    return run, {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"], "outside": run.seconds - seconds}


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each corpus and batch size: medians over the turns, and the ratios of the turns."""
    rows = []
    for (corpus, batch_size), turns in runs.groupby(["corpus", "batch"], sort=False):
        seconds = turns.pivot(index="turn", columns="recipe", values="seconds")
        ratios = seconds["plain"] / seconds["ours"]
        medians = turns.groupby("recipe")[["seconds", "peak", "accuracy", "macro_f1", "outside"]].median()
        plain, ours = medians.loc["plain"], medians.loc["ours"]
        spread = f" ({ratios.min():.2f} to {ratios.max():.2f})" if len(ratios) > 1 else ""
        rows.append(
            {
                "corpus": corpus,
                "batch": batch_size,
                "plain, s": f"{plain['seconds']:.1f}",
                "ours, s": f"{ours['seconds']:.1f}",
                "times as fast as plain (lowest to highest run)": f"{ratios.median():.2f}{spread}",
                "ours outside its steps, s": f"{ours['outside']:.1f}",
                "peak memory, GB (plain, ours)": f"{plain['peak']:.1f}, {ours['peak']:.1f}",
                "test accuracy (plain, ours)": f"{plain['accuracy']:.3f}, {ours['accuracy']:.3f}",
                "test macro-F1 (plain, ours)": f"{plain['macro_f1']:.3f}, {ours['macro_f1']:.3f}",
            }
        )
    return pd.DataFrame(rows)
