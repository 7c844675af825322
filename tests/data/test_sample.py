"""The bundled sample: synthetic and says so, in the corpora's schemas, the same bytes whenever it is made."""

import json
import subprocess
import sys
from collections import Counter

from conftest import REPOSITORY

from artificial_pain.data.sources import locate, read_corpus

FOLDER = REPOSITORY / "artificial_pain" / "data" / "sample"


def test_its_script_makes_the_same_bytes(tmp_path):
    subprocess.run([sys.executable, FOLDER / "make_sample.py", "--output_dir", tmp_path], check=True, cwd=tmp_path)
    for name in ("ESConv.json", "SAD_v1.zip"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_esconv_has_enough_of_each_emotion_and_intensity():
    dialogues = json.loads((FOLDER / "ESConv.json").read_text())
    assert all(dialogue["synthetic"] is True for dialogue in dialogues)
    counts = Counter(dialogue["emotion_type"] for dialogue in dialogues)
    assert len(counts) == 7 and min(counts.values()) >= 30
    frame = read_corpus("ESConv", locate("ESConv", "sample"))
    assert frame["text"].is_unique
    for column in ("initial_intensity", "final_intensity"):
        assert set(frame[column].dropna()) == {1, 2, 3, 4, 5}
        assert 0.02 < frame[column].isna().mean() < 0.15


def test_sad_has_enough_of_each_label():
    for column in ("original_label", "top_label"):
        frame = read_corpus("SAD", locate("SAD", "sample"), column)
        counts = frame["label_name"].value_counts()
        assert len(counts) == 9 and counts.min() >= (30 if column == "original_label" else 15)
        assert frame["text"].is_unique
