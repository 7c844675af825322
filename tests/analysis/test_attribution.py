"""Explained predictions: complete, word by word, and the same in each format."""

import json
import re
from html.parser import HTMLParser
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from conftest import ESCONV_FOLDER, REPOSITORY, folder_of
from models import LABELS, NAMES, make
from transformers import AutoTokenizer

from artificial_pain.analysis import attribution
from artificial_pain.evaluation.calibration import Calibration
from artificial_pain.runs import prediction_io
from artificial_pain.runs.predictor import Predictor

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = REPOSITORY / "artificial_pain" / "predict.py"
TEXT = "I have <b>not</b> slept & I feel so anxious, über-tired."


class Untrained(Predictor):
    """A predictor of a tiny encoder with random weights, which are enlarged so that the words count."""

    def __init__(self, folder, pooling: str):
        self.model = make(folder, ["initial_intensity"], pooling).eval()
        self.model.encoder.get_input_embeddings().weight.data *= 20
        self.tokenizer, self.device = AutoTokenizer.from_pretrained(folder), self.model.device
        self.calibration, self.label_names = Calibration(0.05, [0.7]), LABELS


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("name", NAMES)
def test_attributions_sum_up_to_the_difference_of_the_outputs(name, pooling, tiny):
    """To a text of masks, in each family of encoders; whatever the batch size"""
    predictor = Untrained(tiny[name], pooling)
    tokens, of_tokens, differences = attribution.integrated_gradients(predictor, TEXT, 1, batch_size=50, steps=128)
    prediction = predictor([TEXT])
    masked = TEXT
    for start, end in sorted(set(tokens) - {(0, 0)}, reverse=True):
        masked = masked[:start] + predictor.tokenizer.mask_token + masked[end:]
    assert len(tokens) == len(of_tokens["emotion"])
    for key, values in of_tokens.items():
        assert np.abs(values).sum() > 0
        assert values.sum() == pytest.approx(differences[key], abs=0.05 * np.abs(values).sum())
    output = prediction[f"probability_{LABELS[1]}"][0] - differences["emotion"]
    assert 0 < output < 1
    again = attribution.integrated_gradients(predictor, TEXT, 1, batch_size=7, steps=128)[1]
    assert again["initial"] == pytest.approx(of_tokens["initial"], abs=1e-4)
    words, sums = attribution.join_words(TEXT, tokens, of_tokens)
    assert words == TEXT.split() and sum(sums["emotion"]) == pytest.approx(of_tokens["emotion"].sum(), abs=1e-6)


def test_tokens_are_joined_to_the_words_between_blanks():
    """One token has the blank before its word, as of ModernBERT; special tokens have no place, and nothing to add"""
    tokens = [(0, 0), (0, 1), (1, 6), (6, 7), (8, 11), (0, 0)]
    words, sums = attribution.join_words("I slept, not", tokens, {"emotion": np.array([0, 1.0, 2, 3, -4, 0])})
    assert words == ["I", "slept,", "not"] and sums == {"emotion": [1, 5, -4]}


@pytest.fixture(scope="module")
def run_folders(studied, encoder):
    folder = studied.root / ESCONV_FOLDER / folder_of(encoder)
    return [folder / "accuracy-4-heads-intensity-change", folder / "loss-classification"]


@pytest.fixture(scope="module")
def explained(run_folders):
    predictor = Predictor(run_folders[0])
    return attribution.explain(predictor, predictor([TEXT, "sad"]), 32)


def test_explanation_is_in_columns_of_csv_and_in_json_lines(run_folders, script, explained):
    """A model of one head has none of the initial intensity; an empty text has none at all"""
    words = explained["explained_words"][0]
    done = script(SCRIPT, run_folders[0], TEXT, "", "--explain", "--format", "csv")
    frame = pd.read_csv(StringIO(done.out))
    assert json.loads(frame["explained_words"][0]) == words == TEXT.split()
    assert json.loads(frame["explained_emotion"][0]) == pytest.approx(explained["explained_emotion"][0], abs=1e-4)
    assert frame["explained_initial"].notna().tolist() == [True, False]
    lines = [
        json.loads(line)
        for line in script(SCRIPT, run_folders[1], TEXT, "", "--explain", "--format", "jsonl").out.splitlines()
    ]
    assert set(lines[0]["explanation"]) == {"words", "emotion"} and lines[1]["explanation"] is None
    assert len(lines[0]["explanation"]["emotion"]) == len(words)


def test_explanation_as_text_names_the_words_that_moved_most(run_folders, script, explained):
    lines = script(SCRIPT, run_folders[0], TEXT, "--explain").out.splitlines()
    assert lines[0] == TEXT
    for key in ("emotion", "initial"):
        (told,) = [line for line in lines if line.startswith(f"  {key} moved by: ")]
        values = pd.Series(explained[f"explained_{key}"][0], TEXT.split())
        strongest = values.abs().idxmax()
        assert told.split(": ", 1)[1].startswith(f"{strongest} {values[strongest]:+.2f}")
        assert len(re.findall(r" [+-]\d\.\d\d", told)) == prediction_io.MOST_MOVING


def test_words_are_coloured_where_the_terminal_has_colours(explained, monkeypatch, capsys):
    """The strongest has the strongest colour, a word that moves down is underlined; with NO_COLOR there is none"""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.reconfigure", lambda **_: None, raising=False)
    rows = pd.DataFrame({"text": ["a b c"]})
    moved = {"explained_words": [["a", "b", "c"]], "explained_emotion": [[0.5, -0.4, 0.01]]}
    predictions = pd.DataFrame({"emotion": ["fear"], "probability_fear": [1.0], **moved})
    monkeypatch.delenv("NO_COLOR", raising=False)
    prediction_io.print_predictions(rows, "text", predictions, "text")
    a, b, c = capsys.readouterr().out.splitlines()[0].split(" ")
    assert a == f"\033[{prediction_io.UP[-1]}ma\033[0m" and c == "c"
    assert b.startswith("\033[4;") and b.endswith("mb\033[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    prediction_io.print_predictions(rows, "text", predictions, "text")
    assert capsys.readouterr().out.splitlines()[0] == "a b c"


class Page(HTMLParser):
    """The tags of a page that are open, its words with their values, and what it loads."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.words, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.attributes += attributes
        if tag not in ("meta", "link", "img"):
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and "title" in self.open[-1][1]:
            self.words.append((data, float(self.open[-1][1]["title"])))


def test_html_is_whole_escaped_and_loads_nothing(run_folders, script, tmp_path, explained):
    path = tmp_path / "explained.html"
    done = script(SCRIPT, run_folders[0], TEXT, "sad", "--explain", "--html", path)
    assert done.code == 0, done.err
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and "<b>" not in text
    assert (
        not {name for name, _ in page.attributes} & {"src", "href", "onclick"}
        and "url(" not in text
        and "@import" not in text
    )
    words = [word for word, _ in page.words]
    assert words == 2 * TEXT.split() + ["sad"] * 2
    values = np.concatenate([explained["explained_emotion"][0], explained["explained_initial"][0]])
    assert [value for _, value in page.words[: len(values)]] == pytest.approx(values, abs=1.1e-3)
    assert "prefers" in text or "color-scheme: light dark" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--html", "."], "--html .: is a folder"),
        (["--explain", "--with_run", "other"], "--explain is of one run"),
        (["--explain", "--html", "no/such/folder.html"], "cannot be written"),
    ],
)
def test_wrong_flags(words, told, run_folders, script):
    done = script(SCRIPT, run_folders[0], "sad", *words)
    assert done.code == (1 if "written" in told else 2) and told in done.error
