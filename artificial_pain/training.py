"""Fine-tuning with Hugging Face's Trainer: optimizer, schedule, early stopping, and prediction."""

import argparse
import functools
import math
import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pandas as pd
import torch
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerFast,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    logging,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from artificial_pain import checkpoints, metrics
from artificial_pain.cli import DEBUG_EPOCHS
from artificial_pain.corpora import INTENSITIES
from artificial_pain.errors import Terminated, UserError, say, warn, wrong_flag
from artificial_pain.models import EmotionModel, head_losses, total_loss
from artificial_pain.tokens import Splits, lengths

EVALUATION_BATCH_SIZE = 64  # no gradients are kept: a few times the training batch fits where that does
LOGGING_STEPS = 10  # between the points of the learning curves in W&B; the end of an epoch is one too

# Our own messages say what a user can act on.
logging.set_verbosity_error()
logging.disable_progress_bar()


def mixed_precision(precision: str) -> dict[str, bool]:
    """The Trainer's flags for --precision; exit code 2 for what the machine cannot do."""
    on_gpu = torch.cuda.is_available()
    bf16_on_gpu = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto" and on_gpu:
        # bf16 has the range of fp32; ModernBERT overflows in fp16.
        precision = "bf16" if bf16_on_gpu else "fp16"
    if precision == "fp16" and not on_gpu:
        wrong_flag("--precision fp16 needs an NVIDIA or AMD GPU, and there is none here: use fp32 or auto")
    if precision == "bf16" and on_gpu and not bf16_on_gpu:
        wrong_flag("--precision bf16: this GPU cannot do it: use fp16 or auto")
    return {"bf16": precision == "bf16", "fp16": precision == "fp16"}


def optimizer(model: EmotionModel, learning_rate: float, head_learning_rate: float) -> torch.optim.Adam:
    """Adam without weight decay, the encoder and the heads each with their learning rate."""
    encoder = list(model.encoder.parameters())
    heads = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": encoder, "lr": learning_rate}, {"params": heads, "lr": head_learning_rate}]
    return torch.optim.Adam(groups, fused=True)


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

    A second signal ends it at once.
    """

    def __init__(self):
        self.received: int | None = None
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
        if self.received and not state.epoch.is_integer():
            control.should_log = control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        self._stop(state)

    def _stop(self, state: TrainerState) -> None:
        if self.received:
            kind = KeyboardInterrupt if self.received == signal.SIGINT else Terminated
            raise kind(f"stopped after step {state.global_step} of {state.max_steps}, with a checkpoint")

    def on_train_end(self, args, state, control, **kwargs):
        self._restore()
        self._stop(state)  # of a signal that came after the last checkpoint


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


class EpochSampler(LengthGroupedSampler):
    """Groups examples by length, in an order that follows from the seed and the epoch alone.

    So a training that goes on in the middle of an epoch sees the rest of that epoch's batches.
    """

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int):
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator.manual_seed(int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0]))
        return super().__iter__()


class EmotionTrainer(Trainer):
    """A Trainer that groups the training examples by length, logs the loss of each head, seals its checkpoints, and
    stops where a loss or a gradient is not finite.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._head_losses: list[torch.Tensor] = []  # of the steps since the last log, left on their device

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> EpochSampler:
        return EpochSampler(self.args.train_batch_size, lengths(self.train_dataset).tolist(), self.args.seed)

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if model.training:
            self._head_losses.append(outputs.head_losses.detach())
        return (loss, outputs) if return_outputs else loss

    def training_step(self, *args, **kwargs) -> torch.Tensor:
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
        folder = Path(self.args.output_dir)
        with checkpoints.written(folder / f"checkpoint-{self.state.global_step}"):
            super()._save_checkpoint(model, trial)
        checkpoints.thin_out(folder, self.state.best_global_step)

    def _init_training_state(self, *args, **kwargs) -> tuple[int, int]:
        begin = super()._init_training_state(*args, **kwargs)
        if self.state.best_global_step:  # its path is that of the run that wrote it, from its working directory
            self.state.best_model_checkpoint = f"{self.args.output_dir}/checkpoint-{self.state.best_global_step}"
        return begin

    def _load_best_model(self) -> None:
        reason = checkpoints.damage(Path(self.state.best_model_checkpoint))
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
            # A row a step; of several GPUs in one process, the rows of a step come as one.
            losses = torch.cat(self._head_losses).reshape(-1, 1 + len(targets))
            logs.update(_named_losses(losses.nanmean(dim=0), targets))  # over the steps where a target was known
            self._head_losses.clear()
        super().log(logs, start_time)


def _named_losses(losses: torch.Tensor, targets: Sequence[str]) -> dict[str, float]:
    """The losses (1 + targets,) of the heads by name, those that there are; none where the emotion has the only one."""
    if not targets:
        return {}
    names = ["emotion", *(INTENSITIES[target] for target in targets)]
    return {f"loss_{name}": loss.item() for name, loss in zip(names, losses, strict=True) if not loss.isnan()}


def by_length(dataset: Dataset) -> np.ndarray:
    """The order from the longest example to the shortest: batches without padding; a lack of memory shows at once."""
    return np.argsort(-lengths(dataset), kind="stable")


