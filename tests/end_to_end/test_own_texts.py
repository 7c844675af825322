"""Texts of people's own, through the scripts: labels, splits, folders, duplicates, licence, and the report."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import DATALOADER, INTENSITY_DATALOADER, INTENSITY_MODEL, MODEL, REPOSITORY
from huggingface_hub import ModelCard

from artificial_pain.data import text_csv

pytestmark = pytest.mark.xdist_group("own_texts")
OWN = pytest.mark.fault(
    "texts of the user's own",
    "a table trains on any labels, its column `split` is obeyed, and no licence is claimed for it",
)
TWICE = pytest.mark.fault("texts that stand twice", "they are counted and told, and --deduplicate keeps one of each")
FOLDERS = pytest.mark.fault(
    "several sets of examples in one folder", "each has a folder of its own, which the same flags find"
)
TWO = {0: 24, 1: 34, 2: 44, 5: 9}  # rows of training and test with the same text, the last with other labels
FAST = ["--epochs", "1", "--batch_size", "16", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture
def table(tmp_path) -> Path:
    """60 texts with two columns of labels and a split; four texts stand twice, one of them with another label."""
    rows = []
    for i in range(60):
        moods, split = ["calm", "sad", "glad"], ["train", "train", "train", "dev", "test"][i % 5]
        rows.append({"id": i, "text": f"It is {moods[i % 3]} on day {i}", "mood": moods[i % 3], "split": split})
    for train, test in TWO.items():
        rows[test]["text"] = rows[train]["text"].upper()
    frame = pd.DataFrame(rows).assign(is_good=lambda frame: frame["mood"].eq("glad").map({True: "yes", False: "no"}))
    frame.to_csv(tmp_path / "mine.csv", sep=";", index=False)
    return tmp_path / "mine.csv"


@OWN
def test_a_table_of_ones_own_becomes_a_model(table, encoder, script, tmp_path):
    """a CSV with own labels and a split: splits, run, model card, and report"""
    words = ["--model_name", encoder, "--dataset_name", "SAD", "--data_source", table, "--label_column", "mood"]
    words += ["--output_dir", tmp_path / "out"]
    done = script(DATALOADER, *words)
    assert done.code == 0, done.err
    assert done.out.startswith("mine.csv ")
    corpus = tmp_path / "out" / "mine-mood"
    statistics = json.loads((corpus / "dataset_statistics.json").read_text())
    assert [statistics[name]["examples"] for name in ("train", "validation", "test")] == [36, 12, 12]
    assert statistics["settings"]["corpus"] == "mine.csv"
    test = text_csv.read_split(corpus / "dataset_splits" / "test_split.csv")
    assert [index % 5 for index in test.index] == [4] * 12, "the rows that the file says"
    done = script(MODEL, *words, *FAST)
    assert done.code == 0 and done.out.startswith("mine.csv (unbalanced), "), done.err
    (card,) = corpus.glob("*/loss-classification/README.md")
    assert ModelCard(card.read_text()).data.license == "other"
    assert "`mine.csv`, a file of the user's" in card.read_text() and "SAD" not in card.read_text()
    done = script(REPOSITORY / "artificial_pain/report.py", tmp_path / "out", "--output", tmp_path / "R.md")
    assert done.code == 0 and "3 labels, `mood`, from mine.csv, given by the user." in (tmp_path / "R.md").read_text()


@FOLDERS
def test_sets_of_examples_do_not_replace_each_other(table, encoder, script, tmp_path):
    """other labels, seeds, lengths, the sample, and another file of the same name, in one output folder"""
    words = ["--dataset_name", "SAD", "--output_dir", tmp_path / "out"]
    own = ["--data_source", table, "--label_column"]
    sets = [[*own, "mood"], [*own, "is_good"], [*own, "mood", "--seed", "7"], [*own, "mood", "--max_length", "9"]]
    sets += [["--data_source", "sample"], ["--data_source", "sample", "--label_column", "top_label"]]
    for flags in sets:
        done = script(DATALOADER, "--model_name", encoder, *words, *flags)
        assert done.code == 0, done.err
    names = {path.parent.name for path in tmp_path.glob("out/*/dataset_statistics.json")}
    assert names == {"mine-mood", "mine-is_good", "mine-mood-seed7", "mine-mood-max_length9"} | {
        "SAD-sample",
        "SAD-sample-top_label",
    }
    other = shutil.copy(table, tmp_path / "out" / "mine.csv")
    assert script(DATALOADER, "--model_name", encoder, *words, "--data_source", other, *sets[0][2:]).code == 0
    Path(other).write_text(Path(other).read_text().replace("calm", "quiet"))
    done = script(DATALOADER, "--model_name", encoder, *words, "--data_source", other, *sets[0][2:])
    assert done.code == 0, "the same file, which was changed"
    done = script(DATALOADER, "--model_name", encoder, *words, *sets[0])
    assert done.code == 1 and f"its splits were made with --data_source {other}: give these flags, or" in done.error
    done = script(MODEL, "--model_name", encoder, *words, *sets[0], *FAST)
    assert done.code == 1 and f"its splits were made with --data_source {other}: give these flags" in done.error
    # Splits of an earlier version are replaced, whatever they are of.
    statistics = tmp_path / "out" / "mine-is_good" / "dataset_statistics.json"
    statistics.write_text('{"settings": {"data_source": "another"}}')
    assert script(DATALOADER, "--model_name", encoder, *words, *own, "is_good").code == 0
    assert json.loads(statistics.read_text())["settings"]["corpus"] == "mine.csv"
    # The model script finds each by the same flags, and says which there are where there is none.
    done = script(MODEL, "--model_name", encoder, *words, *own, "is_good", *FAST)
    assert done.code == 0 and len(list(tmp_path.glob("out/mine-is_good/*/loss-classification"))) == 1
    done = script(MODEL, "--model_name", encoder, *words, *FAST)
    assert done.code == 1 and "--data_source sample --label_column top_label" in done.error
    # An encoder of the same last name.
    namesake = shutil.copytree(encoder, tmp_path / "b" / encoder.name)
    assert script(DATALOADER, "--model_name", namesake, *words, *own, "is_good").code == 0
    assert script(MODEL, "--model_name", namesake, *words, *own, "is_good", *FAST).code == 0
    assert len(list(tmp_path.glob("out/mine-is_good/*/loss-classification"))) == 2


@TWICE
def test_texts_that_stand_twice_are_told_and_left_out(table, encoder, script, tmp_path):
    """texts of test that stand in training, one with another label, with and without --deduplicate"""
    words = ["--model_name", encoder, "--dataset_name", "SAD", "--data_source", table, "--label_column", "mood"]
    words += ["--output_dir", tmp_path]
    done = script(DATALOADER, *words)
    assert "Texts that stand in two splits: 4 in train/test" in done.out
    told = "4 of 12 test texts stand in another split too: the dataloader's --deduplicate keeps one of each text"
    done = script(MODEL, *words, *FAST)
    assert done.code == 0 and told in done.err
    done = script(DATALOADER, *words, "--deduplicate")
    assert done.code == 0 and "1 texts have several labels: their 2 examples are left out" in done.err
    assert "Left out by --deduplicate: 3 repeated, 2 contradictory" in done.out
    assert "Texts that stand in two splits: none" in done.out
    done = script(MODEL, *words, "--deduplicate", *FAST)
    assert done.code == 0 and "in another split" not in done.err
    assert list(tmp_path.glob("mine-mood-deduplicated/*/loss-classification/run.json"))


@OWN
def test_dialogues_of_ones_own_have_intensities(encoder, script, tmp_path):
    """JSON lines of own dialogues in the form of the hub, with intensities"""
    lines = []
    for i in range(40):
        score = {"seeker": {"initial_emotion_intensity": str(1 + i % 5), "final_emotion_intensity": str(1 + i % 3)}}
        dialog = [{"speaker": "usr", "text": f"It hurts, number {i}"}, {"speaker": "sys", "text": "Why?"}]
        lines.append({"emotion_type": ["grief", "envy"][i % 2], "survey_score": score, "dialog": dialog})
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ["--model_name", encoder, "--data_source", tmp_path / "chats.jsonl", "--output_dir", tmp_path]
    assert script(INTENSITY_DATALOADER, *words).code == 0
    done = script(INTENSITY_MODEL, *words, *FAST, "--warmup_steps", "0")
    assert done.code == 0 and done.out.startswith("chats.jsonl (unbalanced)"), done.err
    (run,) = tmp_path.glob("chats/*/accuracy-4-heads-intensity-change")
    card = (run / "README.md").read_text()
    assert "ESConv" not in card.split("## Citation")[0] and ModelCard(card).data.license == "other"
