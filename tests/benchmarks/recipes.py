"""The two recipes that are compared: the scripts' own, and the published one, written for the benchmark.

Each runs in a process of its own, because ours changes settings of its whole process, and works when it is told to.
"""

import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_
from trainers import PUBLISHED, make_model, make_trainer
from transformers import PreTrainedTokenizerFast, TrainerCallback, set_seed

from artificial_pain import distributed, encoders, storage
from artificial_pain.data import examples, tokenization
from artificial_pain.training import recipe
from artificial_pain.training.callbacks import ProgressLines
from artificial_pain.training.trainer import EmotionTrainer, EpochSampler

PADDED_LENGTH = 512  # published: every text has so many tokens
GRADIENT_NORM = 1.0  # published, as the Trainer's default: gradients are clipped to it
WARM_UP = 3  # steps that are not measured
READY = "ready"
SETTINGS = ("seed", "epochs", "batch_size", "learning_rate", "head_learning_rate")
ON_GPU = distributed.device().type == "cuda"


@dataclass(frozen=True)
class Task:
    """What both recipes train on, and how; the published settings where nothing is said."""

    encoder: str
    corpus: str
    source: str  # as --data_source
    root: Path  # of the splits that the dataloader wrote
    seed: int = PUBLISHED["SEED"]
    epochs: int = PUBLISHED["EPOCHS"]
    batch_size: int = PUBLISHED["BATCH_SIZE"]
    learning_rate: float = PUBLISHED["LEARNING_RATE"]
    head_learning_rate: float = PUBLISHED["HEAD_LEARNING_RATE"]
    precision: str = "auto"  # of our recipe

    def load(self) -> tuple[encoders.Encoder, PreTrainedTokenizerFast, tokenization.Splits]:
        encoder = encoders.fetch(self.encoder, encoders.DEFAULT_REVISION, weights=encoders.WEIGHTS)
        tokenizer = encoders.load_tokenizer(encoder)
        return encoder, tokenizer, self.load_splits(encoder, tokenizer)

    def load_splits(self, encoder: encoders.Encoder, tokenizer: PreTrainedTokenizerFast) -> tokenization.Splits:
        folder = examples.corpus_name(self.corpus, examples.PUBLISHED | {"data_source": self.source})
        layout = storage.Layout(self.root, self.corpus, folder, encoder.folder_name, balanced=False)
        return tokenization.load_splits(layout, encoder, tokenizer, lambda settings: "the dataloader")

    def batches(self, splits: tokenization.Splits) -> Iterator[list[list[int]]]:
        """Each epoch's, in our order."""
        sampler = EpochSampler(self.batch_size, tokenization.lengths(splits.tokenized["train"]).tolist(), self.seed)
        for epoch in range(self.epochs):
            sampler.set_epoch(epoch)
            order = list(sampler)
            yield [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]


@contextmanager
def our_trainer(task: Task, *callbacks: TrainerCallback) -> Iterator[EmotionTrainer]:
    """The model script's own Trainer, with its checkpoints in a folder that goes with it."""
    encoder, tokenizer, splits = task.load()
    settings = {name: getattr(task, name) for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        precision = recipe.resolve_precision(task.precision)
        trainer = make_trainer(encoder, tokenizer, splits, Path(folder), precision=precision, **settings)
        trainer.remove_callback(ProgressLines)
        for callback in callbacks:
            trainer.add_callback(callback)
        try:
            yield trainer
        finally:
            trainer.best_checkpoint.finish()


class Published:
    """The published recipe: every text padded, Adam that is not fused, fp32 on a CPU and fp16 on a GPU."""

    def __init__(self, task: Task, padded: bool = True):
        """`padded`: else to the longest text of the batch, which changes what it costs and not what is learned."""
        encoder, self.tokenizer, self.splits = task.load()
        self.padding = {"padding": "max_length", "max_length": PADDED_LENGTH} if padded else {"padding": "longest"}
        self.device = torch.device("cuda" if ON_GPU else "cpu")
        set_seed(task.seed)
        self.model = make_model(encoder, self.splits.label_names).to(self.device)
        ours = recipe.adam(self.model, task.learning_rate, task.head_learning_rate)
        groups = [{"params": group["params"], "lr": group["lr"]} for group in ours.param_groups]
        self.optimizer = torch.optim.Adam(groups)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=ON_GPU)

    def loss(self, split: str, examples: Sequence[int]) -> torch.Tensor:
        columns = ["input_ids", "attention_mask", "labels"]
        batch = self.splits.tokenized[split].select_columns(columns)[examples]
        inputs = self.tokenizer.pad(batch, return_tensors="pt", **self.padding).to(self.device)
        with torch.autocast(self.device.type, torch.float16, enabled=ON_GPU):
            return self.model(**inputs).loss

    def step(self, examples: Sequence[int]) -> float:
        """Train a batch; its loss."""
        self.model.train()
        loss = self.loss("train", examples)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss.item()

    @torch.no_grad()
    def validation_loss(self, examples: Sequence[int]) -> float:
        """The mean over examples, evaluated one at a time."""
        self.model.eval()
        return sum(self.loss("validation", [example]).item() for example in examples) / len(examples)


class Turns(TrainerCallback):
    """Lets our Trainer train when it is its turn, and tells how long that took."""

    def __init__(self, connection: Connection, steps: int):
        self.connection, self.steps = connection, steps

    def on_step_begin(self, args, state, control, **kwargs):
        step = state.global_step - WARM_UP
        if step == 0:
            self.connection.send(READY)
        if step >= 0 and step % self.steps == 0:
            self.connection.recv()
            self.started = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        step = state.global_step - WARM_UP
        if step > 0 and step % self.steps == 0:
            self.connection.send((time.perf_counter() - self.started, peak_memory()))


def our_training(connection: Connection, task: Task, steps: int) -> None:
    """So many steps a turn."""
    with our_trainer(task, Turns(connection, steps)) as trainer:
        trainer.train()


def published_training(connection: Connection, task: Task) -> None:
    """The batches that are sent, in a turn."""
    recipe = Published(task)
    recipe.step(next(task.batches(recipe.splits))[0])
    _answer(connection, lambda batches: [recipe.step(batch) for batch in batches])


def our_validation(connection: Connection, task: Task) -> None:
    """A pass over the validation split a turn."""
    with our_trainer(task) as trainer:
        trainer.evaluate()
        _answer(connection, lambda examples: trainer.evaluate())


def published_validation(connection: Connection, task: Task) -> None:
    """The examples that are sent, in a turn."""
    recipe = Published(task)
    recipe.validation_loss([0])
    _answer(connection, recipe.validation_loss)


def _answer(connection: Connection, work: Callable) -> None:
    """Do the work on whatever is sent, and tell how long it took, until there is no more."""
    connection.send(READY)
    while True:
        given = connection.recv()
        started = time.perf_counter()
        work(given)
        connection.send((time.perf_counter() - started, peak_memory()))


def _in_turns(recipe: Callable, *arguments: object) -> None:
    with suppress(EOFError):  # no more turns
        recipe(*arguments)


@contextmanager
def waiting(recipe: Callable, *arguments: object) -> Iterator[Connection]:
    """A process of the recipe, which works when it is told to, and answers with (seconds, peak memory in GB)."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_in_turns, args=(recipe, there, *arguments))
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
