"""People's texts in CSV files: none is lost or changed on the way."""

import csv
from pathlib import Path
from typing import TextIO

import pandas as pd

from artificial_pain.data.vocabulary import CLASSIFIERS, INTENSITIES, RATED

TEXTS = ["text", "label_name", "predicted", "problem_type", "experience_type"]


def write(path: Path | TextIO, frame: pd.DataFrame, index: bool = True) -> None:
    """Quote every text: pandas would leave a lone carriage return bare, and end the row there on reading."""
    frame.to_csv(path, quoting=csv.QUOTE_NONNUMERIC, index=index)


def read_split(path: Path) -> pd.DataFrame:
    """A text split, or a run's predictions, as written: "NA" or "1" stays a text, an empty intensity is NaN."""
    dtypes = dict.fromkeys([*TEXTS, *RATED, *CLASSIFIERS], str)
    return pd.read_csv(path, index_col=0, keep_default_na=False, na_values=dict.fromkeys(INTENSITIES, ""), dtype=dtypes)
