"""Hugging Face's Trainer for emotions: the order of the examples, losses by head, sealed checkpoints."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from artificial_pain import distributed
from artificial_pain.data.tokenization import lengths
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import UserError
from artificial_pain.modeling.losses import IGNORE_INDEX, named_losses, num_valid
from artificial_pain.training import checkpoints


class EpochSampler(LengthGroupedSampler):
    """Groups examples by length, in an order that follows from the seed and the epoch alone.

    So a training that goes on in the middle of an epoch sees the rest of that epoch's batches.
    """

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int, fill: int = 0):
        """`fill` examples come after those of the lengths, and last in each epoch."""
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed, self.epoch, self.fill = seed, 0, fill

    def __len__(self) -> int:
        return super().__len__() + self.fill

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator.manual_seed(int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0]))
        examples = super().__len__()
        return chain(super().__iter__(), range(examples, examples + self.fill))


class EmotionTrainer(Trainer):
    """A Trainer that groups the training examples by length, logs the loss of each head, seals its checkpoints, and
    stops where a loss or a gradient is not finite.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._head_losses: list[torch.Tensor] = []  # of the steps since the last log, left on their device
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._sealing = self._beside.submit(lambda: None)  # of the last checkpoint: none yet

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> EpochSampler:
        fill = self.train_dataset["labels"][:].count(IGNORE_INDEX)
        examples = lengths(self.train_dataset)[: len(self.train_dataset) - fill].tolist()
        return EpochSampler(self.args.train_batch_size * distributed.COUNT, examples, self.args.seed, fill)

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        if model.training and distributed.COUNT > 1:
            # The gradients are averaged over the processes. So that they are those of the whole batch, each process
            # divides its sums by the mean of all counts, not by its own.
            counts = num_valid(inputs["labels"], self.model.annotations(inputs["labels"], inputs))
            inputs = {**inputs, "counts": self.accelerator.reduce(counts.float(), "mean")}
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if model.training:
            self._head_losses.append(outputs.head_losses.detach())
        return (loss, outputs) if return_outputs else loss

    def training_step(self, *args, **kwargs) -> torch.Tensor:
        if self._sealing.done():
            self.finish_checkpoint()  # which tells at once that it could not be sealed
        loss = super().training_step(*args, **kwargs)
        self._require_finite("loss", loss)
        return loss

    def _get_grad_norm(self, *args, **kwargs) -> torch.Tensor:
        norm = super()._get_grad_norm(*args, **kwargs)
        # In fp16 the loss is scaled until the gradients are finite; a step with others is left out.
        if not self.args.fp16 or self.accelerator.scaler.get_scale() < 1:
            self._require_finite("gradient", norm)
        return norm

    def _require_finite(self, what: str, value: torch.Tensor) -> None:
        """Raise UserError, before the step that would spoil the weights."""
        if not torch.isfinite(value).all():
            raise UserError(
                f"step {self.state.global_step + 1}: the {what} is not finite: add --precision fp32 to go on from the "
                "last checkpoint, or --restart with a lower --learning_rate and --head_learning_rate"
            )

    def _save_checkpoint(self, model, trial) -> None:
        self.finish_checkpoint()
        checkpoint = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        with checkpoints.unwritable_as_user_error(checkpoint) if distributed.IS_FIRST else nullcontext():
            super()._save_checkpoint(model, trial)
        distributed.wait_for_all()  # each process writes the state of its random numbers
        if distributed.IS_FIRST:
            self._sealing = self._beside.submit(_seal, checkpoint)

    def finish_checkpoint(self) -> None:
        """Wait until the last checkpoint is sealed, which is done beside the training.

        Raises UserError where it cannot be.
        """
        self._sealing.result()

    def _init_training_state(self, *args, **kwargs) -> tuple[int, int]:
        begin = super()._init_training_state(*args, **kwargs)
        if self.state.best_global_step:  # its path is that of the run that wrote it, from its working directory
            self.state.best_model_checkpoint = f"{self.args.output_dir}/checkpoint-{self.state.best_global_step}"
        return begin

    def _load_best_model(self) -> None:
        self.finish_checkpoint()
        distributed.wait_for_all()
        reason = checkpoints.find_corruption(Path(self.state.best_model_checkpoint))
        if reason:
            raise UserError(f"{self.state.best_model_checkpoint}: damaged since it was written ({reason}): train again")
        super()._load_best_model()

    def _load_scaler(self, checkpoint: str | None) -> None:
        if self.accelerator.scaler is not None:  # a run that goes on in another precision has none
            super()._load_scaler(checkpoint)

    def callback(self, kind: type[TrainerCallback]) -> TrainerCallback:
        """The one callback of a kind."""
        (found,) = (callback for callback in self.callback_handler.callbacks if isinstance(callback, kind))
        return found

    def _run_epoch(self, *args, **kwargs) -> None:
        stopping = self.callback(EarlyStoppingCallback)
        if stopping.early_stopping_patience_counter >= stopping.early_stopping_patience:
            self.control.should_training_stop = True  # as it had when the checkpoint was written
        else:
            super()._run_epoch(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            targets = self.model.config.intensity_targets
            losses = torch.cat(self._head_losses).reshape(-1, 1 + len(targets))  # a row a step
            losses = self.accelerator.reduce(losses, "mean")  # of the processes
            logs.update(named_losses(losses.nanmean(dim=0), targets))  # over the steps where a target was known
            self._head_losses.clear()
        super().log(logs, start_time)


def _seal(checkpoint: Path) -> None:
    checkpoints.write_manifest(checkpoint)
    checkpoints.rotate_checkpoints(checkpoint.parent)


def learning_curves(history: Sequence[dict]) -> pd.DataFrame:
    """The losses by epoch, of training (their means over its steps) and, as eval_…, of validation.

    history: what the Trainer logged, `trainer.state.log_history`.
    """
    training = pd.DataFrame([log for log in history if "loss" in log])
    evaluations = pd.DataFrame([log for log in history if "eval_loss" in log])
    # A log is the mean over the steps since the one before it.
    training["steps"] = training["step"].diff().fillna(training["step"])
    curves = {}
    names = ["loss", "loss_emotion", *(f"loss_{name}" for name in INTENSITIES.values())]  # a log may be in any order
    for name in [name for name in names if name in training]:
        # A head that had nothing to learn from is left out of the log; a loss that is NaN stays one.
        logged = training if name == "loss" else training[training[name].notna()]
        epoch = np.ceil(logged["epoch"]).astype(int)
        sums = (logged[name] * logged["steps"]).groupby(epoch).sum(skipna=False)
        curves[name] = sums / logged["steps"].groupby(epoch).sum()
        if f"eval_{name}" in evaluations:
            curves[f"eval_{name}"] = evaluations.set_index(evaluations["epoch"].astype(int))[f"eval_{name}"]
    return pd.DataFrame(curves)
