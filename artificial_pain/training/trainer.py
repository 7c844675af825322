"""Hugging Face's Trainer for emotions: examples grouped by length, the loss of each head, the best checkpoint."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from artificial_pain import distributed
from artificial_pain.data.tokenization import lengths
from artificial_pain.modeling.losses import IGNORE_INDEX, named_losses, num_valid
from artificial_pain.training import callbacks

with redirect_stdout(sys.stderr):  # with WANDB_MODE=offline it prints a line, and our standard output is results alone
    from transformers import ProgressCallback, Trainer
    from transformers.trainer_utils import EvalLoopOutput

BATCHES_OF_A_GROUP = 50  # at most: the examples of so many batches are sorted by length
MIN_GROUPS = 4  # if the training split has as many batches


class EpochSampler(Sampler[int]):
    """Groups examples by length, in an order that follows from the seed and the epoch alone.

    So a training that goes on in the middle of an epoch sees the rest of that epoch's batches. Like the Trainer's own
    group_by_length: the shuffled examples are cut into groups of up to 50 batches, each sorted from the longest to the
    shortest, and the longest of all comes first, so that a lack of memory shows at once.
    """

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int, padding: int = 0):
        """`padding` examples follow those of the lengths, and come last in each epoch."""
        self.batch_size, self.lengths, self.seed, self.padding, self.epoch = batch_size, lengths, seed, padding, 0

    def __len__(self) -> int:
        return len(self.lengths) + self.padding

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        seed = int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0])
        shuffled = torch.randperm(len(self.lengths), generator=torch.Generator().manual_seed(seed)).tolist()
        batches = min(len(shuffled) // (self.batch_size * MIN_GROUPS), BATCHES_OF_A_GROUP)
        size = max(batches, 1) * self.batch_size
        starts = range(0, len(shuffled), size)
        groups = [sorted(shuffled[i : i + size], key=self.lengths.__getitem__, reverse=True) for i in starts]
        longest = max(groups, key=lambda group: self.lengths[group[0]])
        groups[0][0], longest[0] = longest[0], groups[0][0]
        for group in groups:
            yield from group
        yield from range(len(self.lengths), len(self))


class EmotionTrainer(Trainer):
    """A Trainer that groups the training examples by length, logs the loss of each head, and keeps the best checkpoint.

    It stops where a loss is not finite. Everything is done in the Trainer's public hooks, but for `_load_scaler`.
    """

    def __init__(self, *args, best_checkpoint: callbacks.BestCheckpoint, bars: callbacks.ProgressBars, **kwargs):
        """The two callbacks that are needed again once the training has ended. The bars are shown on a terminal."""
        stops = [callbacks.StopIfNotFinite(), callbacks.StopOnSignal()]
        # The best checkpoint is complete before a signal ends the training.
        super().__init__(*args, callbacks=[best_checkpoint, *stops], **kwargs)
        self.best_checkpoint, self.bars = best_checkpoint, bars
        self._head_losses: list[torch.Tensor] = []  # of the steps since the last log, left on their device
        # What the model predicted of the validation split in the evaluation of the best checkpoint, if that was in this
        # process: in the order of `eval_dataset`.
        self.best_outputs: tuple[np.ndarray, ...] | None = None
        self._last_outputs: tuple[np.ndarray, ...] | None = None  # of the last evaluation, whichever it was
        self.remove_callback(ProgressCallback)
        on_terminal = sys.stderr.isatty()
        if on_terminal:
            self.add_callback(bars)
        self.add_callback(callbacks.ProgressLines(in_log_file=not on_terminal))

    def get_train_dataloader(self) -> DataLoader:
        padding = self.train_dataset["labels"][:].count(IGNORE_INDEX)
        examples = lengths(self.train_dataset)[: len(self.train_dataset) - padding].tolist()
        batch_size = self.args.train_batch_size
        sampler = EpochSampler(batch_size * distributed.num_processes(), examples, self.args.seed, padding)
        dataset = self.train_dataset.select_columns(["input_ids", "attention_mask", *self.args.label_names])
        options = {"collate_fn": self.data_collator, "pin_memory": self.args.dataloader_pin_memory}
        return self.accelerator.prepare(DataLoader(dataset, batch_size, sampler=sampler, **options))

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        if model.training and distributed.num_processes() > 1:
            # The gradients are averaged over the processes. So that they are those of the whole batch, each process
            # divides its sums by the mean of all counts, not by its own.
            counts = num_valid(inputs["labels"], self.model.stack_targets(inputs["labels"], inputs))
            inputs = {**inputs, "denominators": self.accelerator.reduce(counts.float(), "mean")}
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if model.training:
            self._head_losses.append(outputs.head_losses.detach())
        return (loss, outputs) if return_outputs else loss

    def training_step(self, *args, **kwargs) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise callbacks.not_finite("loss", self.state.global_step)
        return loss

    def evaluation_loop(self, *args, **kwargs) -> EvalLoopOutput:
        output = super().evaluation_loop(*args, **kwargs)
        self._last_outputs = output.predictions
        return output

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        metrics = super().evaluate(*args, **kwargs)
        if self.state.best_global_step == self.state.global_step:  # as `best_checkpoint` has just decided
            self.best_outputs = self._last_outputs
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            names = self.model.config.intensity_targets
            losses = torch.cat(self._head_losses).reshape(-1, 1 + len(names))  # a row a step
            losses = self.accelerator.reduce(losses, "mean")  # of the processes
            logs.update(named_losses(losses.nanmean(dim=0), names))  # over the steps where a target was known
            self._head_losses.clear()
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict) -> int:
        """Not counted: the Trainer would go through all modules in each step, for a number that nobody reads."""
        return 0

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Load the state of fp16's loss scaler, if there is a scaler.

        A run of fp16 may go on in fp32, as our own message advises. The Trainer would then load a state into None, and
        it has no public hook for that.
        """
        if self.accelerator.scaler is not None:
            super()._load_scaler(checkpoint)
