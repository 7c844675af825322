"""A dialogue turn by turn: the predictions are those of its beginnings, and the statistics of many are right."""

import json
import sys
from io import BytesIO, TextIOWrapper

import numpy as np
import pandas as pd
import pytest
from conftest import ESCONV_FOLDER, REPOSITORY, folder_of

from artificial_pain.analysis import dialogues, turns
from artificial_pain.data import sources
from artificial_pain.errors import UserError
from artificial_pain.runs.predictor import Predictor

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = REPOSITORY / "artificial_pain" / "trajectory.py"
CHAT = [
    ("seeker", "Hello there"),
    ("supporter", "What is it?"),
    ("seeker", "I cannot sleep, and I feel so very alone"),
    ("usr", "Bye"),
]


@pytest.fixture(scope="module")
def run_folder(studied, encoder):
    return studied.root / ESCONV_FOLDER / folder_of(encoder) / "accuracy-4-heads-intensity-change"


@pytest.fixture(scope="module")
def corpus() -> pd.DataFrame:
    return sources.read_corpus("ESConv", sources.locate("ESConv", "sample"))


def test_a_row_is_the_prediction_of_the_beginning(run_folder):
    predictor, said = Predictor(run_folder), [["Hello", "I am sad", "Bye"], ["Only this"]]
    frames = turns.after_each_turn(predictor, said)
    alone = predictor(["Hello I am sad", "Only this"])
    assert [len(frame) for frame in frames] == [3, 1]
    for row, expected in ((frames[0].iloc[1], alone.iloc[0]), (frames[1].iloc[0], alone.iloc[1])):
        assert row["emotion"] == expected["emotion"]
        assert row["initial"] == pytest.approx(expected["initial_expected"], abs=1e-4)


def followed(values: list[list[float]], strategies: list[list[list[str]]], shuffled=None) -> turns.Followed:
    frames = [pd.DataFrame({"initial": of_turns}) for of_turns in values]
    return turns.Followed(frames, [pd.DataFrame({"initial": each}) for each in shuffled or values], strategies)


def test_steps_by_hand(monkeypatch):
    """Steps at turn 1: 1, 2, 3 (mean 2); at turn 2: 4, 0 (mean 2). A turn may follow two strategies, or none"""
    monkeypatch.setattr(turns, "MIN_DIALOGUES", 1)
    strategies = [[["x"], ["Q"], ["Q", "A"]], [[], ["A", "A"], []], [[], ["Q"]]]
    steps = followed([[0, 1, 5], [1, 3, 3], [2, 5]], strategies).steps().set_index("strategy")
    assert list(steps.index) == ["A", "Q"], "before the first turn there is no step"
    assert steps["turns"].to_dict() == {"A": 2, "Q": 3}
    assert steps["step"].to_dict() == pytest.approx({"A": 3, "Q": 8 / 3})
    assert steps["beyond"].to_dict() == pytest.approx({"A": 1, "Q": 2 / 3})  # (2 + 0) / 2, (-1 + 2 + 1) / 3


def test_steps_are_found_where_they_are_planted():
    """200 dialogues: after Q the value falls by 0.5 more than at other turns of that number; after A as always"""
    rng = np.random.default_rng(0)
    values, strategies = [], []
    for _ in range(200):
        said = [["Q"] if rng.random() < 0.5 else ["A"] for _ in range(6)]
        moves = [0, *(rng.normal(1 / turn, 0.5) - 0.5 * (said[turn] == ["Q"]) for turn in range(1, 6))]
        values, strategies = [*values, np.cumsum(moves)], [*strategies, said]
    steps = followed(values, strategies).steps().set_index("strategy")
    assert steps["beyond"]["Q"] == pytest.approx(-0.25, abs=0.06) and steps["p_value"].max() < 0.001
    assert steps["interval"]["Q"][0] < -0.25 < steps["interval"]["Q"][1] < 0
    strategies[0][1] = ["Rare"]
    assert "Rare" not in followed(values, strategies).steps()["strategy"].tolist(), "in one dialogue alone"
    at_random = followed(values, [[[str(rng.integers(3))] for _ in range(6)] for _ in range(200)]).steps()
    assert at_random["p_value"].min() > 0.01


