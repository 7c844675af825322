"""The dataloader's command, for messages: how the splits are made that a model script needs."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from artificial_pain import encoders
from artificial_pain.storage import TASK_FOLDERS, program

FLAGS = ("samples_per_label", "data_source", "max_length", "seed", "label_column")


def dataloader_command(task: str, args: argparse.Namespace) -> Callable[[dict], str]:
    """The command, from where the user is, that makes the splits which a model script with `args` needs.

    It is a function of the settings of a dataloader that ran before, which are kept; {} if there was none.
    """
    script = Path(sys.argv[0]).with_name(f"{task}-dataloader.py")
    words = [program("python"), str(script), "--model_name", args.model_name, "--dataset_name", args.dataset_name]
    words += ["--balanced"] if args.balanced else []
    words += ["--output_dir", str(args.output_dir)] if args.output_dir != TASK_FOLDERS[task] else []
    words += ["--revision", args.revision] if args.revision != encoders.DEFAULT_REVISION else []
    return lambda settings: shlex.join(words + dataloader_flags(settings))


def dataloader_flags(settings: dict) -> list[str]:
    """The dataloader's flags that give the recorded settings again; a setting that is missing or None has none."""
    return [word for name in FLAGS if settings.get(name) is not None for word in (f"--{name}", str(settings[name]))]
