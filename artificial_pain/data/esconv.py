"""ESConv as a frame."""

import json
from contextlib import suppress
from pathlib import Path
from reprlib import repr as short_repr  # one short line, whatever stands in a file

import pandas as pd

from artificial_pain.data.cleaning import clean_label, clean_text
from artificial_pain.errors import UserError, as_user_error, logger


def read_esconv(content: bytes, path: Path) -> pd.DataFrame:
    """ESConv (Liu et al., ACL 2021): a JSON list of dialogues; an example is all that the seeker says in one.

    An intensity that is not 1 to 5 is missing; `frame.attrs["invalid_intensities"]` has their number. `path` is for the
    messages. Raises UserError that names the dialogue and turn where the content has another shape.
    """
    # Of text that is no UTF-8 or no JSON, numbers of thousands of digits, brackets nested without end.
    with as_user_error(f"{path}: cannot be read as JSON in UTF-8", ValueError, RecursionError):
        dialogues = json.loads(content)
    if not isinstance(dialogues, list) or not dialogues:
        raise UserError(f"{path}: expected a JSON list of dialogues, found {_kind(dialogues)}")

    invalid: list[str] = []
    rows = [_dialogue_row(dialogue, f"{path}: dialogue {i}", invalid) for i, dialogue in enumerate(dialogues)]
    if invalid:
        examples = "; ".join(invalid[:3]) + (" …" if len(invalid) > 3 else "")
        logger.warning(f"{path}: intensities that are not 1 to 5 count as missing, {len(invalid)} in all: {examples}")
    frame = pd.DataFrame(rows).rename_axis("dialogue_idx")
    frame["intensity_change"] = frame["final_intensity"] - frame["initial_intensity"]
    frame.attrs["invalid_intensities"] = len(invalid)
    return frame


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an empty list" if not value else "a list", str: "a string", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _dialogue_row(dialogue: object, where: str, invalid: list[str]) -> dict:
    """One dialogue as a row; an intensity that is not 1 to 5 is missing, and is appended to `invalid`."""
    if not isinstance(dialogue, dict):
        raise UserError(f"{where}: expected an object with emotion_type and dialog, found {_kind(dialogue)}")
    emotion = dialogue.get("emotion_type")
    if not clean_text(emotion):
        raise UserError(f"{where}: expected a text in emotion_type, found {short_repr(emotion)}")
    turns = _seeker_turns(dialogue.get("dialog"), where)
    survey = dialogue.get("survey_score") or {}
    seeker = survey.get("seeker") if isinstance(survey, dict) else None
    seeker = seeker if isinstance(seeker, dict) else {}
    place = where.rsplit(": ", 1)[1]
    return {
        "text": " ".join(turns),
        "label_name": clean_label(emotion),
        "turns": turns,
        "initial_intensity": _intensity(seeker.get("initial_emotion_intensity"), f"{place} initial", invalid),
        "final_intensity": _intensity(seeker.get("final_emotion_intensity"), f"{place} final", invalid),
        "problem_type": clean_text(dialogue.get("problem_type")),
        "experience_type": clean_text(dialogue.get("experience_type")),
    }


def _seeker_turns(dialog: object, where: str) -> list[str]:
    if not isinstance(dialog, list):
        raise UserError(f"{where}: expected a list of turns in dialog, found {_kind(dialog)}")
    for number, turn in enumerate(dialog):
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise UserError(f"{where}, turn {number}: expected an object with speaker and content")
    turns = [clean_text(turn["content"]) for turn in dialog if turn.get("speaker") == "seeker"]
    turns = [turn for turn in turns if turn]
    if not turns:
        speakers = ", ".join(sorted({short_repr(turn.get("speaker")) for turn in dialog})[:5]) or "none"
        raise UserError(f"{where}: has no text by the speaker 'seeker' (speakers in it: {speakers})")
    return turns


def _intensity(value: object, where: str, invalid: list[str]) -> float:
    """An annotated intensity, 1 to 5; NaN where there is none; another value is NaN and is appended."""
    with suppress(TypeError, ValueError, OverflowError):
        if float(value) in {1, 2, 3, 4, 5} and value is not True:
            return float(value)
    if value is not None:
        invalid.append(f"{where} {short_repr(value)}")
    return float("nan")
