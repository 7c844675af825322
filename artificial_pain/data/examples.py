"""Which examples: the settings that choose them, the name of their folder, and the commands that need both."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from artificial_pain import encoders, storage
from artificial_pain.errors import UserError

# The settings of a dataloader that choose its examples, as published; None is one that has no effect. Where one
# differs, the name of the corpus folder says so.
PUBLISHED = {"data_source": None, "label_column": "original_label", "text_column": None, "deduplicate": False}
PUBLISHED |= {"seed": storage.PUBLISHED_SEED, "max_length": 512, "samples_per_label": 1500}
# Splits and runs from before 2026-11-29 say these alone: the others are as published there.
ALWAYS_SAID = frozenset(PUBLISHED)
PUBLISHED |= {"split": "random", "folds": None, "fold": None}
LABEL_COLUMNS = [PUBLISHED["label_column"], "top_label"]  # of SAD's own file
PUBLISHED_FILES = {"ESConv": "ESConv", "SAD": "SAD_v1"}  # their names, without the endings
# What a setting is called in the folder's name, if not by its own name; and how long its value may be there.
PARTS = {"label_column": "", "text_column": "text_", "deduplicate": "deduplicated", "split": ""}
MAX_PART = 60
SAMPLE = "sample"  # as --data_source: the bundled sample
SEED = "data_seed"  # of a model script, whose own --seed draws the training: the dataloader's --seed
ENDINGS = re.compile(r"(\.(csv|tsv|tab|txt|json|jsonl|ndjson|xlsx?|xlsm|xlsb|ods|zip|gz|bz2|xz|tar|tgz))+$", re.I)


@dataclass(frozen=True)
class Source:
    """A corpus file on disk."""

    path: Path
    place: str  # where it is from, for messages: a path or a URL
    title: str  # what it is called: ESConv, SAD, or the name of a user's file

    def __str__(self) -> str:
        return self.place


def is_url(data_source: str) -> bool:
    return data_source.lower().startswith(("http://", "https://"))


def file_name(data_source: str) -> str:
    """The last part of a file's path or a URL."""
    path = unquote(re.sub(r"^\w+://[^/?#]*|[?#].*", "", data_source)) if is_url(data_source) else data_source
    return PurePosixPath(path).name or "corpus"


def corpus_name(dataset_name: str, settings: dict) -> str:
    """The name of the corpus folder: SAD, SAD-sample, or mine for mine.csv; then a part for each other setting."""
    source = settings["data_source"]
    stem = None if source in (None, SAMPLE) else ENDINGS.sub("", file_name(source))
    name = dataset_name if stem in (None, PUBLISHED_FILES[dataset_name]) else _slug(stem)
    name += "_file" if stem in PUBLISHED_FILES and stem != PUBLISHED_FILES[dataset_name] else ""  # SAD.csv is not SAD
    parts = [SAMPLE] if source == SAMPLE else []
    for setting, value in _differences(settings).items():
        if setting != "data_source":
            parts.append(PARTS.get(setting, setting) + ("" if value is True else _slug(str(value))))
    return "-".join([name, *parts])


def _slug(text: str) -> str:
    """A text as a part of a folder's name."""
    return re.sub(r"[^\w.-]+", "_", text).lstrip(".")[:MAX_PART] or "corpus"


def _differences(settings: dict) -> dict:
    """The settings that are not as published, and have an effect."""
    return {name: settings[name] for name in PUBLISHED if settings.get(name) not in (None, PUBLISHED[name])}


def value(settings: dict, name: str) -> object:
    """One of the settings; as published where it is not said."""
    return PUBLISHED.get(name) if settings.get(name) is None else settings[name]


def settings(args: argparse.Namespace) -> dict:
    """The settings of the examples, from the flags of a dataloader, a model script, a study or a report."""
    flags = vars(args)
    return {name: flags[SEED] if name == "seed" and SEED in flags else flags[name] for name in PUBLISHED}


def flags(settings: dict, seed: str = "seed") -> list[str]:
    """The flags that give the settings again, without those as published. `seed` is the name of the seed's flag."""
    words = []
    for name, value in _differences(settings).items():
        words += [f"--{seed if name == 'seed' else name}", *([] if value is True else [str(value)])]
    return words


def layout(args: argparse.Namespace, encoder: encoders.Encoder) -> storage.Layout:
    """The folders of the corpus, the encoder and its runs, from the flags of any of the scripts."""
    name = corpus_name(args.dataset_name, settings(args))
    return storage.Layout(args.output_dir, args.dataset_name, name, encoder.folder_name, args.balanced)


def dataloader_command(task: str, args: argparse.Namespace) -> Callable[[dict], str]:
    """The command, from where the user is, that makes the splits which a model script with `args` needs.

    It is a function of the settings of a dataloader that ran before, which are kept; {} if there was none.
    """
    script = Path(sys.argv[0]).with_name(f"{task}-dataloader.py")
    words = [storage.program("python"), str(script), "--model_name", args.model_name]
    words += ["--dataset_name", args.dataset_name, *(["--balanced"] if args.balanced else [])]
    words += ["--output_dir", str(args.output_dir)] if args.output_dir != storage.TASK_FOLDERS[task] else []
    words += ["--revision", args.revision] if args.revision != encoders.DEFAULT_REVISION else []
    return lambda earlier: shlex.join(words + flags(earlier or settings(args)))


def asked(args: argparse.Namespace, made: dict) -> dict:
    """What a model script asks of splits that were made with these settings, for `require_same`.

    Without --data_source it takes the file that the folder is called after. A path may lead to a copy of the same file.
    """
    source = args.data_source or made["data_source"]
    digest = storage.checksum(Path(source)) if source and Path(source).is_file() else None
    names = {"dataset_name": args.dataset_name, "data_source": source, "corpus_sha256": digest}
    return settings(args) | names


def require_same(folder: Path, made: dict, asked: dict) -> None:
    """Raise UserError where the splits in a folder are of other examples than asked: names of folders may coincide.

    made, asked: settings, with `dataset_name` and `corpus_sha256`. A file is the same by its path or by its content.
    """
    names = ["dataset_name", "label_column", "text_column", "deduplicate", "split", "folds", "fold", "seed"]
    both = [(name, value(made, name), value(asked, name)) for name in names]
    different = [f"--{name} {ours}" for name, ours, theirs in both if ours != theirs]
    if all(made[name] != asked[name] for name in ("data_source", "corpus_sha256")):
        different.append(f"--data_source {made['data_source'] or '(the published file)'}")
    if different:
        other = f"its splits were made with {', '.join(different)}"
        raise UserError(f"{folder}: {other}: give these flags, or another --output_dir, or rename your file")
