"""What the recipes learn from the same texts: loss curves over seeds."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from around import CLASSIFICATION_DATALOADER
from commands import timed
from recipes import Published, Task, our_trainer, plain_trainer
from tqdm import tqdm
from transformers import Trainer, get_linear_schedule_with_warmup

from artificial_pain.training import recipe

SEEDS = (1, 2, 3)
POINTS = 15  # of a curve, each the mean over so many parts of the training
MAX_LENGTH = 128  # tokens of a dialogue of ESConv: the published recipe would take an hour for whole ones
# Higher learning rates than the published ones, so that an epoch shows progress.
RATES = {"learning_rate": 5e-5, "head_learning_rate": 1e-3}


def curves(model_name: str, sources: dict[str, str], root: Path) -> pd.DataFrame:
    """Rows of corpus, recipe, seed, epoch and loss, of the training and (in column `split`) of the validation."""
    flags = ["--model_name", model_name, "--dataset_name", "ESConv", "--data_source", sources["ESConv"]]
    timed(CLASSIFICATION_DATALOADER, *flags, "--output_dir", root, "--max_length", MAX_LENGTH)
    tasks = [
        Task(model_name, "SAD", sources["SAD"], root, epochs=1, batch_size=16, **RATES),
        Task(model_name, "ESConv", sources["ESConv"], root, epochs=1, max_length=MAX_LENGTH, **RATES),
    ]
    recipes = (published, plain, ours)
    jobs = [(learn, replace(task, seed=seed)) for task in tasks for seed in SEEDS for learn in recipes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, torch.set_num_threads, (1,), max_tasks_per_child=1) as pool:
        found = pool.map(curve, *zip(*jobs, strict=True))
        return pd.concat(tqdm(found, desc="Learning curves", total=len(jobs)))


def curve(learn: Callable, task: Task) -> pd.DataFrame:
    training, validation = learn(task)
    parts = np.array_split(np.array(training), POINTS)
    epochs = task.epochs * (np.arange(POINTS) + 0.5) / POINTS
    rows = [("training", epoch, part.mean()) for epoch, part in zip(epochs, parts, strict=True)]
    rows += [("validation", epoch, loss) for epoch, loss in enumerate(validation, start=1)]
    frame = pd.DataFrame(rows, columns=["split", "epoch", "loss"])
    return frame.assign(corpus=task.corpus, recipe=learn.__name__, seed=task.seed)


def ours(task: Task) -> tuple[Sequence[float], Sequence[float]]:
    """The loss of each step, and after each epoch that of the validation."""
    with our_trainer(task) as trainer:
        trainer.args.logging_steps = 1
        recipe.train(trainer)
    return _losses(trainer)


def plain(task: Task) -> tuple[Sequence[float], Sequence[float]]:
    """As `ours`, with our two learning rates; its classifier and its order of the examples are its own."""
    with plain_trainer(task) as trainer:
        trainer.args.logging_steps = 1
        encoder, head, prefix = [], [], f"{trainer.model.base_model_prefix}."
        for name, parameter in trainer.model.named_parameters():
            (encoder if name.startswith(prefix) and "pooler" not in name else head).append(parameter)
        groups = [{"params": encoder, "lr": task.learning_rate}, {"params": head, "lr": task.head_learning_rate}]
        trainer.optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        trainer.train()
    return _losses(trainer)


def _losses(trainer: Trainer) -> tuple[Sequence[float], Sequence[float]]:
    training, validation = (
        [log[name] for log in trainer.state.log_history if name in log] for name in ("loss", "eval_loss")
    )
    return training, validation


def published(task: Task, padding: str = "longest") -> tuple[Sequence[float], Sequence[float]]:
    """As `ours`, with our batches. padding: as of `Published`."""
    model = Published(task, padding)
    epochs = list(task.batches(model.splits))
    schedule = get_linear_schedule_with_warmup(model.optimizer, 0, sum(map(len, epochs)))
    training, validation = [], []
    for batches in epochs:
        for batch in batches:
            training.append(model.step(batch))
            schedule.step()
        validation.append(model.validation_loss(range(len(model.splits.tokenized["validation"]))))
    return training, validation


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """The mean and standard deviation over the seeds, of the training's ends and of the validation."""
    training = curves[curves["split"] == "training"]
    ends = training[training["epoch"].isin([training["epoch"].min(), training["epoch"].max()])]
    shown = pd.concat([ends, curves[curves["split"] == "validation"]]).round({"epoch": 2})
    groups = shown.groupby(["corpus", "split", "epoch", "recipe"])["loss"]
    shown = groups.agg(lambda losses: f"{losses.mean():.3f} ± {losses.std():.3f}")
    return shown.unstack("recipe")[["published", "plain", "ours"]].reset_index()
