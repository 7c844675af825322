"""Text splits to tokenized splits: made, saved, and loaded again only if they fit each other and the encoder."""

import argparse
import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from artificial_pain import distributed, storage
from artificial_pain.data import cleaning, examples, text_csv
from artificial_pain.data.splits import Frames
from artificial_pain.data.vocabulary import INTENSITIES, SPLITS
from artificial_pain.encoders import Encoder, max_tokens
from artificial_pain.errors import UsageError, UserError, first_line, logger, redact

METADATA_FILE = "tokenization.json"  # beside the tokenized splits: what they were made from and with
READ_SETTINGS = {"corpus", "dataset_name", "label_counts", *examples.ALWAYS_SAID}  # settings in it that a run reads
NOT_WRITTEN = ["turns", "strategies", "severity"]  # columns that no script reads from the splits
CHUNK = 1000  # texts a piece of the Arrow tables, and a step of the progress bar
BATCH = 100  # texts a call of the tokenizer: enough for two threads, few enough for the processor's cache


def resolve_length(encoder: Encoder, tokenizer: PreTrainedTokenizerFast, max_length: int | None, default: int) -> int:
    """The tokens of a text at most: `max_length`, or without it the default, if the encoder takes so many.

    Raises UsageError where --max_length leaves no room for a word, or is more than the encoder takes.
    """
    shortest, longest = tokenizer.num_special_tokens_to_add() + 1, max_tokens(encoder)
    max_length = max_length or min(default, longest)
    if not shortest <= max_length <= longest:
        raise UsageError(f"--max_length {max_length}: {encoder.name} takes {shortest} to {longest} tokens")
    return max_length


