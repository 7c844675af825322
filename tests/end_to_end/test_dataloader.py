"""The dataloader script: its files, their agreement, and that they are replaced together or not at all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import BALANCED_SAD_FOLDER, DATALOADER, ESCONV_FOLDER, MINILM, REPOSITORY, SAD_FOLDER, SAMPLE
from datasets import load_from_disk
from transformers import AutoTokenizer

from artificial_pain import encoders, storage
from artificial_pain.data import text_csv, vocabulary

WORDS = ["--model_name", MINILM, *SAMPLE]


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(encoders.package_folder())


@pytest.mark.parametrize("balanced", [False, True])
def test_the_files_of_esconv_agree_with_each_other(balanced, script, tokenizer, tmp_path):
    flags = ["--balanced", "--samples_per_label", "32", "--max_length", "120"] if balanced else []
    done = script(DATALOADER, *WORDS, "--output_dir", tmp_path, *flags)
    assert done.code == 0, done.err
    prefix = "balanced_" if balanced else ""
    corpus = tmp_path / (f"{ESCONV_FOLDER}-max_length120-samples_per_label32" if balanced else ESCONV_FOLDER)
    names = json.loads((corpus / f"{prefix}label_mapping.json").read_text())
    assert names == dict(zip("0123456", sorted(names.values()), strict=True))
    statistics = json.loads((corpus / f"{prefix}dataset_statistics.json").read_text())
    tokenized = load_from_disk(str(corpus / "all-MiniLM-L6-v2" / f"{prefix}tokenized_splits"))
    max_length = 120 if balanced else 512

    for split in vocabulary.SPLITS:
        texts = text_csv.read_split(corpus / f"{prefix}dataset_splits" / f"{split}_split.csv")
        data = tokenized[split]
        assert texts.index.name == "dialogue_idx"
        assert data.column_names == ["labels", "initial_intensity", "final_intensity", "intensity_change",
                                     "input_ids", "attention_mask"]  # fmt: skip
        assert data["labels"][:] == texts["label"].tolist()
        assert [names[str(label)] for label in texts["label"]] == texts["label_name"].tolist()
        for column in ("initial_intensity", "final_intensity", "intensity_change"):
            assert np.array_equal(np.array(data[column][:], dtype=float), texts[column].to_numpy(), equal_nan=True)
        expected = tokenizer(texts["text"].tolist(), truncation=True, max_length=max_length)["input_ids"]
        assert data["input_ids"][:] == expected, "unpadded, row for row"
        assert all(all(mask) for mask in data["attention_mask"][:])

        description = statistics[split]
        assert description["examples"] == len(texts) and description["augmented"] == texts["augmented"].sum()
        assert description["labels"] == texts["label_name"].value_counts().to_dict()
        assert description["intensities"]["final_intensity"]["missing"] == texts["final_intensity"].isna().sum()
        lengths = [len(ids) for ids in expected]
        assert description["tokens"]["median"] == np.median(lengths) and description["tokens"]["max"] == max(lengths)
        longer = [len(ids) > max_length for ids in tokenizer(texts["text"].tolist())["input_ids"]]
        assert description["tokens"]["truncated"] == pytest.approx(np.mean(longer))
    assert (statistics["train"]["tokens"]["truncated"] > 0) == balanced
    assert statistics["train"]["examples"] == (7 * 32 if balanced else 191)
    assert f"{statistics['train']['examples']}" in done.out and "Texts that stand in two splits: none" in done.out


def test_balanced_and_unbalanced_share_validation_and_test(sample_splits):
    for split in ("validation", "test"):
        plain, balanced = (
            (sample_splits / folder / f"{split}_split.csv").read_bytes()
            for folder in (f"{SAD_FOLDER}/dataset_splits", f"{BALANCED_SAD_FOLDER}/balanced_dataset_splits")
        )
        assert plain == balanced


def test_the_same_command_gives_the_same_bytes_and_another_seed_has_a_folder_of_its_own(script, tmp_path):
    script(DATALOADER, *WORDS, "--output_dir", tmp_path)
    first = contents(tmp_path)
    script(DATALOADER, *WORDS, "--output_dir", tmp_path)
    assert contents(tmp_path) == first
    script(DATALOADER, *WORDS, "--output_dir", tmp_path, "--seed", "7")
    both = contents(tmp_path)
    other = {name: content for name, content in both.items() if name.startswith(f"{ESCONV_FOLDER}-seed7/")}
    assert both.items() - other.items() == first.items()
    assert {name.replace("-seed7", "") for name in other} == first.keys()
    name = "dataset_splits/test_split.csv"
    assert other[f"{ESCONV_FOLDER}-seed7/{name}"] != first[f"{ESCONV_FOLDER}/{name}"]


def test_invalid_intensities_are_counted_in_the_statistics(script, tmp_path):
    dialogues = json.loads((REPOSITORY / "artificial_pain/data/sample/ESConv.json").read_text())
    for i, value in enumerate(["abc", "", "9"]):
        dialogues[i]["survey_score"]["seeker"]["initial_emotion_intensity"] = value
    (tmp_path / "ESConv.json").write_text(json.dumps(dialogues))
    done = script(
        DATALOADER, "--model_name", MINILM, "--data_source", tmp_path / "ESConv.json", "--output_dir", tmp_path
    )
    assert done.code == 0 and "3 in all: dialogue 0 initial 'abc'" in done.err
    assert json.loads((tmp_path / "ESConv/dataset_statistics.json").read_text())["invalid_intensities"] == 3


DIE_WHILE_STAGING = """
import os, sys
from pathlib import Path
from artificial_pain import storage
folder, moves = Path(sys.argv[1]), int(sys.argv[2])
replace, done = os.replace, []
def dying_replace(source, target):
    if len(done) == moves: os._exit(9)
    done.append(target); replace(source, target)
