"""SAD repeated 1, 10 and 100 times: the dataloader, its tokenizing, and one epoch's batches out of the loader."""

import io
import itertools
import re
import statistics
import tempfile
import time
import timeit
import zipfile
from pathlib import Path

import pandas as pd
from around import CLASSIFICATION_DATALOADER
from commands import in_a_process, timed
from recipes import Task, our_trainer
from tqdm import tqdm
from turns import peak_memory

from artificial_pain.data import tokenization

REPEATED = (1, 10, 100)
TURNS = 3  # of our tokenizing and the bare tokenizer's
PASSES = 20  # of either in a turn, over the corpus as it is


def table(model_name: str, source: Path) -> pd.DataFrame:
    """A row for each number of repetitions: seconds, peak memory in GB, sentences tokenized in a second."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [_measure(model_name, source, times, Path(folder)) for times in tqdm(REPEATED, desc="Growth")]
    return pd.DataFrame(rows)


def _measure(model_name: str, source: Path, times: int, folder: Path) -> dict[str, float]:
    sheet, root = folder / f"{times}.xlsx", folder / str(times)
    sentences = repeat(source, sheet, times)
    flags = ["--model_name", model_name, "--dataset_name", "SAD", "--data_source", sheet, "--output_dir", root]
    dataloader = timed(CLASSIFICATION_DATALOADER, *flags)
    task = Task(model_name, "SAD", str(sheet), root)
    ours, bare = in_a_process(_tokenizing, task, max(1, PASSES // times))
    epoch_seconds, epoch_peak = in_a_process(_epoch, task)
    return {
        "sentences": sentences,
        "dataloader, s": dataloader.seconds,
        "dataloader, GB": dataloader.peak,
        "sentences tokenized a second": ours,
        "by the bare tokenizer": bare,
        "an epoch's batches, s": epoch_seconds,
        "an epoch's batches, GB": epoch_peak,
    }


def repeat(source: Path, path: Path, times: int) -> int:
    """Write the corpus's Excel file with the rows of its sheet repeated, as Excel would have; how many there are."""
    with zipfile.ZipFile(source) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".xlsx")]
        content = outer.read(name)
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as repeated:
        for member in book.namelist():
            xml = book.read(member)
            if member.startswith("xl/worksheets/"):
                head, *rows, tail = re.split(rb"(?=<row )|(?=</sheetData>)", xml)
                # A row's number stands in it and in each of its cells: r="17", r="B17".
                header, *rows = [re.sub(rb'(\br="[A-Z]*)\d+"', rb'\1#"', row).split(b'#"') for row in rows]
                numbers = itertools.count(1)
                body = [(b'%d"' % next(numbers)).join(row) for row in [header, *(times * rows)]]
                xml = b"".join([head, *body, tail])
                sentences = times * len(rows)
            repeated.writestr(member, xml)
    return sentences


def _tokenizing(task: Task, passes: int) -> tuple[float, float]:
    """Sentences a second of our tokenizing, and of encode_batch alone, on the training split in turns of `passes`."""
    _, tokenizer, splits = task.load()
    frame, length = splits.texts["train"], splits.settings["max_length"]
    texts, backend = frame["text"].tolist(), tokenizer.backend_tokenizer
    backend.enable_truncation(length)

    def ours() -> None:
        tokenization.tokenize({"train": frame}, splits.label_names, tokenizer, length)

    def bare() -> None:
        for start in range(0, len(texts), tokenization.CHUNK):
            backend.encode_batch(texts[start : start + tokenization.CHUNK])

    rates = {"ours": [], "bare": []}
    for _ in range(TURNS):
        for name, work in (("ours", ours), ("bare", bare)):
            rates[name].append(passes * len(texts) / timeit.timeit(work, number=passes))
    return statistics.median(rates["ours"]), statistics.median(rates["bare"])


def _epoch(task: Task) -> tuple[float, float]:
    """The seconds that one epoch's batches take out of our loader, and the peak memory in GB."""
    with our_trainer(task) as trainer:
        started = time.perf_counter()
        for _ in tqdm(trainer.get_train_dataloader(), desc="An epoch's batches"):
            pass
        return time.perf_counter() - started, peak_memory()
