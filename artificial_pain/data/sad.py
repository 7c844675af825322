"""SAD as a frame."""

from pathlib import Path

import pandas as pd

from artificial_pain.data import sheets
from artificial_pain.data.cleaning import clean_label, clean_text
from artificial_pain.errors import UserError


def read_sad(content: bytes, path: Path, label_column: str) -> pd.DataFrame:
    """SAD (Mauriello et al., CHI 2021): sheet 1 of an Excel file, alone or in a zip; an example is a sentence."""
    sheet = sheets.read(content, path, ["sentence", label_column])
    if sheet.empty:
        raise UserError(f"{path}: the sheet has no rows")
    cells = {"text": sheet["sentence"].map(clean_text), "label_name": sheet[label_column].map(clean_label)}
    frame = pd.DataFrame(cells)
    for column, name in (("text", "sentence"), ("label_name", label_column)):
        empty = frame.index[frame[column] == ""]
        if len(empty):
            raise UserError(f"{path}: row {empty[0]} of the sheet has no text in column {name!r}")
    return frame.reset_index(drop=True).rename_axis("sentence_idx")
