"""Whether both recipes learn the same: loss curves over seeds, with the same first weights and batches."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recipes import Published, Task, our_trainer
from tqdm import tqdm
from transformers import get_linear_schedule_with_warmup

SEEDS = (1, 2, 3)
POINTS = 20  # of a curve, each the mean over so many parts of the training
# Higher learning rates than the published: these learn something in two epochs.
RATES = {"learning_rate": 5e-5, "head_learning_rate": 1e-3}


def curves(model_name: str, sources: dict[str, str], root: Path) -> pd.DataFrame:
    """Rows of corpus, recipe, seed, epoch and loss, of the training and (in column `split`) of the validation."""
    tasks = [
        Task(model_name, "SAD", sources["SAD"], root, epochs=2, batch_size=16, **RATES),
        Task(model_name, "ESConv", sources["ESConv"], root, epochs=2, **RATES),
    ]
    recipes = (published, ours)
    jobs = [(recipe, replace(task, seed=seed)) for task in tasks for seed in SEEDS for recipe in recipes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, torch.set_num_threads, (1,), max_tasks_per_child=1) as pool:
        found = pool.map(curve, *zip(*jobs, strict=True))
        return pd.concat(tqdm(found, desc="Learning curves", total=len(jobs)))


def curve(recipe: Callable, task: Task) -> pd.DataFrame:
    training, validation = recipe(task)
    parts = np.array_split(np.array(training), POINTS)
    epochs = task.epochs * (np.arange(POINTS) + 0.5) / POINTS
    rows = [("training", epoch, part.mean()) for epoch, part in zip(epochs, parts, strict=True)]
    rows += [("validation", epoch, loss) for epoch, loss in enumerate(validation, start=1)]
    frame = pd.DataFrame(rows, columns=["split", "epoch", "loss"])
    return frame.assign(corpus=task.corpus, recipe=recipe.__name__, seed=task.seed)


def ours(task: Task) -> tuple[Sequence[float], Sequence[float]]:
    """The loss of each step, and after each epoch that of the validation."""
    with our_trainer(task) as trainer:
        trainer.args.logging_steps = 1
        trainer.train()
    training, validation = (
        [log[name] for log in trainer.state.log_history if name in log] for name in ("loss", "eval_loss")
    )
    return training, validation


def published(task: Task, padded: bool = False) -> tuple[Sequence[float], Sequence[float]]:
    """As `ours`. Padded to the longest text of a batch, which costs less and changes nothing that is learned."""
    recipe = Published(task, padded)
    epochs = list(task.batches(recipe.splits))
    schedule = get_linear_schedule_with_warmup(recipe.optimizer, 0, sum(map(len, epochs)))
    training, validation = [], []
    for batches in epochs:
        for batch in batches:
            training.append(recipe.step(batch))
            schedule.step()
        validation.append(recipe.validation_loss(range(len(recipe.splits.tokenized["validation"]))))
    return training, validation


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """The mean and standard deviation over the seeds, of the training's ends and of the validation."""
    training = curves[curves["split"] == "training"]
    ends = training[training["epoch"].isin([training["epoch"].min(), training["epoch"].max()])]
    shown = pd.concat([ends, curves[curves["split"] == "validation"]])
    groups = shown.groupby(["corpus", "split", "epoch", "recipe"])["loss"]
    told = groups.agg(lambda losses: f"{losses.mean():.3f} ± {losses.std():.3f}")
    return told.unstack("recipe")[["published", "ours"]].reset_index()
