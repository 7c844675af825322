"""The recipe on Hugging Face's Trainer: precision, optimizer, schedule, early stopping."""

import math
import pickle
import re
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import accelerate
import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset, Value, concatenate_datasets
from torch.optim import Adam
from transformers import DataCollatorWithPadding, TrainerState, TrainingArguments

from artificial_pain import distributed
from artificial_pain.data.tokenization import Splits, by_length, lengths, token_ids
from artificial_pain.errors import UsageError, UserError, as_user_error, logger
from artificial_pain.modeling import cpu, embeddings, losses
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import callbacks, checkpoints, evaluate, label_statistics
from artificial_pain.training.trainer import EmotionTrainer

# An evaluation keeps no gradients, so many examples fit. On a CPU, a batch has so many tokens on average: more do not
# fit its cache.
EVALUATION_BATCH_SIZE = 64
EVALUATION_TOKENS_ON_CPU = 2048
LOGGING_STEPS = 10  # between the points of the learning curves in W&B; the end of an epoch is one too

SCHEDULERS = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # transformers' names


def evaluation_batch_size(validation: Dataset) -> int:
    """Examples of a batch of an evaluation, on this process's device."""
    if distributed.device().type != "cpu":
        return EVALUATION_BATCH_SIZE
    return int(np.clip(EVALUATION_TOKENS_ON_CPU / lengths(validation).mean(), 8, EVALUATION_BATCH_SIZE))


def resolve_precision(precision: str) -> str:
    """What --precision means on this machine: "fp32", "bf16" or "fp16". Raises UsageError for what it cannot do."""
    on_gpu = distributed.device().type == "cuda"
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else cpu.multiplies_in_bf16()
    if precision == "fp16" and not on_gpu:
        raise UsageError("--precision fp16 needs an NVIDIA or AMD GPU, and there is none here: use fp32 or auto")
    if precision == "bf16" and on_gpu and not has_bf16:
        raise UsageError("--precision bf16: this GPU cannot do it: use fp16 or auto")
    if precision != "auto":
        return precision
    if has_bf16:
        return "bf16"  # it has the range of fp32; ModernBERT overflows in fp16
    return "fp16" if on_gpu else "fp32"


