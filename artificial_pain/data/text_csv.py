"""People's texts in CSV files: none is lost or changed on the way."""

import csv
from pathlib import Path
from typing import TextIO

import pandas as pd

from artificial_pain.data.vocabulary import INTENSITIES

csv.field_size_limit(2**31 - 1)  # a text may be of any length


def write(path: Path | TextIO, frame: pd.DataFrame, index: bool = True) -> None:
    """Quote every text: pandas would leave a lone carriage return bare, and end the row there on reading."""
    frame.to_csv(path, quoting=csv.QUOTE_NONNUMERIC, index=index)


def read_split(path: Path) -> pd.DataFrame:
    """A text split, or a run's predictions, as written: "NA" or "1" stays a text, an empty intensity is NaN."""
    missing = dict.fromkeys(INTENSITIES, "")
    dtypes = dict.fromkeys(["text", "label_name", "predicted", "problem_type", "experience_type"], str)
    return pd.read_csv(path, index_col=0, keep_default_na=False, na_values=missing, dtype=dtypes)


def read_texts(path: Path) -> list[str]:
    """The column `text` of any CSV file.

    Raises ValueError where there is none, and where a row has not as many fields as the header: pandas would cut or
    shift its texts in silence.
    """
    texts = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            if header.count("text") != 1:
                raise ValueError("has no column `text`, or several: give it one")
            for row in filter(None, rows):
                if len(row) != len(header):
                    fields = f"has {len(row)} fields, and the header {len(header)}"
                    raise ValueError(f"line {rows.line_num}: {fields}: put quotes around a text with a comma")
                texts.append(row[header.index("text")])
        except csv.Error as error:
            raise ValueError(f"line {rows.line_num}: is no CSV ({error}): mend it") from None
    return texts
