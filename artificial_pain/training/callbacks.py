"""What a training shows, and how it is stopped: callbacks of the Trainer."""

import signal
import sys
from types import FrameType

from transformers import ProgressCallback, TrainerCallback, TrainerState

from artificial_pain import distributed
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import Terminated
from artificial_pain.training.trainer import learning_curves


class EpochLines(ProgressCallback):
    """The Trainer's progress bars, with a line an epoch in place of its printed dictionaries."""

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_log = True  # so that no point of the learning curves is of two epochs

    def on_log(self, args, state, control, logs=None, **kwargs):
        pass

    def close(self) -> None:
        """End the bars where the training is left in the middle."""
        for bar in (self.prediction_bar, self.training_bar):
            if bar is not None:
                bar.close()

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        super().on_evaluate(args, state, control, **kwargs)
        if self.training_bar is None:
            return
        told = {
            "train loss": learning_curves(state.log_history)["loss"].iloc[-1],
            "validation loss": metrics["eval_loss"],
            "accuracy": metrics["eval_accuracy"],
            "macro-F1": metrics["eval_macro_f1"],
        }
        errors = {f"MAE {name}": metrics.get(f"eval_mae_{name}") for name in INTENSITIES.values()}
        told |= {name: error for name, error in errors.items() if error is not None}
        values = "".join(f"   {name} {value:.3f}" for name, value in told.items())
        self.training_bar.write(f"epoch {round(state.epoch):4d}{values}", file=sys.stderr)


class StopOnSignal(TrainerCallback):
    """On SIGTERM or Ctrl-C, finish the step or the evaluation, let a checkpoint be written, and leave the training.

    A second signal ends it at once. Of several processes, all stop at the same step, whichever has the signal.
    """

    def __init__(self):
        self.received = 0
        self._before = {}

    def on_train_begin(self, args, state, control, **kwargs):
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_step_end(self, args, state, control, **kwargs):
        # The last step of an epoch is not: its checkpoint is written after the evaluation that belongs to it.
        if distributed.highest(self.received) and not state.epoch.is_integer():
            control.should_log = control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        self._stop(state)

    def _stop(self, state: TrainerState) -> None:
        received = distributed.highest(self.received)
        if received:
            kind = KeyboardInterrupt if received == signal.SIGINT else Terminated
            raise kind(f"stopped after step {state.global_step} of {state.max_steps}, with a checkpoint")

    def on_train_end(self, args, state, control, **kwargs):
        self._restore()
        self._stop(state)  # of a signal that came after the last checkpoint