storage.os.replace = dying_replace
with storage.atomic_update(folder) as staging:
    for name in ("a", "deep/b", "deep/er/c"):
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_text("new")
        if moves < 0: os._exit(9)
"""


@pytest.mark.parametrize("moves", [-1, 0, 1, 2, 3])
def test_a_process_that_dies_leaves_all_of_the_old_files_or_all_of_the_new(moves, tmp_path):
    """It dies while the new set is made (-1), or after some of the three moves; then someone else looks."""
    with storage.atomic_update(tmp_path) as staging:
        for name in ("a", "deep/b", "deep/er/c"):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_text("old")
    code = subprocess.run(
        [sys.executable, "-c", DIE_WHILE_STAGING, str(tmp_path), str(moves)], cwd=REPOSITORY, check=False
    ).returncode
    assert code == (0 if moves == 3 else 9)
    storage.commit_pending(tmp_path)
    expected = "old" if moves < 0 else "new"
    assert [(tmp_path / name).read_text() for name in ("a", "deep/b", "deep/er/c")] == [expected] * 3
    with storage.atomic_update(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "deep"], "nothing is left lying about"


def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_moved(script, tmp_path):
    script(DATALOADER, *WORDS, "--output_dir", tmp_path)
    corpus = tmp_path / ESCONV_FOLDER
    shutil.rmtree(corpus / "all-MiniLM-L6-v2")
    (corpus / "all-MiniLM-L6-v2").write_text("in the way")
    (corpus / "dataset_splits" / "train_split.csv").write_text("what was there before")
    before = contents(tmp_path)
    done = script(DATALOADER, *WORDS, "--output_dir", tmp_path)
    assert done.code == 1 and "cannot be written" in done.error
    assert contents(tmp_path) == before


def test_samples_per_label_without_balanced_warns(script, tmp_path):
    done = script(DATALOADER, *WORDS, "--output_dir", tmp_path, "--samples_per_label", "5")
    assert done.code == 0 and "--samples_per_label has no effect without --balanced" in done.err
    statistics = json.loads((tmp_path / ESCONV_FOLDER / "dataset_statistics.json").read_text())
    assert statistics["settings"]["samples_per_label"] is None


def test_an_error_while_staging_leaves_the_old_files(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), storage.atomic_update(tmp_path) as staging:
        (staging / "a").write_text("new")
        raise ZeroDivisionError
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize(
    "text", ["NA", "null", "", 'a "quoted", text', "1", "True", "two\nlines", "a\r\nb", "a\rb", "\r", "  ü 😀", "=1+1"]
)
def test_a_text_comes_back_from_the_csv_as_it_went(text, tmp_path):
    written = pd.DataFrame({"text": [text], "label_name": [text], "label": [3], "final_intensity": [np.nan]})
    text_csv.write(tmp_path / "x.csv", written)
    frame = text_csv.read_split(tmp_path / "x.csv")
    assert len(frame) == 1
    row = frame.loc[0]
    assert row["text"] == row["label_name"] == text and row["label"] == 3 and np.isnan(row["final_intensity"])


@pytest.mark.parametrize(
    ("name", "examples", "overlap"), [("SAD", [13500, 684, 1371], [1, 1, 0]), ("ESConv", [700, 128, 258], [0, 0, 0])]
)
def test_the_real_corpora_are_balanced(name, examples, overlap, corpora, script, tmp_path):
    """Two sentences of SAD are in two splits each, in another case."""
    source = corpora / {"SAD": "SAD_v1.zip", "ESConv": "ESConv.json"}[name]
    size = [] if name == "SAD" else ["--samples_per_label", "100"]
    words = ["--model_name", MINILM, "--dataset_name", name, "--data_source", source, "--output_dir", tmp_path]
    done = script(DATALOADER, *words, "--balanced", *size)
    assert done.code == 0, done.err
    folder = name if name == "SAD" else f"{name}-samples_per_label100"
    statistics = json.loads((tmp_path / folder / "balanced_dataset_statistics.json").read_text())
    assert [statistics[split]["examples"] for split in vocabulary.SPLITS] == examples
    assert list(statistics["split_overlap"].values()) == overlap
    train, *held_out = (
        text_csv.read_split(tmp_path / folder / "balanced_dataset_splits" / f"{split}_split.csv")
        for split in vocabulary.SPLITS
    )
    assert not set(train["text"]) & set(pd.concat(held_out)["text"]), "none is, to the letter"
