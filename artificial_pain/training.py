"""Fine-tuning with Hugging Face's Trainer: optimizer, schedule, early stopping, and prediction."""

import argparse
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from sklearn.metrics import accuracy_score, f1_score
from torch.utils.data import SequentialSampler
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from artificial_pain.cli import DEBUG_EPOCHS
from artificial_pain.errors import UserError, wrong_flag
from artificial_pain.tokens import Splits, lengths

EVALUATION_BATCH_SIZE = 64  # no gradients are kept: a few times the training batch fits where that does
LOGGING_STEPS = 10  # between the points of the learning curves; an epoch of fewer steps has one


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


def optimizer(model: PreTrainedModel, learning_rate: float, head_learning_rate: float) -> torch.optim.Adam:
    """Adam without weight decay, the encoder and the heads each with their learning rate."""
    encoder = list(model.encoder.parameters())
    heads = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": encoder, "lr": learning_rate}, {"params": heads, "lr": head_learning_rate}]
    return torch.optim.Adam(groups, fused=True)


class EpochLines(ProgressCallback):
    """The Trainer's progress bars, with a line an epoch in place of its printed dictionaries."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        pass

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        super().on_evaluate(args, state, control, **kwargs)
        if self.training_bar is None:
            return
        this_epoch = [log["loss"] for log in state.log_history if "loss" in log and log["epoch"] > state.epoch - 1]
        told = {
            "train loss": np.mean(this_epoch),
            "validation loss": metrics["eval_loss"],
            "accuracy": metrics["eval_accuracy"],
            "macro-F1": metrics["eval_macro_f1"],
        }
        values = "".join(f"   {name} {value:.3f}" for name, value in told.items())
        self.training_bar.write(f"epoch {round(state.epoch):4d}{values}", file=sys.stderr)


class EmotionTrainer(Trainer):
    """A Trainer that groups the training examples by length, and evaluates in the order of the dataset.

    Its own evaluation would group by length too, and give the predictions back in that shuffled order.
    """

    def _get_eval_sampler(self, eval_dataset: Dataset) -> SequentialSampler:
        return SequentialSampler(eval_dataset)


def by_length(dataset: Dataset) -> np.ndarray:
    """The order from the longest example to the shortest: batches without padding; a lack of memory shows at once."""
    return np.argsort(-lengths(dataset), kind="stable")


def validation_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """What an evaluation during the training reports beside the loss."""
    labels, predicted = prediction.label_ids, prediction.predictions.argmax(axis=1)
    macro_f1 = f1_score(
        labels, predicted, labels=np.arange(prediction.predictions.shape[1]), average="macro", zero_division=0
    )
    return {"accuracy": accuracy_score(labels, predicted), "macro_f1": macro_f1}


def training_arguments(
    args: argparse.Namespace, precision: dict[str, bool], checkpoints: Path, metric: str, examples: int
) -> TrainingArguments:
    """The published recipe for `examples` training examples, which keeps the checkpoint with the best `metric`.

    `metric`, of the validation split, is "loss" (the lowest), "accuracy" or "macro_f1" (the highest).
    """
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=DEBUG_EPOCHS if args.debug else args.epochs,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH_SIZE,
        learning_rate=args.learning_rate,
        lr_scheduler_type="linear",
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,  # beside the best one
        load_best_model_at_end=True,
        metric_for_best_model=metric,
        greater_is_better=metric != "loss",
        logging_steps=min(LOGGING_STEPS, math.ceil(examples / args.batch_size)),
        logging_nan_inf_filter=False,  # else a loss of NaN is logged as 0
        label_names=["labels"],
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),  # unless it is said, bf16 is refused on a CPU
        disable_tqdm=False,  # else the bars follow transformers' verbosity
        report_to="none",  # tracking.py logs: the Trainer's own would log settings that are not the optimizer's
        seed=args.seed,
        **precision,
    )


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    splits: Splits,
    arguments: TrainingArguments,
    args: argparse.Namespace,
    callbacks: list[TrainerCallback],
) -> Trainer:
    """A Trainer of the model on the training split, evaluated on the validation split after each epoch."""
    shutil.rmtree(arguments.output_dir, ignore_errors=True)  # the checkpoints of a run that was stopped
    validation = splits.tokenized["validation"]
    trainer = EmotionTrainer(
        model=model,
        args=arguments,
        train_dataset=splits.tokenized["train"],
        eval_dataset=validation.select(by_length(validation)),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=validation_metrics,
        optimizers=(optimizer(model, args.learning_rate, args.head_learning_rate), None),
        callbacks=[EarlyStoppingCallback(args.patience), *callbacks],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(EpochLines)
    return trainer


def predict(trainer: Trainer, dataset: Dataset) -> np.ndarray:
    """The model's logits, shape (n, labels), row i for example i of the dataset.

    Raises UserError where they are not finite: the training has diverged, and no metric of it would mean anything.
    """
    order = by_length(dataset)
    sorted_logits = trainer.predict(dataset.select(order)).predictions
    if not np.isfinite(sorted_logits).all():
        raise UserError("the model's outputs are not finite: try a lower --learning_rate, or --precision fp32")
    logits = np.empty_like(sorted_logits)
    logits[order] = sorted_logits
    return logits
