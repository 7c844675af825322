"""The recipes' processes, which take turns.

Each recipe runs in a process of its own, because ours changes settings of its whole process, and works when it is told
to.
"""

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from commands import first_cores
from recipes import ON_GPU, Published, Task, our_trainer, plain_trainer
from torch import nn
from transformers import TrainerCallback

from artificial_pain.training import recipe

WARM_UP = 2  # steps that are not measured
READY = "ready"


@dataclass(frozen=True)
class Turn:
    """What a recipe did in a turn, and its peak memory so far in GB.

    lengths: the tokens of each text that it trained on, (n,). padded_tokens: of its batches, padding among them.
    """

    seconds: float
    peak: float
    lengths: np.ndarray
    padded_tokens: int


class Stopwatch:
    """Measures turns, and counts what the model reads in its training."""

    def __init__(self, model: nn.Module):
        model.register_forward_pre_hook(self._count, with_kwargs=True)
        self.start()

    def _count(self, model: nn.Module, _: tuple, inputs: dict[str, torch.Tensor]) -> None:
        if model.training:
            self.lengths.append(inputs["attention_mask"].sum(dim=1))
            self.padded_tokens += inputs["attention_mask"].numel()

    def start(self) -> None:
        self.lengths, self.padded_tokens = [torch.empty(0, dtype=torch.int64)], 0
        self.started = time.perf_counter()

    def stop(self) -> Turn:
        if ON_GPU:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - self.started
        lengths = torch.cat([some.cpu() for some in self.lengths]).numpy()
        return Turn(seconds, peak_memory(), lengths, self.padded_tokens)


class Turns(TrainerCallback):
    """Lets a Trainer train when it is its turn, so many steps, and tells how that went."""

    def __init__(self, connection: Connection, steps: int):
        self.connection, self.steps = connection, steps

    def on_train_begin(self, args, state, control, model, **kwargs):
        self.stopwatch = Stopwatch(model)

    def on_step_begin(self, args, state, control, **kwargs):
        step = state.global_step - WARM_UP
        if step == 0:
            self.connection.send(READY)
        if step >= 0 and step % self.steps == 0:
            self.connection.recv()
            self.stopwatch.start()

    def on_step_end(self, args, state, control, **kwargs):
        step = state.global_step - WARM_UP
        if step > 0 and step % self.steps == 0:
            self.connection.send(self.stopwatch.stop())


def our_training(connection: Connection, task: Task, steps: int) -> None:
    """So many steps a turn."""
    with our_trainer(task, Turns(connection, steps)) as trainer:
        recipe.train(trainer)


def plain_training(connection: Connection, task: Task, steps: int) -> None:
    """So many steps a turn, on batches in its own order."""
    with plain_trainer(task, Turns(connection, steps)) as trainer:
        trainer.train()


def published_training(connection: Connection, task: Task) -> None:
    """The batch that is sent, in a turn."""
    published = Published(task)
    published.step(next(task.batches(published.splits))[0])
    _answer(connection, published.model, published.step)


def our_validation(connection: Connection, task: Task) -> None:
    """A pass over the validation split a turn."""
    with our_trainer(task) as trainer:
        trainer.evaluate()
        _answer(connection, trainer.model, lambda examples: trainer.evaluate())


def published_validation(connection: Connection, task: Task) -> None:
    """The examples that are sent, in a turn."""
    published = Published(task)
    published.validation_loss([0])
    _answer(connection, published.model, published.validation_loss)


def _answer(connection: Connection, model: nn.Module, work: Callable) -> None:
    """Do the work on whatever is sent, and tell how that went, until there is no more."""
    stopwatch = Stopwatch(model)
    connection.send(READY)
    while True:
        given = connection.recv()
        stopwatch.start()
        work(given)
        connection.send(stopwatch.stop())


def _in_turns(work: Callable, cores: int | None, *arguments: object) -> None:
    if cores:
        os.sched_setaffinity(0, first_cores(cores))
        torch.set_num_threads(cores)
    with suppress(EOFError):  # no more turns
        work(*arguments)


@contextmanager
def waiting(work: Callable, *arguments: object, cores: int | None = None) -> Iterator[Connection]:
    """A process of a recipe's work on so many cores, which works when it is told to, and answers with a `Turn`."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_in_turns, args=(work, cores, there, *arguments))
    process.start()
    there.close()
    try:
        here.recv()  # READY: from here on it works in its turn alone
        yield here
    finally:
        here.close()
        process.join()


def peak_memory() -> float:
    """Of this process so far, in GB: on the GPU where there is one."""
    if ON_GPU:
        return torch.cuda.max_memory_allocated() / 1e9
    # Not what getrusage(2) tells, which begins with the peak of the process that started this one.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e9
