"""SAD as a frame, or a user's own table of texts and labels."""

import pandas as pd

from artificial_pain.data.cleaning import clean_label, clean_splits, clean_text, merge_spellings
from artificial_pain.data.examples import LABEL_COLUMNS
from artificial_pain.data.tables import cell_text, read_table
from artificial_pain.data.vocabulary import RATED, SPLIT, TEXT_COLUMNS
from artificial_pain.errors import UserError

RATED_COLUMNS = dict(zip(["Source", "top_label"], RATED, strict=True))  # their names in SAD's sheet
SEVERITY = "avg_severity"  # also there: how severe five raters find it, their mean on a scale to 10


def read_sad(content: bytes, place: str, label_column: str, text_column: str | None = None) -> pd.DataFrame:
    """SAD (Mauriello et al., CHI 2021), an .xlsx file in a zip, or any table with such columns; an example is a row.

    With a column `split`, it is in the frame, as one of SPLITS. Of SAD's own sheet, `source`, `top_label` and
    `severity` (float, NaN where it is none) are too. `place` is for the messages. Raises UserError where the content is
    no such file, lacks a column, or has a row without a text.
    """
    texts = [text_column] if text_column else TEXT_COLUMNS
    table = read_table(content, place, {"--text_column": texts, "--label_column": [label_column]})
    columns = {"text": table.find(texts, ""), "label_name": table.find([label_column], "")}
    split = table.find([SPLIT], "another name")
    positions = columns if split is None else columns | {SPLIT: split}
    if label_column in LABEL_COLUMNS and set(RATED_COLUMNS) <= set(table.header):  # SAD's own sheet
        positions |= {column: table.header.index(name) for name, column in RATED_COLUMNS.items()}
        positions |= {"severity": table.header.index(SEVERITY)} if SEVERITY in table.header else {}
    frame = table.frame(positions.values(), positions)
    if frame.empty:
        raise UserError(f"{table.place}: the table has no rows")
    frame = frame.map(cell_text)
    frame["text"] = frame["text"].map(clean_text)
    for column in frame.columns.intersection(["label_name", *RATED]):
        labels = {label: clean_label(label) for label in frame[column].unique()}
        frame[column] = frame[column].map(labels)
    for name, position in columns.items():
        empty = frame[name] == ""
        if empty.any():
            lack = f"{table.unit} {empty.idxmax()} of the table has no text in column {table.header[position]!r}"
            raise UserError(f"{table.place}: {lack}: fill it, or remove the {table.unit}")
    if "severity" in frame:
        frame["severity"] = pd.to_numeric(frame["severity"], errors="coerce")
    if split is not None:
        frame[SPLIT] = clean_splits(frame[SPLIT], f"{table.place}: {table.unit}")
    frame["label_name"], frame.attrs["merged_labels"] = merge_spellings(frame["label_name"], place)
    return frame.reset_index(drop=True).rename_axis("sentence_idx")
