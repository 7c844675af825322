"""Cleaning of the texts and labels of a corpus."""

import re
import unicodedata
from reprlib import repr as short_repr

import pandas as pd

from artificial_pain.data.vocabulary import SPLITS
from artificial_pain.errors import UserError, logger

SPLIT_NAMES = {**{name: name for name in SPLITS}, "training": "train", "testing": "test"}
SPLIT_NAMES |= dict.fromkeys(["valid", "val", "dev", "development"], "validation")
FILLERS = "[\u034f\u115f\u1160\u3164\ufe00-\ufe0f]"  # marks and letters without a look of their own
INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode's categories of controls, formats and blanks
SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(value: object) -> str:
    """Strip a text; "" where the value is no text, or has nothing to see in it (control, zero-width, blank alone).

    A lone surrogate, which JSON can carry and no file can, becomes U+FFFD.
    """
    if not isinstance(value, str):
        return ""
    # Nearly all texts begin with a letter or a digit: the slow test is for the others.
    visible = value[:1].isalnum() or any(unicodedata.category(character) not in INVISIBLE for character in value)
    return replace_surrogates(value).strip() if visible else ""


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD in place of each lone surrogate."""
    return text if text.isascii() else SURROGATES.sub("\ufffd", text)


def clean_label(value: object) -> str:
    """Clean a text and put it on one line, for it heads columns and rows."""
    return " ".join(clean_text(value).split())


def clean_splits(values: pd.Series, where: str) -> pd.Series:
    """The split of each example, one of SPLITS, as a file says it. `where`, and the index, are for the message."""
    splits = values.map(lambda value: SPLIT_NAMES.get(str(value).strip().casefold()))
    unknown = splits.isna()
    if unknown.any():
        found = f"has {str(values[unknown.idxmax()])!r} in column 'split'"
        expected = f"expected {', '.join(SPLITS)}: mend it, or rename the column for a random split"
        raise UserError(f"{where} {unknown.idxmax()} {found}: {expected}")
    return splits


def text_key(text: str) -> str:
    """What two texts have in common that are the same but for case and blanks."""
    return " ".join(text.split()).casefold()


def text_keys(texts: pd.Series) -> set[str]:
    """The distinct keys of the texts."""
    return set(map(text_key, texts.unique()))


def merge_spellings(labels: pd.Series, place: str) -> tuple[pd.Series, dict[str, dict[str, int]]]:
    """The labels, of which those that differ only in case or blanks are one: the most frequent one, or the first.

    Also returns the spellings of each that had several, with their numbers. A warning says them; `place`, the corpus
    file, is for it.
    """
    counts = labels.value_counts(sort=False)  # in the order of the file
    merged = {}
    for _, spellings in counts.groupby(counts.index.map(_spelling_key), sort=False):
        if len(spellings) > 1:
            merged[spellings.idxmax()] = spellings.to_dict()
    for name, spellings in merged.items():
        found = ", ".join(f"{short_repr(spelling)} ({n})" for spelling, n in spellings.items())
        logger.warning(f"{place}: labels that differ only in case or blanks are one, {short_repr(name)}: {found}")
    names = {spelling: name for name, spellings in merged.items() for spelling in spellings}
    return labels.replace(names), merged


def _spelling_key(label: str) -> str:
    label = re.sub(FILLERS, "", label)
    visible = (character for character in label if unicodedata.category(character) not in INVISIBLE)
    return unicodedata.normalize("NFC", "".join(visible)).casefold()
