"""The command lines of the scripts: flags that they share, and what ends a script as one line and an exit code.

Nothing slow is imported here, so that `--help` and a wrong flag answer at once. The defaults are those that a script
gives.
"""

import argparse
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NoReturn

from artificial_pain import distributed, encoders, environment, storage
from artificial_pain.errors import Terminated, UsageError, UserError, logger, redact

LABEL_COLUMNS = ["original_label", "top_label"]  # SAD's; the first is the published one
MODEL_METRICS = ["accuracy", "loss", "macro_f1"]  # the last is ours
POOLINGS = ["cls", "mean"]  # the first is the published one
SCHEDULES = ["linear", "cosine", "constant"]  # the first is the published one
PRECISIONS = ["auto", "fp32", "bf16", "fp16"]
MAX_COUNT = 1_000_000  # of anything that a flag counts: far more than any use, and no overflow in a library
# What a user can mend, wherever a file is read, written or removed: full and failing disks, rights, and a folder in
# place of a file or the other way round.
MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
MACHINE_ERRORS |= {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY, errno.ESTALE}


def run(
    main: Callable[[argparse.Namespace], None],
    parse_args: Callable[[], argparse.Namespace],
    prints_results: bool = False,
) -> None:
    """Call main with the flags. Whatever ends it is one line on stderr, and the exit code.

    A UserError, and a fault of the machine: 1; a wrong flag: 2; Ctrl-C: 130; SIGTERM: 143. A bug of ours: its
    traceback, and 1. With `prints_results`, what is printed is in no file: the command fails where it is lost.
    """
    environment.prepare()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        args = _parse_quietly(parse_args)
        with distributed.lost_process_as_user_error():
            distributed.start()
            main(args)
        environment.check_output(prints_results)
    except UsageError as error:
        if distributed.is_main_process():  # all processes have the same flags
            logger.error(error)
        sys.exit(2)
    except BrokenPipeError:  # of `… | head`, which has read enough
        sys.exit(1)
    except (KeyboardInterrupt, Terminated) as stop:
        logger.info(str(stop) or "stopped")
        sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)
    except Exception as error:
        message = _for_the_user(error)
        if message:
            logger.error(message)
        else:  # a bug of ours: the traceback may quote a secret, as Python's own would
            print(redact(traceback.format_exc()), file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # in Python's own ending it would be a traceback


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _for_the_user(error: Exception) -> str | None:
    """A line about something that the user can mend, None where the error is a bug of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ValueError):
        return environment.refused_variable(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({str(error) or 'none is left'}): close other programs, or take a larger machine"
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        return f"{error.filename or 'a file'}: {error.strerror}: mend that, and give the same command again"
    return None


def _parse_quietly(parse_args: Callable[[], argparse.Namespace]) -> argparse.Namespace:
    """Of several processes, which all have the same flags, only the main process prints help and wrong flags."""
    if distributed.is_main_process():
        try:
            return parse_args()
        except SystemExit as end:
            if not end.code:  # --help
                environment.check_output(is_result=True)
            raise
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return parse_args()


def module_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m artificial_pain.<module>`. Without docstrings (PYTHONOPTIMIZE=2) there is no text."""
    prog = f"python -m artificial_pain.{module}"
    return argparse.ArgumentParser(prog=prog, description=(description or "").partition("\n")[0], allow_abbrev=False)


def _number(kind: type, description: str, accept: Callable) -> Callable:
    """An argparse type: a number of `kind` that `accept` is true for."""

    def parse(text: str):
        with suppress(ValueError):
            value = kind(text)
            if accept(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {description}")

    return parse


positive_integer = _number(int, f"a whole number from 1 to {MAX_COUNT:,}", lambda value: 1 <= value <= MAX_COUNT)
positive_float = _number(float, "a number above 0", lambda value: 0 < value < float("inf"))
fraction = _number(float, "a number from 0 to below 1", lambda value: 0 <= value < 1)
factor = _number(float, "a number above 0, at most 1", lambda value: 0 < value <= 1)
not_negative_integer = _number(int, f"a whole number from 0 to {MAX_COUNT:,}", lambda value: 0 <= value <= MAX_COUNT)
# numpy's legacy generators, which scikit-learn and the Trainer seed, take 32 bits.
seed_integer = _number(int, "a whole number from 0 to 4294967295", lambda value: 0 <= value < 2**32)


def not_empty(text: str) -> str:
    """An argparse type."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a name, found nothing")
    return text


def path(text: str) -> Path:
    """An argparse type: a file or a folder, with ~ for a home."""
    try:
        expanded = Path(not_empty(text)).expanduser()
        str(expanded).encode()
    except (RuntimeError, UnicodeEncodeError) as error:  # of a user who is not there; of bytes that are not UTF-8
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a path here: {error}") from None
    return expanded


def data_source(text: str) -> str:
    """An argparse type. A local file becomes absolute: the model script may quote it from another folder."""
    not_empty(text)
    return text if text == "sample" or text.startswith(("http://", "https://")) else str(path(text).absolute())


def add_flag(group: argparse.ArgumentParser, flag: str, default: object, help: str, **options: object) -> None:
    """A flag with a value, its default shown in --help. options: of argparse's `add_argument`."""
    if "choices" not in options and "metavar" not in options:
        options["metavar"] = "X" if isinstance(default, float) else "N"
    group.add_argument(flag, default=default, help=f"{help} (default: %(default)s)", **options)


def _parser(description: str | None, task: str, datasets: Sequence[str]) -> argparse.ArgumentParser:
    """The flags of both scripts of a task."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0], allow_abbrev=False)
    group = parser.add_argument_group("what to work on")
    known = f"one of {', '.join(encoders.ENCODERS)}, or another name on the hub, or a folder with an encoder; "
    known += f"its model_type is {', '.join(encoders.FAMILIES)}"
    add_flag(group, "--model_name", encoders.DEFAULT, known, type=encoders.checked_name, metavar="ENCODER")
    help = "the encoder's branch, tag or commit on the hub"
    add_flag(group, "--revision", encoders.DEFAULT_REVISION, help, type=not_empty, metavar="REVISION")
    add_flag(group, "--dataset_name", "ESConv", "the corpus", choices=datasets)
    group.add_argument("--balanced", action="store_true", help="training examples in equal numbers for each label")
    help = f"the folder of splits and runs (default: the task's own folder, {task}/)"
    group.add_argument("--output_dir", type=path, default=storage.TASK_FOLDERS[task], help=help)
    return parser


def _add_flags(group: argparse.ArgumentParser, flags: Sequence[tuple], defaults: dict) -> None:
    """Flags by name, with their type (or list of choices, or bool for one without a value) and help."""
    for name, kind, help in flags:
        if kind is bool:
            group.add_argument(f"--{name}", action="store_true", help=help)
        else:
            options = {"choices": kind, "type": type(kind[0])} if isinstance(kind, list) else {"type": kind}
            add_flag(group, f"--{name}", defaults[name], help, **options)


def parse_dataloader_args(
    description: str, task: str, datasets: Sequence[str], samples_per_label: int, max_length: int, seed: int
) -> argparse.Namespace:
    """Parse the flags of a dataloader script, with its defaults. A flag that has no effect is None."""
    parser = _parser(description, task, datasets)
    group = parser.add_argument_group("how to prepare it")
    help = f"with --balanced: training examples of each label (default: {samples_per_label})"
    group.add_argument("--samples_per_label", type=positive_integer, metavar="N", help=help)
    help = "tokens of a text at most, the rest is cut off "
    help += f"(default: {max_length}, or what the encoder takes where that is less)"
    group.add_argument("--max_length", type=positive_integer, metavar="N", help=help)
    add_flag(group, "--seed", seed, "draws the split and the balancing", type=seed_integer)
    help = "take the corpus from a file or a URL, or the bundled synthetic sample "
    help += "(default: download the published file, once)"
    group.add_argument("--data_source", type=data_source, metavar="FILE|URL|sample", help=help)
    parser.set_defaults(label_column=None)  # a script for ESConv alone does not have the flag
    if "SAD" in datasets:
        help = f"SAD's column of labels (default: {LABEL_COLUMNS[0]})"
        group.add_argument("--label_column", choices=LABEL_COLUMNS, help=help)
    args = parser.parse_args()
    if args.samples_per_label and not args.balanced:
        logger.warning("--samples_per_label has no effect without --balanced")
    args.samples_per_label = (args.samples_per_label or samples_per_label) if args.balanced else None
    if args.label_column and args.dataset_name != "SAD":
        parser.error("--label_column is for --dataset_name SAD alone")
    args.label_column = (args.label_column or LABEL_COLUMNS[0]) if args.dataset_name == "SAD" else None
    return args


def parse_model_args(description: str, task: str, datasets: Sequence[str], defaults: dict) -> argparse.Namespace:
    """Parse the flags of a model script.

    defaults: those of `epochs`, `debug_epochs`, `patience`, `batch_size`, `learning_rate`, `head_learning_rate`,
    `warmup_steps`, `model_metric` and `seed`, and of `head_num` if the task has several heads.
    """
    parser = _parser(description, task, datasets)
    group = parser.add_argument_group("how to train")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--debug", action="store_true", help=f"train for {defaults['debug_epochs']} epochs only")
    add_flag(length, "--epochs", defaults["epochs"], "epochs at most", type=positive_integer)
    precision = "auto: mixed, bf16 where the GPU or the CPU has it, else fp16 on a GPU and fp32 on a CPU"
    heads = "heads: 1 the emotion alone, 2 with initial intensity, 3 and final intensity, 4 and their change"
    flags = [
        ("patience", positive_integer, "stop after so many epochs without a better validation metric"),
        ("batch_size", positive_integer, "training examples of a step"),
        ("learning_rate", positive_float, "of the encoder"),
        ("head_learning_rate", positive_float, "of the heads"),
        ("warmup_steps", not_negative_integer, "in which the learning rates rise from 0, to fall after"),
        ("seed", seed_integer, "draws the heads' first weights, the order of the data and dropout"),
        ("model_metric", MODEL_METRICS, "of the validation split: the best checkpoint by it is kept"),
        ("precision", PRECISIONS, precision),
        ("restart", bool, "train anew; without it a stopped run goes on, and a finished one is evaluated only"),
        ("no_log_predictions", bool, "keep the table of test predictions, with texts, out of W&B"),
    ]
    flags += [("head_num", [1, 2, 3, 4], heads)] if "head_num" in defaults else []
    _add_flags(group, flags, defaults | {"precision": PRECISIONS[0]})
    help = "upload the run's folder to this model repository, made private, without the predictions and their texts"
    group.add_argument("--push_to_hub", type=not_empty, metavar="NAME", help=help)
    group = parser.add_argument_group("what the published recipe does not have (its defaults leave it as it is)")
    flags = [
        ("pooling", POOLINGS, "what the heads read: the first token's hidden state, or the mean of all"),
        ("schedule", SCHEDULES, "how the learning rates fall after the warmup"),
        ("layer_decay", factor, "each layer's learning rate, as a share of the one's above it"),
        ("label_smoothing", fraction, "share of each label that is spread evenly over all"),
        ("class_weights", bool, "weigh each example's cross-entropy by how rare its label is in the training split"),
    ]
    published = {"pooling": POOLINGS[0], "schedule": SCHEDULES[0], "layer_decay": 1.0, "label_smoothing": 0.0}
    _add_flags(group, flags, published)
    return parser.parse_args()
