"""What the scripts' command lines share: the flags, their published defaults, and what is refused (exit code 2).

Only the standard library is imported here, so that `--help` and a wrong flag answer at once.
"""

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from artificial_pain import distributed, encoders
from artificial_pain.errors import warn

REPOSITORY = Path(__file__).resolve().parent.parent
TASK_FOLDERS = {"classification": REPOSITORY / "classification", "intensity": REPOSITORY / "intensity"}

BATCH_SIZE = 6  # published
EPOCHS = 1000  # published: an upper bound, early stopping ends the run
DEBUG_EPOCHS = 3  # published
PATIENCE = 50  # published: epochs without a better validation metric
LEARNING_RATE = 1e-5  # published, encoder
HEAD_LEARNING_RATE = 3e-5  # published, heads
SAMPLES_PER_LABEL = 1500  # published
MAX_LENGTH = 512  # published
INFERENCE_BATCH_SIZE = 32  # texts that a trained model is given at a time
SEED = 42  # published
LABEL_COLUMNS = ["original_label", "top_label"]  # SAD's
MODEL_METRICS = ["accuracy", "loss", "macro_f1"]  # the last is ours
POOLINGS = ["cls", "mean"]  # published: cls
SCHEDULES = ["linear", "cosine", "constant"]  # published: linear


def _number(kind: type, description: str, accept: Callable) -> Callable:
    """An argparse type: a number of `kind` that `accept` is true for."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {description}") from None
        if not accept(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {description}")
        return value

    return parse


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a name, found nothing")
    return text


def folder(text: str) -> Path:
    return Path(_not_empty(text))


def _source(text: str) -> str:
    """A local file's absolute path: the model script may say it again, in another folder."""
    _not_empty(text)
    return text if text == "sample" or text.startswith(("http://", "https://")) else str(Path(text).absolute())


MOST = 1_000_000  # of anything that a flag counts; far more than any use, and no overflow in a library

positive_integer = _number(int, f"a whole number from 1 to {MOST:,}", lambda value: 1 <= value <= MOST)
positive_float = _number(float, "a number above 0", lambda value: 0 < value < float("inf"))
fraction = _number(float, "a number from 0 to below 1", lambda value: 0 <= value < 1)
factor = _number(float, "a number above 0, at most 1", lambda value: 0 < value <= 1)
not_negative_integer = _number(int, f"a whole number from 0 to {MOST:,}", lambda value: 0 <= value <= MOST)
# numpy's legacy generators, which scikit-learn and the Trainer seed, take 32 bits.
seed_integer = _number(int, "a whole number from 0 to 4294967295", lambda value: 0 <= value < 2**32)


class _Parser(argparse.ArgumentParser):
    """Of several processes, the first one speaks of the flags, which all have alike."""

    def _print_message(self, message: str, file: IO[str] | None = None) -> None:
        if distributed.IS_FIRST:
            super()._print_message(message, file)


def _parser(task: str, datasets: Sequence[str], description: str) -> argparse.ArgumentParser:
    """The flags of both scripts of a task."""
    parser = _Parser(description=description, allow_abbrev=False)
    group = parser.add_argument_group("what to work on")
    group.add_argument(
        "--model_name",
        type=encoders.checked_name,
        default=encoders.DEFAULT,
        metavar="ENCODER",
        help=f"one of {', '.join(encoders.ENCODERS)}, or a folder with an encoder (default: %(default)s)",
    )
    group.add_argument(
        "--revision",
        type=_not_empty,
        default=encoders.DEFAULT_REVISION,
        help="the encoder's branch, tag or commit on the hub (default: %(default)s)",
    )
    group.add_argument("--dataset_name", choices=datasets, default="ESConv", help="the corpus (default: %(default)s)")
    group.add_argument("--balanced", action="store_true", help="training examples in equal numbers for each label")
    group.add_argument(
        "--output_dir",
        type=folder,
        default=TASK_FOLDERS[task],
        help=f"the folder of splits and runs (default: the task's own folder, {task}/)",
    )
    return parser


def add_number(group: argparse._ActionsContainer, flag: str, default: object, kind: Callable, help: str) -> None:
    """A flag that takes a number, its default shown in --help."""
    metavar = "X" if isinstance(default, float) else "N"
    group.add_argument(flag, type=kind, default=default, metavar=metavar, help=f"{help} (default: %(default)s)")


