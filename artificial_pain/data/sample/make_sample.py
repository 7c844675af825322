"""Write the small synthetic sample: ESConv.json and SAD_v1.zip.

Nothing in the sample was said by a person. Every sentence is put together from the tables of dialogue_phrases.py and
stressor_phrases.py, in the file layouts of the ESConv and SAD corpora, so that the whole pipeline can be tried without
a download. Scores on it show that the code runs and learns; they say nothing about real conversations. The same seed
always gives the same bytes.

    python artificial_pain/data/sample/make_sample.py [--output_dir DIR] [--seed 7]
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import zipfile
from datetime import datetime
from pathlib import Path

from dialogue_phrases import (
    ADJECTIVES,
    ADVERBS,
    BEFORE,
    CHANGES,
    DISTRACTORS,
    EMOTION_COUNTS,
    EXTRAS,
    FEEL,
    GREETINGS,
    NEAR,
    NEUTRAL_ADJECTIVES,
    PROBLEMS,
    REPLIES,
    SHARED_SIGNS,
    SIGNS,
    STATES,
    STRENGTH,
    THANKS,
    TIMES,
    WEIGHTS,
)
from openpyxl import Workbook
from stressor_phrases import NEIGHBOURS, SHARED_STRESSORS, STRESSOR_COUNTS, STRESSORS, TAILS

Turn = tuple[str, str]  # (kind of turn, text); the kind decides what the supporter may say just before it

MISSING_SHARE = 0.06
FIXED_TIME = datetime(2020, 1, 1)


def expand(rng: random.Random, options: tuple[str, ...], **slots: str) -> str:
    """Draw one phrase, fill its <named> slots and then its {a|b} slots."""
    text = rng.choice(options)
    for name, value in slots.items():
        text = text.replace(f"<{name}>", value)
    return re.sub(r"\{([^{}]*)\}", lambda found: rng.choice(found.group(1).split("|")), text)


def draw_intensities(rng: random.Random) -> tuple[int, int]:
    """Draw the initial intensity and a final one that is seldom higher."""
    initial = rng.choices((1, 2, 3, 4, 5), (4, 18, 26, 30, 22))[0]
    drop = rng.choices((-1, 0, 1, 2, 3), (3, 16, 36, 32, 13))[0]
    return initial, min(5, max(1, initial - drop))


def feel_turn(rng: random.Random, emotion: str, initial: int, cause: str) -> str:
    """Say how strong the feeling is; the adjective names the emotion in only part of the dialogues."""
    named = rng.random() < 0.8
    adjective = rng.choice(ADJECTIVES[emotion] if named else NEUTRAL_ADJECTIVES)
    return expand(rng, FEEL, adverb=rng.choice(ADVERBS[initial]), adjective=adjective, cause=cause)


def sign_turn(rng: random.Random, emotion: str, initial: int, sign: str) -> str:
    """Describe a sign of the emotion, at times with a milder one of a neighbouring emotion or of none."""
    draw = rng.random()
    if draw < 0.25:
        other = expand(rng, SIGNS[rng.choice(NEAR[emotion])][max(0, STRENGTH[initial] - 1)])
    elif draw < 0.5:
        other = expand(rng, SHARED_SIGNS)
    else:
        return sign
    return " ".join(rng.sample((sign, other), 2))


def distractor(rng: random.Random, emotion: str) -> str:
    """Mention an emotion that the seeker does not have, and that is not too close to the one they do have."""
    other = rng.choice([name for name in ADJECTIVES if name != emotion and name not in NEAR[emotion]])
    return expand(rng, DISTRACTORS, adjective=rng.choice(ADJECTIVES[other]))


def closing(rng: random.Random, initial: int, final: int) -> tuple[str, str]:
    """Give the two closing cues: how much changed, and what is left."""
    change = expand(rng, CHANGES[min(3, initial - final)])
    if initial == final == 1:  # "nothing has changed" would clash with "almost fine"
        change = "It was a small thing to begin with."
    return change, expand(rng, STATES[final])


def seeker_turns(
    rng: random.Random, emotion: str, problem: str, scores: tuple[int, int], aside: bool
) -> tuple[str, list[Turn]]:
    """Write what happened, in one sentence, and the seeker's side of the dialogue, 5 to 9 turns."""
    cause, openings, details = PROBLEMS[problem]
    initial, final = scores
    situation = expand(rng, openings)
    opening = f"{expand(rng, GREETINGS)} {situation} {expand(rng, TIMES)}"
    feeling = f"{feel_turn(rng, emotion, initial, cause)} {expand(rng, WEIGHTS[initial])}"
    merged = rng.random() < 0.35
    turns = [("open", f"{opening} {feeling}")] if merged else [("open", opening), ("feel", feeling)]
    first, later = (expand(rng, (sign,)) for sign in rng.sample(SIGNS[emotion][STRENGTH[initial]], 2))
    detail, sign = expand(rng, details), sign_turn(rng, emotion, initial, first)
    turns += [("detail", f"{detail} {sign}")] if rng.random() < 0.25 else [("detail", detail), ("sign", sign)]
    if aside:
        turns.append(("aside", distractor(rng, emotion)))
    if rng.random() < 0.6:
        turns.append(("extra", f"{expand(rng, EXTRAS)} {later}"))
    turns.append(("reply", expand(rng, REPLIES[final < initial])))
    change, state = closing(rng, initial, final)
    if len(turns) > 3 and rng.random() < 0.4:
        turns.append(("close", f"{change} {state}"))
    else:
        turns += [("close", change), ("bye", f"{state} {expand(rng, THANKS)}")]
    return situation, turns


