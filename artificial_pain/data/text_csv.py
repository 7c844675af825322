"""Texts of people in CSV files: none is lost or changed on the way, and none is run by a spreadsheet."""

import csv
import re
from pathlib import Path
from typing import TextIO

import pandas as pd

from artificial_pain.data.vocabulary import INTENSITIES

# A cell that a spreadsheet runs; apostrophes before it too, so that the one which is added can be taken off again.
FORMULA = re.compile(r"^('*[=+\-@\t\r])")
INERT_FORMULA = re.compile(r"^'('*[=+\-@\t\r])")
csv.field_size_limit(2**31 - 1)  # a text has as many characters as it has


def write(path: Path | TextIO, frame: pd.DataFrame, index: bool = True) -> None:
    """Every text quoted: pandas would leave a lone carriage return bare, and end the row there on reading.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, which makes it a text there.
    """
    texts = {
        column: frame[column].str.replace(FORMULA, r"'\1", regex=True)
        for column in frame.select_dtypes(["object", "string"])
    }
    frame = frame.assign(**texts).rename(columns=lambda name: FORMULA.sub(r"'\1", name))
    frame.to_csv(path, quoting=csv.QUOTE_NONNUMERIC, index=index)


def read_split(path: Path) -> pd.DataFrame:
    """A text split, or a run's predictions, as it was before it was written: "NA" or "1" stays a text, an empty
    intensity is NaN.
    """
    missing = dict.fromkeys(INTENSITIES, "")
    kinds = dict.fromkeys(["text", "label_name", "predicted", "problem_type", "experience_type"], str)
    frame = pd.read_csv(path, index_col=0, keep_default_na=False, na_values=missing, dtype=kinds)
    texts = {column: frame[column].str.replace(INERT_FORMULA, r"\1", regex=True) for column in kinds if column in frame}
    return frame.assign(**texts)


def read_texts(path: Path) -> list[str]:
    """The column `text` of any CSV file, as it was before `write`.

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
                    raise ValueError(
                        f"line {rows.line_num}: has {len(row)} fields, and the header {len(header)}: put quotes around "
                        "a text with a comma"
                    )
                texts.append(INERT_FORMULA.sub(r"\1", row[header.index("text")]))
        except csv.Error as error:
            raise ValueError(f"line {rows.line_num}: is no CSV ({error}): mend it") from None
    return texts
