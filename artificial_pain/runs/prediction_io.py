"""Texts in, predictions out: the files and formats of `artificial_pain.predict`."""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from artificial_pain.data import cleaning, tables, text_csv
from artificial_pain.data.vocabulary import PROBABILITY, TEXT_COLUMNS
from artificial_pain.errors import UsageError, UserError, as_user_error, logger

TABLES = re.compile(r"\.(csv|tsv|tab|jsonl?|ndjson|xls[xmb]?|ods|zip)(\.(gz|bz2|xz|zip))?$", re.IGNORECASE)  # files
EXPLAINED = "explained_"  # before the columns of an explanation: lists, of the words and of what each has moved
MOST_MOVING = 5  # words of a text that are printed
# Of a terminal, from weak to strong: dark words on orange have moved a prediction up, and on blue, underlined, down.
UP = ["38;5;16;48;5;230", "38;5;16;48;5;222", "38;5;16;48;5;208"]
DOWN = ["4;38;5;16;48;5;195", "4;38;5;16;48;5;153", "4;38;5;16;48;5;75"]
PREFIX = "predicted_"  # before a column of ours, where the user's table has one of that name


def read_rows(arguments: Sequence[str], file: Path | None, text_column: str | None) -> tuple[pd.DataFrame, str]:
    """The rows to predict, and the column that has their texts: of the command line, the file, or standard input.

    A table (.csv, .tsv, .jsonl, .xlsx, …) has its columns, as they are. Any other file and standard input have a text a
    line. Raises UserError where no text can be read.
    """
    place, name = "the command line" if arguments else file or "standard input", "text"
    with as_user_error(f"{place}: cannot be read", OSError, remedy="give another --file"):
        if not arguments and file and TABLES.search(file.name):
            names = [text_column] if text_column else TEXT_COLUMNS
            table = tables.read_table(file.read_bytes(), str(file), {"--text_column": names})
            frame = table.frame(range(len(table.header)), table.header)
            name = table.header[table.find(names, "--text_column")]
        elif text_column:
            raise UsageError("--text_column is for a table: give one as --file (.csv, .tsv, .jsonl, .xlsx)")
        else:
            frame = pd.DataFrame({name: arguments or _read_lines(file, place)}, dtype=object)
    with as_user_error(f"{place}: is not UTF-8", UnicodeError, remedy="convert it first"):
        "".join(arguments).encode()  # fails where Python has put surrogates for bytes that are not UTF-8
    frame[name] = frame[name].map(tables.cell_text)
    num_empty = (frame[name].map(cleaning.clean_text) == "").sum()
    if num_empty == len(frame):
        raise UserError(f'{place}: has no text: give one as "TEXT", a --file, or lines on standard input')
    if num_empty:
        logger.warning(f"{place}: {num_empty} empty texts have no prediction")
    return frame.reset_index(drop=True), name


def _read_lines(file: Path | None, place: object) -> list[str]:
    if not file and sys.stdin.isatty():
        logger.info("reading texts from standard input, one a line, until Ctrl-D")
    content = file.read_bytes() if file else sys.stdin.buffer.read()
    with as_user_error(f"{place}: is not UTF-8", UnicodeError, remedy="convert it first"):
        return [line.strip() for line in content.decode("utf-8-sig").removesuffix("\n").split("\n")]


def free_names(names: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Our names of columns, each with PREFIX where the user's table has one of that name; a warning says which."""
    renamed = {name: name for name in names}
    for name in names:
        while renamed[name] in taken:
            renamed[name] = PREFIX + renamed[name]
    if changed := ", ".join(f"{name} is {new} here" for name, new in renamed.items() if name != new):
        logger.warning(f"the table has columns of our names, and keeps them: {changed}")
    return renamed


def print_predictions(rows: pd.DataFrame, name: str, predictions: pd.DataFrame, format: str) -> None:
    """Print the user's rows with their predictions on standard output, in UTF-8, as "text", "csv" or "jsonl".

    name: the column of the texts. predictions: those of a Predictor, without the texts; NaN for an empty text.
    """
    sys.stdout.reconfigure(encoding="utf-8")  # whatever the terminal's encoding is
    if format == "csv":
        kinds = dict, list, bool  # of JSON, which stay JSON
        rows = rows.map(lambda cell: json.dumps(cell) if isinstance(cell, kinds) else tables.cell_text(cell))
        predictions = predictions.map(lambda cell: json.dumps(cell) if isinstance(cell, list) else cell)
        predictions = predictions.rename(columns=free_names(list(predictions), list(rows)))
        text_csv.write(sys.stdout, pd.concat([rows, predictions], axis=1), index=False)
        return
    explained = [column for column in predictions if column.startswith(EXPLAINED)]
    names = ["emotion", "probabilities", "intensities", *(["explanation"] if explained else [])]
    ours = free_names(names, list(rows)) if format == "jsonl" else {}
    label_names = [column.removeprefix(PROBABILITY) for column in predictions if column.startswith(PROBABILITY)]
    for user_row, intensities in zip(rows.to_dict("records"), predictions.to_dict("records"), strict=True):
        emotion = intensities.pop("emotion")
        probabilities = {label: intensities.pop(PROBABILITY + label) for label in label_names}
        explanation = {column.removeprefix(EXPLAINED): intensities.pop(column) for column in explained}
        is_empty = pd.isna(emotion)
        if format == "jsonl":
            values = {"emotion": emotion, "probabilities": probabilities}
            values |= {"intensities": intensities} if intensities else {}
            values |= {"explanation": explanation} if explained else {}
            user_row |= {ours[key]: None if is_empty else value for key, value in values.items()}
            print(json.dumps(user_row, default=str))
            continue
        has_colours = explained and not is_empty and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(_coloured(explanation["words"], explanation["emotion"]) if has_colours else user_row[name])
        if is_empty:
            print("  no prediction: the text is empty")
            continue
        ranked = sorted(probabilities.items(), key=lambda item: -item[1])
        print("  " + ", ".join(f"{label} {value:.2f}" for label, value in ranked))
        if intensities:
            told = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in intensities.items())
            print(f"  intensity: {told}")
        words = explanation.pop("words", [])
        for key, values in explanation.items():
            moves = sorted(zip(words, values, strict=True), key=lambda move: -abs(move[1]))
            print(f"  {key} moved by: " + ", ".join(f"{word} {value:+.2f}" for word, value in moves[:MOST_MOVING]))


def _coloured(words: Sequence[str], moves: Sequence[float]) -> str:
    """The words in a terminal's colours, by how much each has moved the prediction beside the strongest."""
    strongest = max(map(abs, moves)) or 1
    shown = []
    for word, move in zip(words, moves, strict=True):
        colours = ["", *(UP if move > 0 else DOWN)]
        colour = colours[min(int(abs(move) / strongest * len(colours)), len(colours) - 1)]
        shown.append(f"\033[{colour}m{word}\033[0m" if colour else word)
    return " ".join(shown)