def interleave(rng: random.Random, turns: list[Turn]) -> list[dict]:
    """Put the supporter's turns between the seeker's; now and then the seeker writes twice in a row."""
    dialog: list[dict] = []
    for kind, text in turns:
        skipped = rng.random() < {"open": 0.7, "detail": 0.25, "sign": 0.2, "extra": 0.35, "bye": 0.4}.get(kind, 0.0)
        if not skipped:  # a reply or a closing always answers something, so those are never skipped
            strategy, line = rng.choice(BEFORE[kind])
            dialog.append(speak("supporter", {"strategy": strategy}, expand(rng, (line,))))
        dialog.append(speak("seeker", {}, text))
    if rng.random() < 0.1:
        dialog.append(speak("supporter", {"strategy": "Others"}, "Take care of yourself."))
    return dialog


def speak(speaker: str, annotation: dict[str, str], text: str) -> dict:
    return {"speaker": speaker, "annotation": annotation, "content": text + "\n"}


def make_dialogue(rng: random.Random, emotion: str, problem: str, aside: bool, seen: set[str]) -> dict:
    """Write one dialogue whose seeker text is new and has 70 to 130 words."""
    scores = draw_intensities(rng)
    while True:
        situation, turns = seeker_turns(rng, emotion, problem, scores, aside)
        text = " ".join(part for _, part in turns)
        if 70 <= len(text.split()) <= 130 and text not in seen:
            break
    seen.add(text)
    seeker = {"initial_emotion_intensity": str(scores[0]), "final_emotion_intensity": str(scores[1])}
    return {
        "synthetic": True,
        "experience_type": rng.choices(("Previous Experience", "Current Experience"), (1, 3))[0],
        "emotion_type": emotion,
        "problem_type": problem,
        "situation": f"{situation} I feel {rng.choice(NEUTRAL_ADJECTIVES)} about it.",
        "survey_score": {"seeker": seeker, "supporter": {}},
        "dialog": interleave(rng, turns),
    }


def make_esconv(rng: random.Random) -> list[dict]:
    """Write all dialogues, then take out a few scores, as some are missing in the real file."""
    labels = [emotion for emotion, count in EMOTION_COUNTS.items() for _ in range(count)]
    rng.shuffle(labels)
    asides = set(rng.sample(range(len(labels)), len(labels) // 3))
    seen: set[str] = set()
    problems = tuple(PROBLEMS)
    dialogues = [make_dialogue(rng, label, rng.choice(problems), i in asides, seen) for i, label in enumerate(labels)]
    for key in ("initial_emotion_intensity", "final_emotion_intensity"):
        for chosen in rng.sample(dialogues, round(MISSING_SHARE * len(dialogues))):
            del chosen["survey_score"]["seeker"][key]
    return dialogues


def make_sad(rng: random.Random) -> list[tuple[str, str, str, float]]:
    """Write (sentence, original label, top label, severity) rows; the top label differs in about a fifth."""
    rows: list[tuple[str, str, str, float]] = []
    seen: set[str] = set()
    labels = [label for label, count in STRESSOR_COUNTS.items() for _ in range(count)]
    rng.shuffle(labels)
    for label in labels:
        shared = tuple(text for pair, text in SHARED_STRESSORS if label in pair)
        while True:
            low, high, endings = rng.choice(TAILS)
            core = expand(rng, shared if rng.random() < 0.2 else STRESSORS[label])
            sentence = core + rng.choice(endings)
            if core not in seen:  # distinct cores, so that no two rows differ in the ending alone
                break
        seen.add(core)
        top = label if rng.random() < 0.8 else NEIGHBOURS[label]
        rows.append((sentence, label, top, round(rng.uniform(low, high), 2)))
    return rows


def zip_bytes(members: list[tuple[str, bytes]]) -> bytes:
    """Zip with a fixed time and no compression, as deflate may differ from one zlib to another."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, date_time=FIXED_TIME.timetuple()[:6])
            info.create_system = 3  # otherwise Windows writes another byte here
            archive.writestr(info, content)
    return buffer.getvalue()


def xlsx_bytes(rows: list[tuple[str, str, str, float]]) -> bytes:
    """Write the sheet, then zip it again, as openpyxl stamps the time of saving on it."""
    book = Workbook()
    book.properties.created = FIXED_TIME
    sheet = book.active
    sheet.title = "SAD_v1"
    sheet.append(["sID", "sentence", "is_stressor", "original_label", "top_label", "avg_severity", "Source"])
    for number, (sentence, label, top, severity) in enumerate(rows):
        sheet.append([number, sentence, 1, label, top, severity, "synthetic"])
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = [(name, archive.read(name)) for name in sorted(archive.namelist())]
    stamp = FIXED_TIME.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    modified = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*")
    return zip_bytes([(name, modified.sub(rb"\g<1>" + stamp, content)) for name, content in members])


def write_sample(output_dir: Path, seed: int) -> None:
    """Write both files; each has its own generator, so a change to one leaves the other alone."""
    output_dir.mkdir(parents=True, exist_ok=True)
    dialogues = make_esconv(random.Random(seed))
    lines = ",\n".join(json.dumps(dialogue, separators=(",", ":")) for dialogue in dialogues)
    (output_dir / "ESConv.json").write_bytes(f"[\n{lines}\n]\n".encode())
    sheet = xlsx_bytes(make_sad(random.Random(seed + 1)))
    (output_dir / "SAD_v1.zip").write_bytes(zip_bytes([("SAD_v1.xlsx", sheet)]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the synthetic sample (ESConv.json and SAD_v1.zip).")
    parser.add_argument("--output_dir", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    write_sample(args.output_dir, args.seed)
    print(f"wrote ESConv.json and SAD_v1.zip to {args.output_dir}")


if __name__ == "__main__":
    main()