def tokenize(
    splits: Frames, label_names: list[str], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[DatasetDict, dict[str, float]]:
    """The splits as `input_ids`, `attention_mask` (unpadded), `labels`, and the intensities where there are any.

    Also returns each split's share of texts that were cut at `max_length` tokens.
    """
    kinds = {"labels": ClassLabel(names=label_names), **dict.fromkeys(INTENSITIES, Value("float32"))}
    kinds |= {"input_ids": List(Value("int32")), "attention_mask": List(Value("int8"))}
    tokenized, truncated = {}, {}
    for name, frame in splits.items():
        input_ids, cut = _encode(frame["text"].tolist(), tokenizer, max_length, f"Tokenizing {name}")
        truncated[name] = cut / len(frame)
        # In place of a mask of zeros and ones, as many ones: nothing is padded here.
        masks = [pa.ListArray.from_arrays(ids.offsets, np.ones(len(ids.values), "int8")) for ids in input_ids]
        columns = {"labels": frame["label"].to_numpy()}
        columns |= {column: frame[column].to_numpy() for column in INTENSITIES if column in frame}
        columns |= {"input_ids": pa.chunked_array(input_ids), "attention_mask": pa.chunked_array(masks)}
        features = Features({column: kinds[column] for column in columns})
        tokenized[name] = Dataset(pa.table(columns).cast(features.arrow_schema))
    return DatasetDict(tokenized), truncated


def _encode(
    texts: list[str], tokenizer: PreTrainedTokenizerFast, max_length: int, description: str
) -> tuple[list[pa.ListArray], int]:
    """The token ids, an array for each CHUNK texts, and how many texts were cut. `description` is that of the bar."""
    backend = tokenizer.backend_tokenizer  # called without the detours of transformers and datasets: 2.5 times the rate
    backend.no_padding()
    backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    chunks, cut = [], 0
    with tqdm(total=len(texts), desc=description, unit=" texts", disable=None) as bar:
        for start in range(0, len(texts), CHUNK):
            ids = []
            for first in range(start, min(start + CHUNK, len(texts)), BATCH):
                encodings = backend.encode_batch_fast(texts[first : first + BATCH])
                ids += [encoding.ids for encoding in encodings]
                cut += sum(len(encoding) == max_length and bool(encoding.overflowing) for encoding in encodings)
            chunks.append(pa.array(ids, pa.list_(pa.int32())))
            bar.update(len(ids))
    return chunks, cut


def by_length(dataset: Dataset) -> np.ndarray:
    """The indices from the longest example to the shortest: little padding, and a lack of memory shows at once."""
    return np.argsort(-lengths(dataset), kind="stable")


def lengths(dataset: Dataset) -> np.ndarray:
    """The number of tokens of each example, shape (n,), without reading the tokens."""
    return dataset.with_format("arrow")[:]["input_ids"].combine_chunks().value_lengths().to_numpy()


def token_ids(dataset: Dataset) -> np.ndarray:
    """The tokens of all examples in a row, shape (tokens,)."""
    return dataset.with_format("arrow")[:]["input_ids"].combine_chunks().flatten().to_numpy()


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """What the ids mean: the SHA-256 of the vocabulary and all rules of the tokenizer, less its run-time settings."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    rules.update(truncation=None, padding=None)
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()


def settings(
    args: argparse.Namespace,
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerFast,
    source: examples.Source,
    max_length: int,
    label_counts: dict,
) -> dict:
    """What splits are made from and with: the dataloader's flags, the tokenizer, and the corpus file.

    max_length: tokens of a text at most. label_counts: the examples of each label in training, before the balancing.
    """
    settings = {name: value for name, value in sorted(vars(args).items()) if name != "output_dir"}
    settings |= {"data_source": args.data_source and redact(args.data_source), "corpus": source.title}
    settings |= {"max_length": max_length, "revision": encoder.revision, "tokenizer": tokenizer_digest(tokenizer)}
    return settings | {"label_counts": label_counts, "corpus_sha256": storage.checksum(source.path)}


def fingerprint(folder: Path, layout: storage.Layout) -> str:
    """The SHA-256 over the text splits and the label mapping below `folder`: the identity of the data."""
    digest = hashlib.sha256((folder / layout.label_mapping).read_bytes())
    for name in SPLITS:
        digest.update((folder / layout.text_splits / f"{name}_split.csv").read_bytes())
    return digest.hexdigest()


def save(folder: Path, layout: storage.Layout, splits: Frames, tokenized: DatasetDict, settings: dict) -> str:
    """Write the text splits, the label mapping and the tokenized splits below `folder`; return the fingerprint.

    Raises UserError where the folder has the splits of other examples.
    """
    for path in layout.corpus.glob(f"*{storage.STATISTICS}"):
        if earlier := _settings(path):
            examples.require_same(layout.corpus, earlier, settings)
    (folder / layout.text_splits).mkdir(parents=True)
    for name, frame in splits.items():
        path = folder / layout.text_splits / f"{name}_split.csv"
        text_csv.write(path, frame.drop(columns=NOT_WRITTEN, errors="ignore"))
    storage.write_json(folder / layout.label_mapping, dict(enumerate(tokenized["train"].features["labels"].names)))
    data = fingerprint(folder, layout)
    # datasets shows a bar of its own for each split; writing takes a fraction of a second.
    datasets.disable_progress_bars()
    tokenized.save_to_disk(folder / layout.tokenized_splits)
    datasets.enable_progress_bars()
    folder = folder / layout.tokenized_splits
    checksums = {path.relative_to(folder).as_posix(): storage.checksum(path) for path in storage.list_files(folder)}
    storage.write_json(folder / METADATA_FILE, {**settings, "fingerprint": data, "sha256": checksums})
    return data


@dataclass(frozen=True)
class Splits:
    """The splits of one corpus, balanced or not, tokenized for one encoder; row i of both is the same example."""

    tokenized: DatasetDict
    texts: Frames
    label_names: list[str]
    fingerprint: str
    settings: dict  # of the dataloader, and what they were resolved to
    tokenizer: PreTrainedTokenizerFast


def load_splits(
    layout: storage.Layout, encoder: Encoder, tokenizer: PreTrainedTokenizerFast, command: Callable[[dict], str]
) -> Splits:
    """Load what the dataloader wrote.

    Raises UserError where the splits are missing or damaged, or made from other text splits, with another tokenizer
    than the encoder's, or by an earlier version. It tells `command(settings)`, which makes them, with the settings of
    the text splits that are there ({} if there are none).
    """
    with distributed.main_process_first(), storage.exclusive_lock(layout.corpus, wait=True):
        storage.commit_pending(layout.corpus)
        folder = layout.corpus / layout.tokenized_splits
        try:
            splits = _load(layout, encoder, tokenizer)
            _tell_overlap(layout, splits)
            return splits
        except FileNotFoundError as error:
            reason = f"{error.filename or folder}: there are no such splits yet{_others(layout)}"
        except UserError as error:
            reason = str(error)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # of JSON, CSV and Arrow alike
            reason = f"{folder}: damaged ({first_line(error)})"
        raise UserError(f"{reason}: run {command(_settings(layout.corpus / layout.statistics))}")


def _load(layout: storage.Layout, encoder: Encoder, tokenizer: PreTrainedTokenizerFast) -> Splits:
    """As `load_splits`, but the UserError does not say what to do, and damage raises whatever the libraries raise."""
    folder, text_folder = layout.corpus / layout.tokenized_splits, layout.corpus / layout.text_splits
    metadata = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    data = (layout.dataset_name, fingerprint(layout.corpus, layout))
    if reason := storage.find_corruption(folder, metadata.pop("sha256")):
        raise ValueError(reason)
    texts = {name: text_csv.read_split(text_folder / f"{name}_split.csv") for name in SPLITS}
    tokenized = datasets.load_from_disk(folder)
    if not metadata.keys() >= READ_SETTINGS:
        raise ValueError(f"{METADATA_FILE} has no {', '.join(sorted(READ_SETTINGS - metadata.keys()))}")
    if metadata["tokenizer"] != tokenizer_digest(tokenizer):
        theirs = f"{metadata['model_name']} at revision {metadata['revision']}"
        ours = f"{encoder.name} at revision {encoder.revision}"
        changed = f"{encoder.name} has another tokenizer now"
        raise UserError(f"{folder}: {changed if theirs == ours else f'tokenized for {theirs}, not for {ours}'}")
    if (metadata["dataset_name"], metadata["fingerprint"]) != data:
        raise UserError(f"{folder}: not made from the texts in {text_folder}, which were replaced since")
    if any("augmented" not in frame for frame in texts.values()):
        raise UserError(f"{text_folder}: made by an earlier version of the dataloader")
    label_names = tokenized["train"].features["labels"].names
    return Splits(tokenized, texts, label_names, metadata.pop("fingerprint"), metadata, tokenizer)


def _tell_overlap(layout: storage.Layout, splits: Splits) -> None:
    """Warn of test texts that the model has learned from, or was chosen by."""
    keys = {name: cleaning.text_keys(frame["text"]) for name, frame in splits.texts.items()}
    if overlap := len(keys["test"] & (keys["train"] | keys["validation"])):
        place = f"{layout.corpus / layout.text_splits}: {overlap} of {len(keys['test'])} test texts stand"
        logger.warning(f"{place} in another split too: the dataloader's --deduplicate keeps one of each text")


def _others(layout: storage.Layout) -> str:
    """The flags of splits of other examples beside the layout's folder, as a part of a message."""
    found = [_settings(path) for path in sorted(layout.corpus.parent.glob(f"*/{layout.statistics}"))]
    flags = [examples.flags(settings, examples.SEED) for settings in found]
    return "".join(f", but there are some with {shlex.join(words)}" for words in flags if words)


def _settings(statistics: Path) -> dict:
    """The settings of the dataloader that wrote the text splits; {} where there are none of this version."""
    try:
        settings = json.loads(statistics.read_text(encoding="utf-8"))["settings"]
        return settings if settings.keys() >= READ_SETTINGS else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
