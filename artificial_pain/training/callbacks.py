"""Callbacks of the Trainer: what a training prints, which checkpoint it keeps, and what stops it."""

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import torch
from safetensors.torch import load_file
from tqdm import tqdm
from transformers import ProgressCallback, TrainerCallback, TrainerState
from transformers.utils import SAFE_WEIGHTS_NAME

from artificial_pain import distributed
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import EPOCH_LINE, Terminated, UserError
from artificial_pain.modeling import cpu
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import checkpoints
from artificial_pain.training.history import best_evaluation, learning_curves

# What the line of an epoch says, and the Trainer's name for it.
PRINTED = {"validation loss": "eval_loss", "accuracy": "eval_accuracy", "macro-F1": "eval_macro_f1"}
PRINTED |= {"MAE": "eval_mae"} | {f"MAE {name}": f"eval_mae_{name}" for name in INTENSITIES.values()}

SECONDS_BETWEEN_LINES = 60
SECONDS_BETWEEN_TRIMS = 10


class ProgressBars(ProgressCallback):
    """The Trainer's progress bars, for a terminal, without its printed dictionaries."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        pass

    def close(self) -> None:
        """End the bars where the training is left in the middle."""
        for bar in (self.prediction_bar, self.training_bar):
            if bar is not None:
                bar.close()


class ProgressLines(TrainerCallback):
    """A line an epoch. In a log file, where nobody sees a bar, also a line a minute, with the time that is left."""

    def __init__(self, in_log_file: bool):
        self.in_log_file, self._trains = in_log_file, False

    def on_train_begin(self, args, state, control, **kwargs):
        self._trains, self._begun = True, None

    def on_step_begin(self, args, state, control, **kwargs):
        if self._begun is None:  # a training that goes on has skipped the batches before
            self._begun = self._written = time.monotonic()
            self._first_step = state.global_step

    def on_step_end(self, args, state, control, **kwargs):
        now = time.monotonic()
        if not self.in_log_file or now - self._written < SECONDS_BETWEEN_LINES:
            return
        seconds = (now - self._begun) / (state.global_step - self._first_step)  # a step, with its share of evaluations
        steps = state.max_steps // state.num_train_epochs
        epoch, step = divmod(state.global_step - 1, steps)
        left = [tqdm.format_interval(n * seconds) for n in (steps - step - 1, state.max_steps - state.global_step)]
        told = (
            f"step {step + 1:,} of {steps:,}   {left[0]} left of the epoch, {left[1]} of all {state.num_train_epochs}"
        )
        self._write(state, epoch + 1, told)

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_log = True  # so that no point of the learning curves is of two epochs

    def on_train_end(self, args, state, control, **kwargs):
        self._trains = False

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if not self._trains:
            return
        values = {"train loss": learning_curves(state.log_history)["loss"].iloc[-1]}
        values |= {name: metrics[key] for name, key in PRINTED.items() if key in metrics}
        self._write(state, round(state.epoch), "   ".join(f"{name} {value:.3f}" for name, value in values.items()))

    def _write(self, state: TrainerState, epoch: int, text: str) -> None:
        self._written = time.monotonic()
        if state.is_world_process_zero:
            tqdm.write(f"{EPOCH_LINE}{epoch:4d}   {text}", file=sys.stderr)


class BestCheckpoint(TrainerCallback):
    """Early stopping, and the best checkpoint: decides which it is, keeps it on disk, and loads it in the end.

    Best is what `history.best_evaluation` says. The decision follows from the log alone, so a resumed training
    decides as an uninterrupted one.
    """

    def __init__(self, folder: Path, metric: str, patience: int):
        """folder: of the checkpoints. metric: of validation. patience: evaluations without a better one."""
        self.folder, self.metric, self.patience = folder, metric, patience
        self._background = ThreadPoolExecutor(max_workers=1)
        self._manifest = self._background.submit(lambda: None)  # of the last checkpoint: none yet

    def is_exhausted(self, state: TrainerState) -> bool:
        """Whether the patience is at its end: the training stops here."""
        return best_evaluation(state.log_history, self.metric).evaluations_since >= self.patience

    def on_step_begin(self, args, state, control, **kwargs):
        if self._manifest.done():
            self.finish()  # an error of writing is raised at once

    def on_evaluate(self, args, state, control, **kwargs):
        best = best_evaluation(state.log_history, self.metric)
        state.best_global_step, state.best_metric = best.step, best.value
        if self.is_exhausted(state):
            control.should_training_stop = True

    def on_save(self, args, state, control, **kwargs):
        self.finish()
        distributed.wait_for_everyone()  # each process writes the state of its random numbers
        if distributed.is_main_process():
            checkpoint = self.folder / f"checkpoint-{state.global_step}"
            self._manifest = self._background.submit(_complete, checkpoint)

    def finish(self) -> None:
        """Wait until the last checkpoint is complete. Raises UserError where it cannot be written."""
        self._manifest.result()

    def load(self, model: EmotionModel, step: int) -> None:
        """Load the weights of a step's checkpoint into the model. Raises UserError where they are damaged."""
        self.finish()
        distributed.wait_for_everyone()
        checkpoint = self.folder / f"checkpoint-{step}"
        reason = checkpoints.find_corruption(checkpoint)
        if reason:
            raise UserError(f"{checkpoint}: damaged since it was written ({reason}): train again")
        model.load_state_dict(load_file(checkpoint / SAFE_WEIGHTS_NAME))


