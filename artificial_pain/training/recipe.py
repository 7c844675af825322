"""Fine-tuning with Hugging Face's Trainer: optimizer, schedule, early stopping, and prediction."""

import argparse
import functools
import math
import pickle
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import accelerate
import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset, concatenate_datasets
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils.class_weight import compute_class_weight
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerFast,
    ProgressCallback,
    Trainer,
    TrainingArguments,
)

from artificial_pain import distributed
from artificial_pain.cli import DEBUG_EPOCHS
from artificial_pain.data.tokenization import Splits, lengths
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import UserError, first_line, say, warn, wrong_flag
from artificial_pain.evaluation import regression
from artificial_pain.modeling import cpu
from artificial_pain.modeling.losses import IGNORE_INDEX, head_losses, named_losses, total_loss
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import checkpoints
from artificial_pain.training.callbacks import EpochLines, StopOnSignal
from artificial_pain.training.trainer import EmotionTrainer

# In an evaluation no gradients are kept: many examples fit on a GPU, and keep it busy; on a CPU, few are padded less.
EVALUATION_BATCH_SIZE = 64
EVALUATION_BATCH_SIZE_ON_CPU = 8
LOGGING_STEPS = 10  # between the points of the learning curves in W&B; the end of an epoch is one too

SCHEDULERS = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # transformers' names


def evaluation_batch_size() -> int:
    """Examples of a batch of an evaluation, on this process's device."""
    return EVALUATION_BATCH_SIZE_ON_CPU if distributed.device().type == "cpu" else EVALUATION_BATCH_SIZE


def mixed_precision(precision: str) -> dict[str, bool]:
    """The Trainer's flags for --precision; exit code 2 for what the machine cannot do."""
    on_gpu = distributed.device().type == "cuda"
    bf16_on_gpu = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto" and on_gpu:
        # bf16 has the range of fp32; ModernBERT overflows in fp16.
        precision = "bf16" if bf16_on_gpu else "fp16"
    if precision == "auto" and cpu.multiplies_in_bf16():
        precision = "bf16"
    if precision == "fp16" and not on_gpu:
        wrong_flag("--precision fp16 needs an NVIDIA or AMD GPU, and there is none here: use fp32 or auto")
    if precision == "bf16" and on_gpu and not bf16_on_gpu:
        wrong_flag("--precision bf16: this GPU cannot do it: use fp16 or auto")
    return {"bf16": precision == "bf16", "fp16": precision == "fp16"}


def optimizer(
    model: EmotionModel, learning_rate: float, head_learning_rate: float, layer_decay: float = 1.0
) -> torch.optim.Adam:
    """Adam without weight decay, the encoder and the heads each with their learning rate.

    The encoder's is that of its top layer; a layer below another has `layer_decay` times its rate, the embeddings
    that of a layer below the first (discriminative fine-tuning, Howard & Ruder, ACL 2018).
    """
    layers = model.config.encoder.num_hidden_layers
    groups: dict[tuple[str, int], list[torch.nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if not name.startswith("encoder."):
            groups["heads", 0].append(parameter)
            continue
        layer = re.search(r"\.layers?\.(\d+)\.", name)
        height = int(layer[1]) + 1 if layer else 0 if "embeddings" in name else layers
        groups["encoder", (layers - height) if layer_decay < 1 else 0].append(parameter)
    rates = {"encoder": learning_rate, "heads": head_learning_rate}
    # The Trainer logs the first group's rate: that of the top layer.
    order = sorted(groups)
    return torch.optim.Adam(
        [{"params": groups[part, below], "lr": rates[part] * layer_decay**below} for part, below in order], fused=True
    )


def by_length(dataset: Dataset) -> np.ndarray:
    """The order from the longest example to the shortest: batches without padding; a lack of memory shows at once."""
    return np.argsort(-lengths(dataset), kind="stable")


def pad_to_full_batches(train: Dataset, batch_size: int, targets: Sequence[str]) -> Dataset:
    """The training examples, and behind them as many as the last batch lacks, from which nothing is learned.

    So each of several processes has its part of every batch, as large as the others'.
    """
    lacking = train.select([0] * (-len(train) % batch_size))
    nothing = {"labels": [IGNORE_INDEX] * len(lacking)} | {target: [math.nan] * len(lacking) for target in targets}
    return concatenate_datasets([train, Dataset.from_dict({**lacking.to_dict(), **nothing}, features=train.features)])


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
        **named_losses(losses, targets),
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, labels=np.arange(logits.shape[1]), average="macro", zero_division=0),
    }
    at_true = regression.select_by_label(intensities, labels)
    for i, target in enumerate(targets):
        scores = regression.regression(annotated[:, i], at_true[:, i])
        reported |= {f"{name}_{INTENSITIES[target]}": scores[name] for name in ("mae", "pearson")}
    return {name: value for name, value in reported.items() if value is not None}


