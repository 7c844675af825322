"""Texts in, predictions out: the files and formats of `artificial_pain.predict`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from artificial_pain.data import text_csv
from artificial_pain.data.vocabulary import PROBABILITY
from artificial_pain.errors import UserError, as_user_error, logger


def read_texts(arguments: Sequence[str], file: Path | None) -> list[str]:
    """The texts of the command line, else of the file, else of standard input, stripped and without empty ones.

    A .csv file has them in its column `text`; any other file and standard input have one a line. Raises UserError where
    no text can be read.
    """
    place = "the command line" if arguments else file or "standard input"
    try:
        with as_user_error(f"{place}: cannot be read", OSError, remedy="give another --file"):
            if arguments:
                texts = arguments
                "".join(texts).encode()  # fails where Python has put surrogates for bytes that are not UTF-8
            elif file and file.suffix.lower() == ".csv":
                texts = text_csv.read_texts(file)
            else:
                texts = _read_lines(file)
    except UnicodeError as error:
        raise UserError(f"{place}: is not UTF-8 ({error.reason} at position {error.start}): convert it first") from None
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None
    kept = [text.strip() for text in texts if text.strip()]
    if not kept:
        raise UserError(f'{place}: has no text: give one as "TEXT", a --file, or lines on standard input')
    if len(kept) < len(texts):
        logger.warning(f"{place}: {len(texts) - len(kept)} empty texts are left out")
    return kept


def _read_lines(file: Path | None) -> list[str]:
    if file:
        content = file.read_bytes()
    else:
        if sys.stdin and sys.stdin.isatty():
            logger.info("reading texts from standard input, one a line, until Ctrl-D")
        content = sys.stdin.buffer.read() if sys.stdin else b""  # None where it is closed
    return content.decode("utf-8-sig").removesuffix("\n").split("\n")


def print_predictions(predictions: pd.DataFrame, format: str) -> None:
    """Print the rows of a Predictor on standard output, in UTF-8, as "text", "csv" or "jsonl"."""
    if sys.stdout:  # None where it is closed
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the terminal's encoding is
    if format == "csv":
        text_csv.write(sys.stdout, predictions, index=False)
        return
    for row in predictions.to_dict("records"):
        text, emotion = row.pop("text"), row.pop("emotion")
        by_label = {name.removeprefix(PROBABILITY): row.pop(name) for name in [*row] if name.startswith(PROBABILITY)}
        intensities = row  # what is left
        if format == "jsonl":
            content = {"text": text, "emotion": emotion, "probabilities": by_label}
            print(json.dumps(content | ({"intensities": intensities} if intensities else {})))
        else:
            ranked = sorted(by_label.items(), key=lambda item: -item[1])
            print(text)
            print("  " + ", ".join(f"{name} {value:.2f}" for name, value in ranked))
            if intensities:
                print("  intensity: " + ", ".join(f"{name} {value:.1f}" for name, value in intensities.items()))