def validation_metrics(prediction: EvalPrediction, targets: Sequence[str]) -> dict[str, float]:
    """What an evaluation during the training reports: losses over the whole split, and metrics of every head.

    Intensities are read at the true emotion. What is not defined (the correlation of a constant) is left out.
    """
    logits, intensities = prediction.predictions
    columns = np.atleast_2d(prediction.label_ids)  # (1 + targets, n): the Trainer gives one column bare
    labels, annotated = columns[0].astype(int), columns[1:].T
    losses = head_losses(*map(torch.from_numpy, (logits, intensities, labels, annotated)))
    predicted = logits.argmax(axis=1)
    reported = {
        # In place of the Trainer's own, a mean over batches, in which the known intensities are of unequal number.
        "loss": total_loss(losses).item(),
        **_named_losses(losses, targets),
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, labels=np.arange(logits.shape[1]), average="macro", zero_division=0),
    }
    at_true = metrics.read_at(intensities, labels)
    for i, target in enumerate(targets):
        scores = metrics.regression(annotated[:, i], at_true[:, i])
        reported |= {f"{name}_{INTENSITIES[target]}": scores[name] for name in ("mae", "pearson")}
    return {name: value for name, value in reported.items() if value is not None}


def training_arguments(
    args: argparse.Namespace,
    precision: dict[str, bool],
    metric: str,
    folder: Path,
    targets: Sequence[str],
    examples: int,
) -> TrainingArguments:
    """The published recipe for `examples` training examples, which keeps the checkpoint with the best `metric`."""
    epochs = DEBUG_EPOCHS if args.debug else args.epochs
    steps = epochs * math.ceil(examples / args.batch_size)
    if args.warmup_steps >= steps:
        warn(
            f"--warmup_steps {args.warmup_steps}, but the training has {steps} steps: the learning rates rise to "
            f"{steps / args.warmup_steps:.0%} of what was asked for"
        )
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH_SIZE,
        learning_rate=args.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=args.warmup_steps,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # else early stopping would begin to count anew
        metric_for_best_model=metric,
        greater_is_better=metric != "loss",
        logging_steps=LOGGING_STEPS,
        logging_nan_inf_filter=False,  # else a loss of NaN is logged as 0
        label_names=["labels", *targets],
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),  # unless it is said, bf16 is refused on a CPU
        disable_tqdm=False,  # else the bars follow transformers' verbosity
        report_to="none",  # tracking.py logs: the Trainer's own would log settings that are not the optimizer's
        seed=args.seed,
        **precision,
    )


def make_trainer(
    model: EmotionModel,
    tokenizer: PreTrainedTokenizerFast,
    splits: Splits,
    args: argparse.Namespace,
    precision: dict[str, bool],
    metric: str,
    folder: Path,
) -> EmotionTrainer:
    """A Trainer of the model on the training split, evaluated on the validation split after each epoch.

    Its checkpoints are in `folder`; the best of them on the validation split is kept: by `metric`, "loss" (the lowest),
    "accuracy" or "macro_f1" (the highest).
    """
    targets = model.config.intensity_targets
    train = splits.tokenized["train"]
    validation = splits.tokenized["validation"]
    trainer = EmotionTrainer(
        model=model,
        args=training_arguments(args, precision, metric, folder, targets, len(train)),
        train_dataset=train,
        eval_dataset=validation.select(by_length(validation)),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=functools.partial(validation_metrics, targets=targets),
        optimizers=(optimizer(model, args.learning_rate, args.head_learning_rate), None),
        callbacks=[EarlyStoppingCallback(args.patience), StopOnSignal()],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(EpochLines)
    return trainer


def train(trainer: EmotionTrainer) -> None:
    """Train from the last whole checkpoint on, or from the start, until the model has the best checkpoint's weights.

    Raises UserError where the disk cannot hold the checkpoints, or where the training cannot go on.
    """
    folder = Path(trainer.args.output_dir)
    checkpoint = checkpoints.last_whole(folder)
    if checkpoint:
        say(f"going on from {checkpoint}")
    checkpoints.require_space(folder, sum(weight.nbytes for weight in trainer.model.parameters()))
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{checkpoint}: holds more than numbers ({reason}): add --restart to train anew") from error
    finally:
        trainer.callback(EpochLines).close()


@contextmanager
def telling_out_of_memory(args: argparse.Namespace, max_length: int) -> Iterator[None]:
    """A lack of memory, of a GPU or the machine, becomes a UserError that names what it depends on."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not should_reduce_batch_size(error):
            raise
        raise UserError(
            f"out of memory with --batch_size {args.batch_size} (evaluation: {EVALUATION_BATCH_SIZE}), texts of up to "
            f"{max_length} tokens and --precision {args.precision}: try --precision bf16, or --restart with a smaller "
            "--batch_size, or with splits that the dataloader makes with a smaller --max_length"
        ) from error


def predict(trainer: Trainer, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The model's logits (n, labels) and intensities (n, targets, labels), row i for example i of the dataset.

    In double precision, so that the metrics are those of the numbers in the CSV files to the last digit.

    Raises UserError where they are not finite: the training has diverged, and no metric of it would mean anything.
    """
    order = by_length(dataset)
    outputs = trainer.predict(dataset.select(order)).predictions
    if not all(np.isfinite(output).all() for output in outputs):
        raise UserError("the model's outputs are not finite: try a lower --learning_rate, or --precision fp32")
    back = np.argsort(order)
    logits, intensities = (output[back].astype(float) for output in outputs)
    return logits, intensities
