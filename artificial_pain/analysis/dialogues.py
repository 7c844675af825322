"""The dialogues to follow: of a corpus file, of a split, or a user's own chat."""

from pathlib import Path

import pandas as pd

from artificial_pain import storage
from artificial_pain.data import esconv, examples, files, sources, tables, text_csv
from artificial_pain.data.cleaning import clean_text
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.errors import UserError, as_user_error
from artificial_pain.runs import prediction_io


def of_chat(path: Path | None) -> list[str]:
    """The seeker's turns of a chat as JSON, or one a line on standard input."""
    if path is None:
        rows, column = prediction_io.read_rows([], None, None)
        return [text for text in map(clean_text, rows[column]) if text]
    with as_user_error(f"{path}: cannot be read", OSError, remedy="give another --file"):
        document = files.read_documents(path.read_bytes(), str(path))[0]
    return esconv.seeker_turns(tables.read_json(document), str(path))[0]


def of_corpus(record: dict, data_source: str | None, number: int) -> tuple[list[str], dict[str, float]]:
    """The seeker's turns of a dialogue of a corpus file, and by their short names the intensities that are annotated.

    Raises UserError where it has no dialogue of that number.
    """
    frame, source = _read(record, data_source)
    if number not in frame.index:
        raise UserError(f"{source}: has the dialogues 0 to {frame.index[-1]}: --dialogue {number} is none of them")
    row = frame.loc[number]
    return row["turns"], {short: row[name] for name, short in INTENSITIES.items() if pd.notna(row[name])}


def of_split(run_folder: Path, record: dict, data_source: str | None, split: str) -> pd.DataFrame:
    """The dialogues of a run's split. Raises UserError where the file is not the one that the split is of."""
    if record["arguments"]["dataset_name"] != "ESConv":
        raise UserError(f"{run_folder}: its corpus has no dialogues: give --dialogue N with --data_source, not --split")
    frame, source = _read(record, data_source)
    if storage.checksum(source.path) != record["data"]["corpus_sha256"]:
        raise UserError(f"{source}: is not the corpus of {run_folder}: give that file as --data_source")
    predictions = text_csv.read_split(run_folder / f"predictions_{split}.csv")
    return frame.loc[predictions.index]


def _read(record: dict, data_source: str | None) -> tuple[pd.DataFrame, examples.Source]:
    """A corpus of dialogues, by default that of the run. Raises UserError where the run's has none."""
    if record["arguments"]["dataset_name"] != "ESConv" and data_source is None:
        raise UserError("the run's corpus has no dialogues: give one of ESConv as --data_source")
    source = sources.locate("ESConv", data_source or record["data"]["data_source"])
    return sources.read_corpus("ESConv", source), source