def adam(model: EmotionModel, learning_rate: float, head_learning_rate: float, layer_decay: float = 1.0) -> Adam:
    """Adam without weight decay. The encoder and the heads each have their learning rate.

    The encoder's is that of its top layer. Each layer has `layer_decay` times the rate of the layer above it, and the
    embeddings come below the first layer (discriminative fine-tuning, Howard & Ruder, ACL 2018).
    """
    layers = model.config.encoder.num_hidden_layers
    # Beside the layers: ModernBERT's norm is above the last, DeBERTa's convolution is part of the first. Relative
    # positions, which all layers read, are embeddings.
    heights = {".final_norm.": layers, ".conv.": 1}
    groups: dict[tuple[str, int], list[torch.nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        layer = re.search(r"\.layers?\.(\d+)\.", name)
        height = int(layer[1]) + 1 if layer else next((heights[part] for part in heights if part in name), 0)
        below = layers - height if layer_decay < 1 else 0
        groups[("encoder", below) if name.startswith("encoder.") else ("heads", 0)].append(parameter)
    rates = {"encoder": learning_rate, "heads": head_learning_rate}
    order = sorted(groups)  # the Trainer logs the first group's rate: that of the top layer
    parameters = [{"params": groups[part, below], "lr": rates[part] * layer_decay**below} for part, below in order]
    return Adam(parameters, fused=True)


def initialise_regressors(model: EmotionModel, splits: Splits, init: str, shrinkage: float) -> None:
    """Let the regressors' predictions start at the training means if init is "mean", and leave them if it is "torch".

    shrinkage: see `label_statistics.mean_intensities`.
    """
    if init == "mean":
        model.start_regressors_at(label_statistics.mean_intensities(splits, list(model.regressors), shrinkage))


def pad_to_full_batches(train: Dataset, batch_size: int, intensities: Sequence[str]) -> Dataset:
    """The training examples, and behind them as many as the last batch lacks, from which nothing is learned.

    So each of several processes has its part of every batch, as large as the others'.
    """
    train = train.cast_column("labels", Value("int64"))  # a ClassLabel would refuse IGNORE_INDEX
    padding = train.select([0] * (-len(train) % batch_size))
    ignored = {name: [math.nan] * len(padding) for name in intensities}
    ignored["labels"] = [losses.IGNORE_INDEX] * len(padding)
    return concatenate_datasets([train, Dataset.from_dict({**padding.to_dict(), **ignored}, features=train.features)])


def training_arguments(
    args: Namespace, epochs: int, splits: Splits, intensities: Sequence[str], folder: Path, precision: str
) -> TrainingArguments:
    """The Trainer's arguments. What is not named here is its default: it clips gradients to a norm of 1, for example.

    Raises UsageError where a batch cannot be shared by the processes.
    """
    steps = epochs * math.ceil(len(splits.tokenized["train"]) / args.batch_size)
    if args.warmup_steps >= steps:
        reached = f"the learning rates rise to {steps / args.warmup_steps:.0%} of what was asked for"
        logger.warning(f"--warmup_steps {args.warmup_steps}, but the training has {steps} steps: {reached}")
    processes = distributed.num_processes()
    if args.batch_size % processes:
        uneven = f"--batch_size {args.batch_size} cannot be shared evenly by {processes} processes"
        raise UsageError(f"{uneven}: take a multiple of {processes}")
    device = distributed.device().type
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=args.batch_size // processes,
        ddp_find_unused_parameters=False,  # all are used
        per_device_eval_batch_size=evaluation_batch_size(splits.tokenized["validation"]),
        lr_scheduler_type=SCHEDULERS[args.schedule],
        warmup_steps=args.warmup_steps,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_steps=LOGGING_STEPS,
        logging_nan_inf_filter=False,  # otherwise a loss of NaN is logged as 0
        label_names=["labels", *intensities],
        dataloader_pin_memory=device == "cuda",
        use_cpu=device == "cpu",  # unless it is said, bf16 is refused on a CPU
        disable_tqdm=False,  # otherwise the bars follow transformers' verbosity
        log_level_replica="error",  # as that of the main process
        report_to="none",  # runs/tracking.py logs: the Trainer's own would log settings that are not the optimizer's
        seed=args.seed,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
    )


def make_trainer(
    model: EmotionModel, optimizer: Adam, splits: Splits, args: Namespace, epochs: int, folder: Path, precision: str
) -> EmotionTrainer:
    """A Trainer of the model on the training split, evaluated on the validation split after each epoch.

    Its checkpoints are in `folder`, and the best of them is kept: by the validation metric `args.model_metric`, see
    `history.best_evaluation`. The training ends after the epochs, or after `args.patience` epochs without a better one.
    The learning rates rise for `args.warmup_steps`, and fall by `args.schedule`. Other flags that count are
    `args.batch_size` and `args.seed`.

    Raises UserError where the metric is the error of the intensities, and validation has none.
    """
    intensities = model.config.intensity_targets
    if args.model_metric == "mae" and splits.texts["validation"][list(intensities)].isna().all(axis=None):
        raise UserError("--model_metric mae: no validation example has a known intensity: take loss or accuracy")
    train, validation = splits.tokenized["train"], splits.tokenized["validation"]
    alone = distributed.num_processes() == 1
    trainer = EmotionTrainer(
        model=model,
        args=training_arguments(args, epochs, splits, intensities, folder, precision),
        train_dataset=train if alone else pad_to_full_batches(train, args.batch_size, intensities),
        eval_dataset=validation.select(by_length(validation)),
        data_collator=DataCollatorWithPadding(splits.tokenizer),
        processing_class=splits.tokenizer,
        compute_metrics=partial(evaluate.validation_metrics, loss=model.loss, names=intensities),
        optimizers=(optimizer, None),
        best_checkpoint=callbacks.BestCheckpoint(folder, args.model_metric, args.patience),
        bars=callbacks.ProgressBars(),
    )
    # As the Trainer does when it begins to train: a run that was stopped after that has the same configuration.
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(splits.tokenizer, name) is not None:
            setattr(model.config, name, getattr(splits.tokenizer, name))
    if trainer.args.device.type == "cpu":
        cpu.disable_malloc_trim()
        trainer.add_callback(callbacks.ReturnFreeMemory())
        cpu.realign_parameters(model)
        cpu.use_fast_dropout(model)
    return trainer


def only_used_rows(trainer: EmotionTrainer) -> AbstractContextManager[None]:
    """Within the block, the encoder has only the word embeddings of the texts that a training reads, and of padding."""
    texts = [token_ids(dataset) for dataset in (trainer.train_dataset, trainer.eval_dataset)]
    ids = np.concatenate([*texts, [trainer.processing_class.pad_token_id]])
    return embeddings.only_rows(trainer.model.encoder, torch.from_numpy(ids))


def train(trainer: EmotionTrainer) -> None:
    """Train from the last valid checkpoint on, or from the start. Then load the weights of the best checkpoint.

    Raises UserError where the disk cannot hold the checkpoints, or where the training cannot go on.
    """
    folder = Path(trainer.args.output_dir)
    checkpoint = distributed.broadcast_from_main(lambda: checkpoints.last_valid_checkpoint(folder))
    if checkpoint:
        logger.info(f"going on from {checkpoint}")
        trainer.state = TrainerState.load_from_json(str(checkpoint / checkpoints.STATE))
    saved = trainer.model.get_memory_footprint(return_buffers=False)
    with only_used_rows(trainer):
        if not trainer.best_checkpoint.is_exhausted(trainer.state):
            if distributed.is_main_process():
                in_checkpoint = trainer.model.get_memory_footprint(return_buffers=False)
                checkpoints.require_space(folder, in_checkpoint, saved)
            _train_from(trainer, checkpoint, folder)
        trainer.best_checkpoint.load(trainer.model, trainer.state.best_global_step)


def _train_from(trainer: EmotionTrainer, checkpoint: Path | None, folder: Path) -> None:
    accelerate.utils.set_seed(trainer.args.seed, device_specific=True)  # each process has dropout of its own
    remedy = "add --restart to train anew"
    only_numbers = as_user_error(f"{checkpoint}: holds more than numbers", pickle.UnpicklingError, remedy=remedy)
    try:
        with checkpoints.unwritable_as_user_error(folder), only_numbers:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        trainer.bars.close()
        trainer.best_checkpoint.finish()


@contextmanager
def out_of_memory_as_user_error(batch_size: int, max_length: int, precision: str) -> Iterator[None]:
    """A lack of memory, of a GPU or the machine, becomes a UserError that names what it depends on."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not should_reduce_batch_size(error):
            raise
        raise UserError(
            f"out of memory with --batch_size {batch_size} (evaluation: up to {EVALUATION_BATCH_SIZE}), texts of up to "
            f"{max_length} tokens and --precision {precision}: try --precision bf16, or --restart with a smaller "
            "--batch_size, or with splits that the dataloader makes with a smaller --max_length"
        ) from error
