"""Finished runs and the hidden states of their encoders: pooled, of every layer, read once and kept beside the runs."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModel, PreTrainedModel

from artificial_pain import encoders, storage
from artificial_pain.data import examples, sources, tokenization
from artificial_pain.data.sad import SEVERITY
from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import CONFIG, WEIGHTS
from artificial_pain.errors import UserError, as_user_error
from artificial_pain.modeling.features import pooled_states
from artificial_pain.modeling.model import EmotionModel, load_encoder
from artificial_pain.reporting.find import require_distinct
from artificial_pain.reporting.groups import Group
from artificial_pain.reporting.page import row_names
from artificial_pain.reporting.run_files import Run
from artificial_pain.runs import status
from artificial_pain.training.recipe import resolve_precision

FOLDER = "hidden_states"  # beside the runs of an encoder
BATCH_SIZE = 32
RANDOM_SEED = 0  # of the weights that have learned nothing
RANDOM, BEFORE = "random weights", "before fine-tuning"


class States:
    """What an encoder makes of the texts of a split: `states["test"]` is (examples, layers + 1, hidden).

    Layer 0 is the embeddings. The last layer is what the heads read. All are pooled as the heads read them.
    """

    def __init__(self, weights: str, load: Callable[[], PreTrainedModel], splits: Splits, pooling: str, folder: Path):
        """weights: a digest of them. load: makes the encoder. folder: where the states are kept."""
        self.weights, self.load, self.splits, self.pooling, self.folder = weights, load, splits, pooling, folder

    def __getitem__(self, split: str) -> np.ndarray:
        return self.read(self.splits.tokenized[split], split)

    def last(self, split: str) -> np.ndarray:
        """The states that the heads read, (examples, hidden)."""
        return self[split][:, -1].astype(float)

    def read(self, texts: Dataset, title: str) -> np.ndarray:
        """The states of these tokenized texts, from the file that has them, which is written if there is none."""
        precision = resolve_precision("auto")
        read = [hashlib.sha256(of(texts)).hexdigest() for of in (tokenization.token_ids, tokenization.lengths)]
        key = json.dumps([self.weights, self.pooling, precision, *read])
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
        if not path.exists():
            options = {"pooling": self.pooling, "every_layer": True, "title": f"Hidden states, {title}"}
            tokenizer = self.splits.tokenizer
            states = pooled_states(self.load(), texts, tokenizer, BATCH_SIZE, precision == "bf16", **options)
            with as_user_error(
                f"{path}: cannot be written", OSError, remedy="make room there, or copy the runs to a folder of yours"
            ):
                self.folder.mkdir(exist_ok=True)
                partial = path.with_suffix(".partial.npy")
                np.save(partial, states)
                partial.replace(path)
        with as_user_error(f"{path}: cannot be read", OSError, ValueError, EOFError, remedy="remove it"):
            return np.load(path, mmap_mode="r")


@dataclass(frozen=True)
class Subject:
    """The runs that are looked into, with their splits, and the states of their encoders."""

    groups: dict[str, Group]  # the runs of a setting, by a name for it; those with fewer heads first
    splits: Splits
    states: dict[str, list[States]]  # a seed each: RANDOM, BEFORE, and the names of the groups


def load(folders: Sequence[Path]) -> Subject:
    """Raises UserError where a folder has no complete run, or the runs are of other splits or encoders."""
    runs = [Run.read(folder) for folder in folders]
    first, by_setting = runs[0], defaultdict(list)
    for run in runs:
        status.require_valid(run.folder, run.record)
        if _inputs(run) != _inputs(first):
            other = f"reads other splits, another encoder, or with another --pooling than {first.folder}"
            raise UserError(f"{run.folder}: {other}: give runs that differ in their heads, seeds and training alone")
        by_setting[status.setting(run.record)].append(run)
    for members in by_setting.values():
        require_distinct(members, [run.record["seed"] for run in members])
    groups = sorted(map(Group, by_setting.values()), key=lambda group: group.heads)
    encoder, splits = _encoder_and_splits(first)
    folder, pooling = first.folder.parent / FOLDER, first.record["arguments"]["pooling"]

    def untrained() -> PreTrainedModel:
        torch.manual_seed(RANDOM_SEED)
        return AutoModel.from_config(load_encoder(encoder).config)

    weights = {RANDOM: (f"random {storage.checksum(encoder.folder / CONFIG)}", untrained)}
    weights |= {BEFORE: (storage.checksum(encoder.folder / WEIGHTS), lambda: load_encoder(encoder))}
    states = {name: [States(*of_name, splits, pooling, folder)] for name, of_name in weights.items()}
    names = [name.split(", ", 1)[1] for name in row_names(groups, with_root=False)]  # without the encoder's
    for name, group in zip(names, groups, strict=True):
        states[name] = [States(*_fine_tuned(run), splits, pooling, folder) for run in group.runs]
    return Subject(dict(zip(names, groups, strict=True)), splits, states)


def _inputs(run: Run) -> tuple:
    """What the runs of a subject have in common."""
    data, arguments = run.record["data"], run.record["arguments"]
    return data["fingerprint"], data["max_length"], data["tokenizer"], run.record["encoder"], arguments["pooling"]


def _fine_tuned(run: Run) -> tuple[str, Callable[[], PreTrainedModel]]:
    return run.record["sha256"][WEIGHTS], lambda: EmotionModel.from_pretrained(run.folder).encoder


def _encoder_and_splits(run: Run) -> tuple[encoders.Encoder, Splits]:
    """The encoder of a run before it was fine-tuned, and the splits, without the texts that the balancing has made."""
    arguments, corpus = run.record["arguments"], run.folder.parents[1]
    encoder = encoders.fetch(arguments["model_name"], arguments["revision"], weights=WEIGHTS)
    if encoder.revision != (commit := run.record["encoder"]["revision"]):  # a branch has moved on
        encoder = encoders.fetch(arguments["model_name"], commit, weights=WEIGHTS)
    parts = arguments["dataset_name"], corpus.name, run.folder.parent.name, arguments["balanced"]
    layout, tokenizer = storage.Layout(corpus.parent, *parts), encoders.load_tokenizer(encoder)
    splits = tokenization.load_splits(layout, encoder, tokenizer, lambda _: "the dataloader of the run again")
    if splits.fingerprint != run.record["data"]["fingerprint"]:
        raise UserError(f"{corpus}: its splits are not those of {run.folder}: run the dataloader of the run again")
    rows = {split: np.flatnonzero(~texts["augmented"]) for split, texts in splits.texts.items()}
    tokenized = DatasetDict({split: splits.tokenized[split].select(kept) for split, kept in rows.items()})
    texts = {split: splits.texts[split].iloc[kept] for split, kept in rows.items()}
    return encoder, replace(splits, texts=texts, tokenized=tokenized)


class Severity(NamedTuple):
    """Sentences of SAD with their annotated severity."""

    tokenized: Dataset
    texts: pd.DataFrame  # with `severity`


def read_severity(data_source: str, splits: Splits) -> Severity:
    """The sentences that have a severity, tokenized as the splits. Raises UserError where the file has no severity."""
    source = sources.locate("SAD", data_source)
    frame = sources.read_corpus("SAD", source, examples.PUBLISHED["label_column"])
    if "severity" not in frame or frame["severity"].isna().all():
        raise UserError(f"{source}: has no column {SEVERITY}: give SAD's own file as --severity_source")
    frame = frame.dropna(subset="severity").assign(label=0)
    tokenized, _ = tokenization.tokenize({"severity": frame}, ["any"], splits.tokenizer, splits.settings["max_length"])
    return Severity(tokenized["severity"], frame)
