"""Probes read what is in the states, and their control task what can be known by heart."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, r2_score

from artificial_pain.analysis import probes

SIZES = {"train": 200, "validation": 60, "test": 90}
WORDS = ["exam", "boss", "rent", "mother", "doctor", "friend", "school", "money"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Hello! I've been so sad about my boss", "sad"),
        ("Good morning, thanks. The EXAM is near", "exam"),
        ("I don\u2019t know, it isn't fair", "know"),
        ("I am 25, ok o'clock x1abc", ""),
        ("Überall Prüfungen", "überall"),
    ],
)
def test_first_content_word(text, word):
    assert probes.first_content_word(text) == word


@pytest.fixture
def texts() -> dict[str, pd.DataFrame]:
    """Texts whose labels and intensities have nothing to do with their first word."""
    rng, frames = np.random.default_rng(0), {}
    for split, n in SIZES.items():
        words = rng.choice(WORDS, n)
        frame = pd.DataFrame({"text": [f"Hello, my {word} again" for word in words], "word": words})
        frame["label_name"] = rng.choice(["anger", "fear", "shame"], n, p=[0.5, 0.3, 0.2])
        frame["initial_intensity"] = np.where(rng.random(n) < 0.2, np.nan, rng.integers(1, 6, n))
        frames[split] = frame
    return frames


def test_control_task_is_a_value_of_training_for_each_word_in_all_splits(texts):
    controlled = probes.add_controls(texts)
    together = pd.concat(controlled.values())
    for target in ("label_name", "initial_intensity"):
        control = together[f"control_{target}"]
        assert together.dropna(subset=f"control_{target}").groupby("word")[control.name].nunique().max() == 1
        assert set(control.dropna()) <= set(texts["train"][target]) and control.nunique() > 1
        assert control.isna().tolist() == together[target].isna().tolist()


def test_targets_have_several_values_in_all_splits(texts):
    for frame in texts.values():
        frame["problem_type"], frame["final_intensity"] = "", np.nan
    assert probes.targets(texts) == ["label_name", "initial_intensity"]
    texts["test"]["initial_intensity"] = 3.0
    assert probes.targets(texts) == ["label_name"]


class Planted:
    """States in whose last layer the targets lie, and in whose first the word alone."""

    def __init__(self, texts: dict[str, pd.DataFrame]):
        self.texts = texts

    def __getitem__(self, split: str) -> np.ndarray:
        frame, rng = self.texts[split], np.random.default_rng(1)
        words = np.eye(len(WORDS))[[WORDS.index(word) for word in frame["word"]]]
        labels = np.eye(3)[pd.Categorical(frame["label_name"]).codes]
        signal = np.column_stack([labels, frame["initial_intensity"].fillna(3), rng.normal(size=(len(frame), 4))])
        return np.stack([words, signal + 0.3 * rng.normal(size=signal.shape)], axis=1)


def test_probe_tells_what_is_read_from_what_is_known_by_heart(texts):
    found = probes.probe({"planted": [Planted(texts), Planted(texts)]}, texts)
    for target in ("label_name", "initial_intensity"):
        by_heart, read = found[target]["planted"]
        assert by_heart.control.values.min() > 0.9 and by_heart.score.values.max() < 0.45
        assert read.score.values.min() > 0.85 and read.control.values.max() < 0.6
        assert by_heart.selectivity.values.max() < 0 < read.selectivity.values.min()
        assert probes.best_layer(found[target]["planted"]) == 1
        assert read.score.values.shape == (2,) and read.score.resampled.shape == (2, 2000)
        low, high = np.percentile(read.selectivity.resampled[0], [2.5, 97.5])
        assert low < read.selectivity.values[0] < high
        words = found[target][probes.WORDS][0]
        assert words.control.values[0] > 0.9 and words.score.values[0] < 0.45
    assert found["label_name"]["planted"][1].r2 is None and found["initial_intensity"]["planted"][1].r2.values[0] > 0.8


def test_texts_with_one_first_word_have_a_constant_control(texts):
    for frame in texts.values():
        frame["text"] = "Patient says: " + frame["text"]
    found = probes.probe({"planted": [Planted(texts)]}, texts)["label_name"]["planted"][1]
    assert found.control.values[0] == 1 and found.score.values[0] > 0.85


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted = pd.Series(rng.choice(["a", "b", "c"], 80)), rng.choice(["a", "b", "d"], 80)
    value, resampled = probes.score("problem_type", true, predicted, np.nan)["macro_f1"]
    assert value == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert resampled.shape == (2000,)
    true = pd.Series(np.where(rng.random(80) < 0.2, np.nan, rng.integers(1, 6, 80)))
    predicted = true.fillna(1).to_numpy() + rng.normal(size=80)
    known, scores = true.notna(), probes.score("control_initial_intensity", true, predicted, true.mean())
    assert scores["pearson"][0] == pytest.approx(np.corrcoef(true[known], predicted[known])[0, 1])
    assert scores["r2"][0] == pytest.approx(r2_score(true[known], predicted[known]))
    assert probes.score("initial_intensity", true, np.full(80, 3.0), 3)["pearson"][0] == 0
