"""The three recipes that are compared: the scripts' own, the published one, written anew with our model, and the plain
Trainer with the flags that make it fast.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from plain_trainer import make_trainer as make_plain_trainer
from torch.nn.utils import clip_grad_norm_
from trainers import PUBLISHED, make_model, make_trainer
from transformers import PreTrainedTokenizerFast, PrinterCallback, Trainer, TrainerCallback, set_seed

from artificial_pain import distributed, encoders, storage
from artificial_pain.data import examples, tokenization
from artificial_pain.training import recipe
from artificial_pain.training.callbacks import ProgressLines
from artificial_pain.training.trainer import EmotionTrainer, EpochSampler

PADDED_LENGTH = 512  # published: every text has so many tokens
GRADIENT_NORM = 1.0  # published, as the Trainer's default: gradients are clipped to it
SETTINGS = ("seed", "epochs", "batch_size", "learning_rate", "head_learning_rate")
ON_GPU = distributed.device().type == "cuda"


@dataclass(frozen=True)
class Task:
    """What the recipes train on, and how. The defaults are the published settings."""

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
    max_length: int | None = None  # as --max_length

    def load(self) -> tuple[encoders.Encoder, PreTrainedTokenizerFast, tokenization.Splits]:
        encoder = encoders.fetch(self.encoder, encoders.DEFAULT_REVISION, weights=encoders.WEIGHTS)
        tokenizer = encoders.load_tokenizer(encoder)
        return encoder, tokenizer, self.load_splits(encoder, tokenizer)

    def layout(self, encoder: encoders.Encoder) -> storage.Layout:
        settings = {"data_source": self.source, "max_length": self.max_length}
        folder = examples.corpus_name(self.corpus, examples.PUBLISHED | settings)
        return storage.Layout(self.root, self.corpus, folder, encoder.folder_name, balanced=False)

    def load_splits(self, encoder: encoders.Encoder, tokenizer: PreTrainedTokenizerFast) -> tokenization.Splits:
        return tokenization.load_splits(self.layout(encoder), encoder, tokenizer, lambda settings: "the dataloader")

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


@contextmanager
def plain_trainer(task: Task, *callbacks: TrainerCallback) -> Iterator[Trainer]:
    """The plain Trainer, with the encoder's learning rate for its head too, and its checkpoints as in `our_trainer`."""
    encoder, _, _ = task.load()
    layout = task.layout(encoder)
    splits = layout.corpus / layout.tokenized_splits
    settings = {"seed": task.seed, "learning_rate": task.learning_rate, "disable_tqdm": True}
    with tempfile.TemporaryDirectory() as folder:
        set_seed(task.seed)
        trainer = make_plain_trainer(str(encoder.folder), str(splits), folder, task.batch_size, task.epochs, **settings)
        trainer.remove_callback(PrinterCallback)
        for callback in callbacks:
            trainer.add_callback(callback)
        yield trainer


class Published:
    """The published recipe: every text padded, Adam that is not fused, fp32 on a CPU and fp16 on a GPU."""

    def __init__(self, task: Task, padding: str = "max_length"):
        """padding: "longest" pads to the longest text of the batch, which costs less and changes nothing learned."""
        encoder, self.tokenizer, self.splits = task.load()
        self.padding = {"padding": padding, "max_length": PADDED_LENGTH}
        self.device = torch.device("cuda" if ON_GPU else "cpu")
        set_seed(task.seed)
        self.model = make_model(encoder, self.splits.label_names, pooling="mean").to(self.device)
        # Now the last layer computes all tokens, where ours computes the first alone. The head reads the first.
        self.model.config.pooling = "cls"
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