def test_curves_run_from_the_first_to_the_last_turn():
    found = followed([[0, 1], [0, 2, 6]], [[[]] * 2, [[]] * 3], shuffled=[[1, 1], [6, 6, 6]])
    curves = found.curves["in their order"]
    assert curves.shape == (2, 11, 1)
    assert curves[0, :, 0] == pytest.approx(np.linspace(0, 1, 11))
    assert curves[1, [0, 5, 10], 0] == pytest.approx([0, 2, 6]) and curves[1, 8, 0] == pytest.approx(4.4)
    row = turns.mean_table(found).iloc[0]
    assert row["first turn"].startswith("0.000") and row["last turn"].startswith("3.500")
    assert row["moves"].startswith("3.500 [1.000, 6.000]") and row["moves, shuffled"].startswith("0.000")
    assert row["difference"] == row["moves"]


def lines_of(done) -> list[str]:
    assert done.code == 0, done.err
    return done.out.splitlines()


@pytest.mark.parametrize("kind", ["dialogue", "file", "stdin"])
def test_dialogue_of_any_source(kind, run_folder, corpus, script, tmp_path, monkeypatch):
    """As a table and a figure, with a word on what it can say"""
    figure, said = tmp_path / "curve.png", [text for speaker, text in CHAT if speaker != "supporter"]
    chat = [{"speaker": speaker, "content": text} for speaker, text in CHAT]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, chat)))
    words = {"dialogue": ["--dialogue", 3], "file": ["--file", tmp_path / "chat.jsonl"], "stdin": []}[kind]
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO("\n".join(said).encode())))
    lines = lines_of(script(SCRIPT, run_folder, *words, "--output", figure))
    expected = corpus.loc[3, "turns"] if kind == "dialogue" else said
    predicted = Predictor(run_folder)([" ".join(expected[: i + 1]) for i in range(len(expected))])
    assert lines[0].split()[:6] == ["turn", "emotion", "probability", "initial", "final", "change"]
    for i, row in enumerate(lines[1 : len(expected) + 1]):
        number, emotion, _, initial, _ = row.split(maxsplit=4)
        assert int(number) == i + 1 and emotion == predicted["emotion"][i]
        assert float(initial) == pytest.approx(predicted["initial_expected"][i], abs=0.002)
        assert row.rstrip().endswith(turns.first_words(expected[i]))
    assert not lines[len(expected) + 1].strip() and "trained on whole dialogues" in lines[len(expected) + 2]
    assert lines[-1] == str(figure) and figure.read_bytes().startswith(b"\x89PNG")


def test_split_as_a_whole(run_folder, corpus, script, tmp_path):
    lines = lines_of(script(SCRIPT, run_folder, "--split", "test", "--output", tmp_path / "mean.png"))
    quantities = [line.split("  ")[0].strip() or line.split()[0] for line in lines[1:5]]
    assert [line.split()[0] for line in lines[1:5]] == ["probability", "initial", "final", "change"], quantities
    said = {s for turns_ in corpus["strategies"] for strategies in turns_[1:] for s in strategies}
    told = {line[: lines[6].index("turns")].strip() for line in lines[7 : lines.index("", 7)]}
    assert {" ".join(name.split()[:2]) for name in told} <= {" ".join(f"{name} 0".split()[:2]) for name in said} | said
    assert (tmp_path / "mean.png").exists()


def test_a_model_of_one_head_has_the_emotion_alone(run_folder, script, tmp_path):
    folder = run_folder.with_name("loss-classification")
    lines = lines_of(script(SCRIPT, folder, "--dialogue", 0, "--output", tmp_path / "curve.png"))
    assert lines[0].split() == ["turn", "emotion", "probability", "begins", "with"]


def test_a_run_of_sentences_has_no_split_of_dialogues(run_folder):
    with pytest.raises(UserError, match="its corpus has no dialogues: give --dialogue N with --data_source"):
        dialogues.of_split(run_folder, {"arguments": {"dataset_name": "SAD"}}, "sample", "test")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dialogue", "100000"], "--dialogue 100000 is none of them"),
        (["--file", "no-such-file"], "no-such-file: cannot be read"),
        (["--file", "{folder}/words.jsonl"], "turn 0: expected an object with speaker and content"),
        (["--split", "test", "--data_source", "{folder}/other.json"], "is not the corpus of"),
        (["--dialogue", "1", "--output", "x.jpg"], "expected a name that ends in .png"),
        (["--data_source", "sample"], "--data_source is for --dialogue and --split"),
    ],
)
def test_wrong_words_are_told_in_one_line(words, told, run_folder, script, tmp_path):
    (tmp_path / "words.jsonl").write_text('"a"\n"b"\n')
    dialogue = {"emotion_type": "anger", "dialog": [{"speaker": "seeker", "content": "hm"}]}
    (tmp_path / "other.json").write_text(json.dumps([dialogue]))
    done = script(SCRIPT, run_folder, *(word.format(folder=tmp_path) for word in words))
    assert done.code in (1, 2) and told in done.error