def _complete(checkpoint: Path) -> None:
    checkpoints.write_manifest(checkpoint)
    checkpoints.rotate_checkpoints(checkpoint.parent)


class ReturnFreeMemory(TrainerCallback):
    """On a CPU, gives free memory back to the system, which takes 0.02 to 0.06 s.

    It does so after every 10 s of the main thread's CPU time, before each evaluation, and at the end of the training.
    CPU time, because a training in a benchmark also waits for its turn.
    """

    def on_train_begin(self, args, state, control, **kwargs):
        self._last = time.thread_time()

    def on_step_end(self, args, state, control, **kwargs):
        if time.thread_time() - self._last > SECONDS_BETWEEN_TRIMS:
            self._last = time.thread_time()
            cpu.return_free_memory()

    def on_epoch_end(self, args, state, control, **kwargs):
        cpu.return_free_memory()

    def on_train_end(self, args, state, control, **kwargs):
        cpu.return_free_memory()


class StopIfNotFinite(TrainerCallback):
    """Stops the training before a gradient that is not finite reaches the weights."""

    def on_pre_optimizer_step(self, args, state, control, model=None, optimizer=None, **kwargs):
        # In fp16 the loss is scaled until the gradients are finite. A step whose gradients are not finite is left out.
        if optimizer.scaler is not None and optimizer.scaler.get_scale() >= 1:
            return
        # The gradients were clipped: multiplied by 1 / norm. Where the norm is not finite, a finite gradient has become
        # 0 or NaN. So if a small tensor is finite and not 0, all are finite. Otherwise all have to be read.
        bias_gradient = model.emotion_head[-1].bias.grad
        if torch.isfinite(bias_gradient).all() and bias_gradient.any():
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise not_finite("gradient", state.global_step)


def not_finite(what: str, step: int) -> UserError:
    """The error of a loss or gradient that is not finite, in the step after `step`."""
    remedy = "add --precision fp32 to go on from the last checkpoint, or --restart with a lower --learning_rate and "
    return UserError(f"step {step + 1}: the {what} is not finite: {remedy}--head_learning_rate")


class StopOnSignal(TrainerCallback):
    """On SIGTERM or Ctrl-C, finish the step or the evaluation, write a checkpoint, and leave the training.

    A second signal ends it at once. Of several processes, all stop at the same step, whichever has the signal.
    """

    def __init__(self):
        self.received = 0
        self._handlers = {}

    def on_train_begin(self, args, state, control, **kwargs):
        self._handlers = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def on_step_end(self, args, state, control, **kwargs):
        # The last step of an epoch is left out: its checkpoint is written after the evaluation that belongs to it.
        if distributed.all_reduce_max(self.received) and not state.epoch.is_integer():
            control.should_log = control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        self._stop(state)

    def on_train_end(self, args, state, control, **kwargs):
        self._restore()
        self._stop(state)  # a signal that came after the last checkpoint

    def _stop(self, state: TrainerState) -> None:
        received = distributed.all_reduce_max(self.received)
        if received:
            kind = KeyboardInterrupt if received == signal.SIGINT else Terminated
            raise kind(f"stopped after step {state.global_step} of {state.max_steps}, with a checkpoint")
