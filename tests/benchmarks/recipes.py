"""The two recipes that are compared, each in a process of its own, which trains a few steps whenever it is asked to.

In processes of their own, because ours changes settings of its whole process.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_
from transformers import TrainerCallback, set_seed

from artificial_pain import cli, encoders, files, tokens, training
from artificial_pain.callbacks import EpochLines
from artificial_pain.models import EmotionModel
from artificial_pain.trainer import EpochSampler

PADDED_LENGTH = 512  # published: every text has so many tokens
GRADIENT_NORM = 1.0  # published, as the Trainer's default: gradients are clipped to it
WARM_UP = 3  # steps that are not measured


@dataclass(frozen=True)
class Task:
    """What both recipes train on."""

    encoder: str
    corpus: str
    splits: Path  # the root below which the dataloader wrote them
    seed: int = cli.SEED

    def load(self) -> tuple[encoders.Encoder, object, tokens.Splits]:
        encoder = encoders.fetch(self.encoder, encoders.DEFAULT_REVISION, weights=encoders.WEIGHTS)
        tokenizer = tokens.load_tokenizer(encoder)
        layout = files.Layout(self.splits, self.corpus, encoder.short_name, balanced=False)
        return encoder, tokenizer, tokens.load(layout, encoder, tokenizer, lambda settings: "the dataloader")

    def batches(self, splits: tokens.Splits) -> list[list[int]]:
        """The first epoch's, in our order."""
        order = list(EpochSampler(cli.BATCH_SIZE, tokens.lengths(splits.tokenized["train"]).tolist(), self.seed))
        return [order[start : start + cli.BATCH_SIZE] for start in range(0, len(order), cli.BATCH_SIZE)]


class Turns(TrainerCallback):
    """Lets our Trainer train when it is its turn, and tells how long that took."""

    def __init__(self, connection: Connection, steps: int):
        self.connection, self.steps = connection, steps

    def on_step_begin(self, args, state, control, **kwargs):
        step = state.global_step - WARM_UP
        if step >= 0 and step % self.steps == 0:
            self.connection.recv()
            self.started = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        step = state.global_step - WARM_UP
        if step > 0 and step % self.steps == 0:
            self.connection.send((time.perf_counter() - self.started, peak_memory()))


def ours(connection: Connection, task: Task, steps: int) -> None:
    """The model script's training, in turns of so many steps."""
    encoder, tokenizer, splits = task.load()
    set_seed(task.seed)
    model = EmotionModel.from_encoder(encoder, splits.label_names)
    args = argparse.Namespace(
        debug=False,
        epochs=cli.EPOCHS,
        batch_size=cli.BATCH_SIZE,
        learning_rate=cli.LEARNING_RATE,
        head_learning_rate=cli.HEAD_LEARNING_RATE,
        warmup_steps=0,
        patience=cli.PATIENCE,
        seed=task.seed,
    )
    precision = training.mixed_precision("auto")
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.make_trainer(model, tokenizer, splits, args, precision, "loss", Path(folder))
        trainer.remove_callback(EpochLines)
        trainer.add_callback(Turns(connection, steps))
        trainer.train()


def published(connection: Connection, task: Task) -> None:
    """The published recipe: every text padded, Adam that is not fused, fp32 on a CPU and fp16 on a GPU."""
    encoder, tokenizer, splits = task.load()
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    set_seed(task.seed)
    model = EmotionModel.from_encoder(encoder, splits.label_names).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=cli.LEARNING_RATE, foreach=False)
    scaler = torch.amp.GradScaler(device.type, enabled=on_gpu)

    def step(examples: list[int]) -> None:
        batch = splits.tokenized["train"].select(examples).select_columns(["input_ids", "attention_mask", "labels"])
        columns = tokenizer.pad(batch[:], padding="max_length", max_length=PADDED_LENGTH, return_tensors="pt")
        with torch.autocast(device.type, torch.float16, enabled=on_gpu):
            loss = model(**columns.to(device)).loss
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        loss.item()

    step(task.batches(splits)[0])
    while True:
        batches = connection.recv()
        started = time.perf_counter()
        for batch in batches:
            step(batch)
        connection.send((time.perf_counter() - started, peak_memory()))


def _in_turns(recipe: Callable, *arguments) -> None:
    with suppress(EOFError):  # no more turns
        recipe(*arguments)


@contextmanager
def waiting(recipe: Callable, *arguments) -> Iterator[Connection]:
    """A process of the recipe, which trains when it is told to, and answers with (seconds, peak memory in GB)."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_in_turns, args=(recipe, there, *arguments))
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def peak_memory() -> float:
    """Of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