def dataloader_arguments(task: str, datasets: Sequence[str], description: str) -> argparse.Namespace:
    """Parse the flags of a dataloader script; a flag that has no effect on what was asked for is None."""
    parser = _parser(task, datasets, description)
    group = parser.add_argument_group("how to prepare it")
    group.add_argument(
        "--samples_per_label",
        type=positive_integer,
        metavar="N",
        help=f"with --balanced: training examples of each label (default: {SAMPLES_PER_LABEL})",
    )
    add_number(group, "--max_length", MAX_LENGTH, positive_integer, "tokens of a text at most, the rest is cut off")
    add_number(group, "--seed", SEED, seed_integer, "draws the split and the balancing")
    group.add_argument(
        "--data_source",
        type=_source,
        metavar="FILE|URL|sample",
        help="take the corpus from a file or a URL, or the bundled synthetic sample "
        "(default: download the published file, once)",
    )
    if "SAD" in datasets:
        group.add_argument(
            "--label_column",
            choices=LABEL_COLUMNS,
            help=f"SAD's column of labels (default: {LABEL_COLUMNS[0]})",
        )
    else:
        parser.set_defaults(label_column=None)
    args = parser.parse_args()
    if args.balanced and args.samples_per_label is None:
        args.samples_per_label = SAMPLES_PER_LABEL
    elif args.samples_per_label is not None and not args.balanced:
        warn("--samples_per_label has no effect without --balanced")
        args.samples_per_label = None
    if args.dataset_name == "SAD" and args.label_column is None:
        args.label_column = LABEL_COLUMNS[0]
    elif args.dataset_name != "SAD" and args.label_column:
        parser.error("--label_column is for --dataset_name SAD alone")
    return args


def model_parser(
    task: str, datasets: Sequence[str], description: str, warmup_steps: int, metric: str
) -> argparse.ArgumentParser:
    """The flags of a model script, with the task's defaults of --warmup_steps and --model_metric."""
    parser = _parser(task, datasets, description)
    group = parser.add_argument_group("how to train")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--debug", action="store_true", help=f"train for {DEBUG_EPOCHS} epochs only")
    add_number(length, "--epochs", EPOCHS, positive_integer, "epochs at most")
    add_number(
        group, "--patience", PATIENCE, positive_integer, "stop after so many epochs without a better validation metric"
    )
    add_number(group, "--batch_size", BATCH_SIZE, positive_integer, "training examples of a step")
    add_number(group, "--learning_rate", LEARNING_RATE, positive_float, "of the encoder")
    add_number(group, "--head_learning_rate", HEAD_LEARNING_RATE, positive_float, "of the heads")
    add_number(
        group,
        "--warmup_steps",
        warmup_steps,
        not_negative_integer,
        "in which the learning rates rise from 0, to fall after",
    )
    group.add_argument(
        "--model_metric",
        choices=MODEL_METRICS,
        default=metric,
        help="of the validation split: the best checkpoint by it is kept (default: %(default)s)",
    )
    add_number(group, "--seed", SEED, seed_integer, "draws the heads' first weights, the order of the data and dropout")
    group.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16", "fp16"],
        default="auto",
        help="auto: mixed, bf16 where the GPU or the CPU has it, else fp16 on a GPU and fp32 on a CPU "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--restart",
        action="store_true",
        help="train anew; without it a stopped run goes on, and a finished one is evaluated only",
    )
    group.add_argument(
        "--no_log_predictions", action="store_true", help="keep the table of test predictions, with texts, out of W&B"
    )
    group.add_argument(
        "--push_to_hub",
        type=_not_empty,
        metavar="NAME",
        help="upload the run's folder to this model repository, made private, without the predictions and their texts",
    )
    _add_what_is_not_published(parser)
    return parser


def _add_what_is_not_published(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the published recipe does not have (its defaults leave it as it is)")
    group.add_argument(
        "--pooling",
        choices=POOLINGS,
        default=POOLINGS[0],
        help="what the heads read: the first token's hidden state, or the mean of all (default: %(default)s)",
    )
    group.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default=SCHEDULES[0],
        help="how the learning rates fall after the warmup (default: %(default)s)",
    )
    add_number(group, "--layer_decay", 1.0, factor, "each layer's learning rate, as a share of the one's above it")
    add_number(group, "--label_smoothing", 0.0, fraction, "share of each label that is spread evenly over all")
    group.add_argument(
        "--class_weights",
        action="store_true",
        help="weigh each example's cross-entropy by how rare its label is in the training split",
    )


def program(name: str) -> str:
    """How the user can call a program of this environment: by its name where that finds it, else by its path."""
    here = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and Path(found).parent == here.parent:
        return name
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def dataloader_command(task: str, args: argparse.Namespace, settings: dict) -> str:
    """The command, from where the user is, that makes the splits which a model script with `args` needs.

    `settings` are those of a dataloader that ran before, to be kept; {} if there was none.
    """
    script = Path(sys.argv[0]).with_name(f"{task}-dataloader.py")
    words = [program("python"), str(script), "--model_name", args.model_name, "--dataset_name", args.dataset_name]
    words += ["--balanced"] if args.balanced else []
    words += ["--output_dir", str(args.output_dir)] if args.output_dir != TASK_FOLDERS[task] else []
    words += ["--revision", args.revision] if args.revision != encoders.DEFAULT_REVISION else []
    return shlex.join(words + dataloader_flags(settings))


def dataloader_flags(settings: dict) -> list[str]:
    """Of a dataloader's settings, the flags of its own that are not the defaults."""
    defaults = {
        "samples_per_label": SAMPLES_PER_LABEL,
        "data_source": None,
        "max_length": MAX_LENGTH,
        "seed": SEED,
        "label_column": LABEL_COLUMNS[0],
    }
    given = {flag: settings.get(flag) for flag in defaults}
    return [
        word
        for flag, default in defaults.items()
        if given[flag] not in (None, default)
        for word in (f"--{flag}", str(given[flag]))
    ]
