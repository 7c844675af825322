"""ESConv as a frame."""

import json
from contextlib import suppress
from reprlib import repr as short_repr  # one short line, whatever stands in a file

import pandas as pd

from artificial_pain.data import files, tables
from artificial_pain.data.cleaning import clean_label, clean_splits, clean_text, merge_spellings
from artificial_pain.data.vocabulary import SPLIT
from artificial_pain.errors import UserError, logger

SEEKER = {"seeker", "usr"}  # the speaker, as published and on the hub (thu-coai/esconv)
CONTENT = ("content", "text")  # the key of a turn's words, as published and on the hub
JSON = ("[", "{", '"')  # what a file of dialogues may begin with


def read_esconv(content: bytes, place: str) -> pd.DataFrame:
    """ESConv (Liu et al., ACL 2021): a JSON list of dialogues, or one a line, as published or in the hub's form; an
    example is all that the seeker says in one.

    `turns` are the seeker's, and `strategies` those of the supporter in the turns just before each. An intensity that
    is not 1 to 5 is missing; `frame.attrs["invalid_intensities"]` has their number. `place` is for the messages. Raises
    UserError that names the dialogue and turn where the content has another shape.
    """
    documents = files.read_documents(content, place)
    found = [document for document in documents if str(document.content).lstrip().startswith(JSON)]
    if len(found) > 1:  # the one with dialogues, which have such a key
        found = [document for document in found if '"dialog' in document.content.replace("\\", "")]
    if len(found) != 1:
        other = f"{len(found)} such files" if found else short_repr(documents[0].content)
        raise UserError(f"{place}: expected dialogues as JSON, found {other}: --dataset_name SAD reads a table")
    place, dialogues = found[0].place, [_unwrapped(item) for item in tables.read_json(found[0])]
    found[0].tell_doubt()
    if not dialogues:
        raise UserError(f"{place}: expected a JSON list of dialogues, found an empty list")

    invalid: list[str] = []
    rows = [_dialogue_row(dialogue, f"{place}: dialogue {i}", invalid) for i, dialogue in enumerate(dialogues)]
    if invalid:
        examples = "; ".join(invalid[:3]) + (" …" if len(invalid) > 3 else "")
        logger.warning(f"{place}: intensities that are not 1 to 5 count as missing, {len(invalid)} in all: {examples}")
    frame = pd.DataFrame(rows).rename_axis("dialogue_idx")
    given = [dialogue.get(SPLIT) for dialogue in dialogues]
    if any(given):
        frame[SPLIT] = clean_splits(pd.Series(given, dtype=object), f"{place}: dialogue")
    frame["label_name"], frame.attrs["merged_labels"] = merge_spellings(frame["label_name"], place)
    frame["intensity_change"] = frame["final_intensity"] - frame["initial_intensity"]
    frame.attrs["invalid_intensities"] = len(invalid)
    return frame


def _unwrapped(item: object) -> object:
    """An item that is JSON in a text, also alone in an object's `text`, is taken out of it."""
    text = item.get("text") if isinstance(item, dict) and len(item) == 1 else item
    with suppress(*tables.NOT_JSON, TypeError):  # of what is no text, or no JSON
        return json.loads(text)
    return item


def _dialogue_row(dialogue: object, where: str, invalid: list[str]) -> dict:
    """One dialogue as a row; an intensity that is not 1 to 5 is missing, and is appended to `invalid`."""
    if not isinstance(dialogue, dict):
        raise UserError(f"{where}: expected an object with emotion_type and dialog, found {short_repr(dialogue)}")
    emotion = dialogue.get("emotion_type")
    if not clean_text(emotion):
        raise UserError(f"{where}: expected a text in emotion_type, found {short_repr(emotion)}")
    turns, strategies = seeker_turns(dialogue.get("dialog"), where)
    seeker = _object(_object(dialogue.get("survey_score")).get("seeker"))
    place = where.rsplit(": ", 1)[1]
    row = {"text": " ".join(turns), "label_name": clean_label(emotion), "turns": turns, "strategies": strategies}
    for when in ("initial", "final"):
        row[f"{when}_intensity"] = _intensity(seeker.get(f"{when}_emotion_intensity"), f"{place} {when}", invalid)
    return row | {name: clean_text(dialogue.get(name)) for name in ("problem_type", "experience_type")}


def _object(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def seeker_turns(dialog: object, where: str) -> tuple[list[str], list[list[str]]]:
    """The seeker's turns that are not empty, and for each the supporter's strategies since the one before.

    Raises UserError that names `where` and the turn, where the dialog has another shape or no words of the seeker.
    """
    if not isinstance(dialog, list):
        raise UserError(f"{where}: expected a list of turns in dialog, found {short_repr(dialog)}")
    turns, strategies, before = [], [], []
    for number, turn in enumerate(dialog):
        words = next((turn[key] for key in CONTENT if isinstance(turn, dict) and isinstance(turn.get(key), str)), None)
        if words is None:
            raise UserError(f"{where}, turn {number}: expected an object with speaker and content")
        if str(turn.get("speaker")).strip().casefold() not in SEEKER:
            strategy = _object(turn.get("annotation")).get("strategy", turn.get("strategy"))
            before += filter(None, [clean_text(strategy)])
        elif words := clean_text(words):
            turns.append(words)
            strategies.append(before)
            before = []
    if not turns:
        speakers = ", ".join(sorted({short_repr(turn.get("speaker")) for turn in dialog})[:5]) or "none"
        raise UserError(f"{where}: has no text by the speaker 'seeker' or 'usr' (speakers in it: {speakers})")
    return turns, strategies


def _intensity(value: object, where: str, invalid: list[str]) -> float:
    """An annotated intensity, 1 to 5; NaN where there is none; another value is NaN and is appended."""
    with suppress(TypeError, ValueError, OverflowError):
        if float(value) in {1, 2, 3, 4, 5} and value is not True:
            return float(value)
    if value is not None:
        invalid.append(f"{where} {short_repr(value)}")
    return float("nan")