def training_arguments(
    args: argparse.Namespace,
    precision: dict[str, bool],
    folder: Path,
    targets: Sequence[str],
    examples: int,
) -> TrainingArguments:
    """The published recipe for `examples` training examples, which keeps the best checkpoint by --model_metric."""
    epochs = DEBUG_EPOCHS if args.debug else args.epochs
    steps = epochs * math.ceil(examples / args.batch_size)
    if args.warmup_steps >= steps:
        warn(
            f"--warmup_steps {args.warmup_steps}, but the training has {steps} steps: the learning rates rise to "
            f"{steps / args.warmup_steps:.0%} of what was asked for"
        )
    if args.batch_size % distributed.COUNT:
        wrong_flag(
            f"--batch_size {args.batch_size} cannot be shared evenly by {distributed.COUNT} processes: take a multiple "
            f"of {distributed.COUNT}"
        )
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=args.batch_size // distributed.COUNT,
        ddp_find_unused_parameters=False,  # all are used
        per_device_eval_batch_size=evaluation_batch_size(),
        learning_rate=args.learning_rate,
        lr_scheduler_type=SCHEDULERS[args.schedule],
        warmup_steps=args.warmup_steps,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # else early stopping would begin to count anew
        metric_for_best_model=args.model_metric,
        greater_is_better=args.model_metric != "loss",
        logging_steps=LOGGING_STEPS,
        logging_nan_inf_filter=False,  # else a loss of NaN is logged as 0
        label_names=["labels", *targets],
        dataloader_pin_memory=distributed.device().type == "cuda",
        use_cpu=distributed.device().type == "cpu",  # unless it is said, bf16 is refused on a CPU
        disable_tqdm=False,  # else the bars follow transformers' verbosity
        log_level_replica="error",  # as that of the first process
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
    folder: Path,
) -> EmotionTrainer:
    """A Trainer of the model on the training split, evaluated on the validation split after each epoch.

    Its checkpoints are in `folder`; the best of them on the validation split is kept, by --model_metric:
    "loss" (the lowest), "accuracy" or "macro_f1" (the highest).
    """
    targets = model.config.intensity_targets
    train = splits.tokenized["train"]
    validation = splits.tokenized["validation"]
    model.label_smoothing = args.label_smoothing
    if args.class_weights:
        weights = compute_class_weight("balanced", classes=np.arange(len(splits.label_names)), y=train["labels"][:])
        model.class_weights = torch.tensor(weights, dtype=torch.float32)
    trainer = EmotionTrainer(
        model=model,
        args=training_arguments(args, precision, folder, targets, len(train)),
        train_dataset=train if distributed.COUNT == 1 else pad_to_full_batches(train, args.batch_size, targets),
        eval_dataset=validation.select(by_length(validation)),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=functools.partial(validation_metrics, targets=targets),
        optimizers=(optimizer(model, args.learning_rate, args.head_learning_rate, args.layer_decay), None),
        callbacks=[EarlyStoppingCallback(args.patience), StopOnSignal()],
    )
    if trainer.args.device.type == "cpu":
        cpu.disable_malloc_trim()
        cpu.realign_parameters(model)
        cpu.use_fast_dropout(model)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(EpochLines)
    return trainer


def train(trainer: EmotionTrainer) -> None:
    """Train from the last whole checkpoint on, or from the start, until the model has the best checkpoint's weights.

    Raises UserError where the disk cannot hold the checkpoints, or where the training cannot go on.
    """
    folder = Path(trainer.args.output_dir)
    checkpoint = distributed.of_first(lambda: checkpoints.last_valid_checkpoint(folder))
    if checkpoint:
        say(f"going on from {checkpoint}")
    if distributed.IS_FIRST:
        checkpoints.require_space(folder, sum(weight.nbytes for weight in trainer.model.parameters()))
    accelerate.utils.set_seed(trainer.args.seed, device_specific=True)  # each process has dropout of its own
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{checkpoint}: holds more than numbers ({first_line(error)}): add --restart to train anew"
        ) from error
    finally:
        trainer.callback(EpochLines).close()
        trainer.finish_checkpoint()


@contextmanager
def out_of_memory_as_user_error(args: argparse.Namespace, max_length: int) -> Iterator[None]:
    """A lack of memory, of a GPU or the machine, becomes a UserError that names what it depends on."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not should_reduce_batch_size(error):
            raise
        raise UserError(
            f"out of memory with --batch_size {args.batch_size} (evaluation: {evaluation_batch_size()}), texts of up "
            f"to {max_length} tokens and --precision {args.precision}: try --precision bf16, or --restart with a "
            "smaller --batch_size, or with splits that the dataloader makes with a smaller --max_length"
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
