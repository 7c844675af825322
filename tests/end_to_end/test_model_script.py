"""The model script on the sample with a tiny encoder: the run's folder, and that its parts agree with each other."""

import json
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path

import datasets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import (
    BALANCED,
    BALANCED_SAD_FOLDER,
    DATALOADER,
    MINILM,
    MODEL,
    REPOSITORY,
    SAD_FOLDER,
    SAD_SAMPLE,
    folder_of,
)
from transformers import AutoTokenizer

from artificial_pain import distributed
from artificial_pain.data import sources
from artificial_pain.data.sources import read_corpus
from artificial_pain.data.tokenization import METADATA_FILE, fingerprint
from artificial_pain.evaluation import classification
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.storage import Layout

pytestmark = pytest.mark.xdist_group("model_script")  # one worker makes its runs
FAST = ["--epochs", "2", "--batch_size", "16", "--learning_rate", "1e-3", "--head_learning_rate", "1e-3"]
FAST += ["--precision", "fp32"]  # whatever the machine has


@pytest.fixture(scope="module")
def words(encoder, sample_splits) -> list:
    return ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits]


@pytest.fixture(scope="module")
def runs(encoder, sample_splits) -> Path:
    """Where the folders of the runs on the unbalanced splits are."""
    return sample_splits / SAD_FOLDER / folder_of(encoder)


@pytest.fixture(scope="module")
def run_folder(words, encoder, sample_splits, command) -> Path:
    """A finished run of the balanced splits, made by the script in a process of its own."""
    done = command(MODEL, *words, *BALANCED, *FAST)
    assert done.code == 0, done.err
    folder = sample_splits / BALANCED_SAD_FOLDER / folder_of(encoder) / "loss-classification-balanced"
    (folder / "stdout").write_text(done.out)
    return folder


def test_the_folder_has_the_published_files(run_folder):
    assert {path.name for path in run_folder.iterdir()} - {"stdout"} == {
        "README.md",
        "config.json",
        "confusion_matrix_test.png",
        "confusion_matrix_validation.png",
        "evaluation_results.json",
        "learning_curves.csv",
        "learning_curves.png",
        "model.safetensors",
        "predictions_test.csv",
        "predictions_validation.csv",
        "reliability_test.png",
        "reliability_validation.png",
        "run.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_console_ends_with_the_table_and_where_to_look(run_folder):
    out = (run_folder / "stdout").read_text()
    results = json.loads((run_folder / "evaluation_results.json").read_text())
    lines = {line.split("  ")[0]: line for line in reversed(out.splitlines())}  # the first of each name
    for name, row in [("fine-tuned", results["test"]), ("majority class", results["baselines"]["majority"])]:
        assert lines[name].split()[-2:] == [f"{row['macro_f1']:.3f}", f"{row['accuracy']:.3f}"]
    assert f"Figures: {run_folder / 'confusion_matrix_test.png'}" in out
    program, *_, folder = shlex.split(out.split("(wandb login): ")[1])
    assert shutil.which(program) and list(Path(folder).glob("run-*.wandb")), "what the printed command would upload"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_metrics_predictions_and_model_agree(split, run_folder, sample_splits):
    results = json.loads((run_folder / "evaluation_results.json").read_text())[split]
    predictions = pd.read_csv(run_folder / f"predictions_{split}.csv", index_col="sentence_idx")
    folder = sample_splits / BALANCED_SAD_FOLDER / "balanced_dataset_splits"
    texts = pd.read_csv(folder / f"{split}_split.csv", index_col="sentence_idx")
    pd.testing.assert_frame_equal(predictions[["text", "label_name"]], texts[["text", "label_name"]])
    model = EmotionModel.from_pretrained(run_folder)
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    columns = [f"probability_{name}" for name in names]
    assert predictions["predicted"].tolist() == [names[i] for i in predictions[columns].to_numpy().argmax(axis=1)]

    index = {name: i for i, name in enumerate(names)}
    true, predicted = (predictions[column].map(index).to_numpy() for column in ("label_name", "predicted"))
    shares = {"": predictions[columns].to_numpy()}
    shares["calibrated_"] = predictions[[f"calibrated_{column}" for column in columns]].to_numpy()
    by_source = results.pop("by_source", None)
    assert classification.classification(true, predicted, names, shares, intervals=split == "test") == results
    right = float((true == predicted).mean())
    assert split == "validation" or (by_source["synthetic"]["accuracy"], by_source["synthetic"]["n"]) == (right, 81)
    powers = shares[""] ** (1 / model.config.calibration["temperature"])
    assert shares["calibrated_"] == pytest.approx(powers / powers.sum(axis=1, keepdims=True))

    tokenizer = AutoTokenizer.from_pretrained(run_folder)
    batch = tokenizer(predictions["text"].tolist(), padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    assert classification.probabilities(logits) == pytest.approx(shares[""], abs=1e-5)


def test_the_figure_is_a_picture(run_folder):
    image = plt.imread(run_folder / "confusion_matrix_test.png")
    assert min(image.shape[:2]) > 600
    assert len(np.unique(image[:, :, 0])) > 50, "not blank"


def test_run_json_says_what_it_takes_to_repeat_the_run(run_folder, encoder):
    record = json.loads((run_folder / "run.json").read_text())
    sidecar = json.loads((run_folder.parent / "balanced_tokenized_splits" / "tokenization.json").read_text())
    assert record["arguments"]["learning_rate"] == 1e-3 and record["arguments"]["balanced"] is True
    assert record["command"].startswith("python ") and "--balanced" in record["command"]
    assert record["data"]["fingerprint"] == sidecar["fingerprint"] and record["data"]["data_source"] == "sample"
    assert record["encoder"] == {"name": str(encoder), "revision": None}
    assert record["versions"]["torch"] == version("torch")  # of the package: torch's own has the build behind it
    assert record["device"]["type"] == distributed.device().type
    assert record["seed"] == 42 and record["epochs_trained"] == 2
    assert record["wandb"]["name"] == f"loss_mental-bert-base-uncased_{BALANCED_SAD_FOLDER}_balanced_classification"
    assert record["wandb"]["project"] == "artificial-pain" and record["wandb"]["mode"] == "offline"
    if (REPOSITORY / ".git").exists():
        assert len(record["git"]["commit"]) == 40


def test_the_same_seed_gives_the_same_to_the_last_digit(words, run_folder, script, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    before = {name: (run_folder / name).read_bytes() for name in ("evaluation_results.json", "predictions_test.csv")}
    for again in ([], ["--restart"]):  # evaluated only, and trained anew
        assert script(MODEL, *words, *BALANCED, *FAST, *again).code == 0
        assert {name: (run_folder / name).read_bytes() for name in before} == before
    assert script(MODEL, *words, *BALANCED, *FAST, "--seed", "7").code == 0
    other = run_folder.with_name("loss-classification-balanced-seed7") / "predictions_test.csv"
    assert other.read_bytes() != before["predictions_test.csv"]


def test_run_of_an_earlier_version_is_not_read(words, run_folder, script, monkeypatch, tmp_path):
    """Its run.json has no format; one line, with the flag that trains it anew"""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    root = shutil.copytree(run_folder.parents[2], tmp_path / "root")
    path = root / run_folder.relative_to(run_folder.parents[2]) / "run.json"
    record = json.loads(path.read_text())
    del record["format"]
    path.write_text(json.dumps(record))
    done = script(MODEL, *words[:-1], root, *BALANCED, *FAST)
    assert done.code == 1
    assert (
        f"{path}: was written by an earlier version: train the run anew, by its model script with --restart"
        in done.error
    )


def test_debug_is_3_epochs_in_a_folder_of_its_own(words, runs, script, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert script(MODEL, *words, "--debug", "--batch_size", "16").code == 0
    record = json.loads((runs / "loss-classification-debug" / "run.json").read_text())
    assert record["epochs_trained"] == 3


WRONG_FLAGS = {
    "debug and epochs": (["--debug", "--epochs", "5"], "not allowed with argument"),
    "no batch": (["--batch_size", "0"], "'0' is not a whole number from 1 to 1,000,000"),
    "too large a batch": (["--batch_size", "9" * 30], "is not a whole number from 1 to 1,000,000"),
    "a rate of nothing": (["--learning_rate", "0"], "'0' is not a number above 0"),
    "no number": (["--head_learning_rate", "nan"], "'nan' is not a number above 0"),
    "fp16 without a GPU": (["--precision", "fp16"], "--precision fp16 needs an NVIDIA or AMD GPU"),
}


@pytest.mark.parametrize("fault", WRONG_FLAGS)
def test_wrong_flags_exit_2(fault, words, script):
    if fault == "fp16 without a GPU" and distributed.device().type == "cuda":
        pytest.skip("there is a GPU here")
    flags, told = WRONG_FLAGS[fault]
    done = script(MODEL, *words, *flags)
    assert done.code == 2 and told in done.error


def test_bf16_on_a_cpu(words, runs, script, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    done = script(MODEL, *words, "--epochs", "1", "--batch_size", "32", "--seed", "8", "--precision", "bf16")
    assert done.code == 0, done.err
    record = json.loads((runs / "loss-classification-seed8" / "run.json").read_text())
    assert record["precision"] == "bf16"


def test_the_cuda_build_without_a_driver_trains_on_the_cpu(words, runs, script, monkeypatch, cuda_build_without_driver):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    done = script(MODEL, *words, "--epochs", "1", "--batch_size", "64", "--seed", "10")
    assert done.code == 0, done.err
    record = json.loads((runs / "loss-classification-seed10" / "run.json").read_text())
    assert record["device"]["type"] == "cpu" and record["precision"] in ("bf16", "fp32")


def test_a_training_that_diverges_is_told(words, runs, script, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    rates = ["--learning_rate", "1e30", "--head_learning_rate", "1e30"]
    done = script(MODEL, *words, "--epochs", "1", "--seed", "9", *rates)
    assert done.code == 1 and "not finite" in done.error and "--learning_rate" in done.error
    assert not (runs / "loss-classification-seed9" / "run.json").exists()


def test_labels_that_look_like_numbers_or_formulas(encoder, script, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    labels = ["1", "True", "NA", r"$\frac$", 'a "b", c/d', "\u00fc \U0001f600"]
    rows = [(f"text {i} of \r it", label) for i in range(20) for label in labels]
    pd.DataFrame(rows, columns=["sentence", "original_label"]).to_excel(tmp_path / "odd.xlsx", index=False)
    words = ["--model_name", encoder, "--dataset_name", "SAD", "--data_source", tmp_path / "odd.xlsx"]
    words += ["--output_dir", tmp_path]
    assert script(DATALOADER, *words).code == 0
    done = script(MODEL, *words, "--epochs", "1", "--batch_size", "32")
    assert done.code == 0, done.err
    assert "W&B failed" not in done.err and "epoch    1" in done.err and "nan" not in done.err
    results = tmp_path / "odd" / folder_of(encoder) / "loss-classification" / "evaluation_results.json"
    assert set(json.loads(results.read_text())["test"]["per_class"]) == set(labels)


def test_missing_splits_are_told_with_the_command_that_makes_them(encoder, script, tmp_path):
    words = ["--model_name", encoder, *SAD_SAMPLE, *BALANCED, "--output_dir", tmp_path]
    done = script(MODEL, *words)
    assert done.code == 1
    command = shlex.split(done.error.split(": run ")[1])[1:]
    assert command[0] == str(DATALOADER)
    assert script(*command).code == 0
    assert (tmp_path / BALANCED_SAD_FOLDER / folder_of(encoder) / "balanced_tokenized_splits").is_dir()


def test_splits_of_another_encoder_are_told(encoder, tiny, script, tmp_path):
    """Another encoder that was put in the place of the first, so that its splits are looked for in the same place."""
    place = shutil.copytree(encoder, tmp_path / "encoder")
    words = ["--model_name", place, *SAD_SAMPLE, "--output_dir", tmp_path]
    assert script(DATALOADER, *words).code == 0
    shutil.rmtree(place)
    shutil.copytree(tiny["answerdotai/ModernBERT-base"], place)
    done = script(MODEL, *words)
    assert done.code == 1 and "classification-dataloader.py" in done.error
    assert f"tokenized_splits: {place} has another tokenizer now: run " in done.error


def test_a_run_whose_tokenizer_has_changed_is_one_of_other_settings(encoder, script, monkeypatch, tmp_path):
    """Its word embeddings, of which a checkpoint has the rows of the texts, would be those of other words."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    place = shutil.copytree(encoder, tmp_path / "encoder")
    words = ["--model_name", place, *SAD_SAMPLE, "--output_dir", tmp_path]
    training = [*words, "--epochs", "1", "--batch_size", "64"]
    assert script(DATALOADER, *words).code == 0 and script(MODEL, *training).code == 0
    *before, one, other = (place / "vocab.txt").read_text().splitlines()
    (place / "vocab.txt").write_text("\n".join([*before, other, one]))
    assert script(DATALOADER, *words).code == 0
    done = script(MODEL, *training)
    assert done.code == 1 and "a finished run of other settings is there (another tokenizer)" in done.error


def test_a_reloaded_model_cuts_texts_where_the_training_did(encoder, script, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = ["--model_name", encoder, *SAD_SAMPLE, "--max_length", "9", "--output_dir", tmp_path]
    assert script(DATALOADER, *words).code == 0
    assert script(MODEL, *words, "--epochs", "1", "--batch_size", "64").code == 0
    run = tmp_path / f"{SAD_FOLDER}-max_length9" / folder_of(encoder) / "loss-classification"
    tokenizer = AutoTokenizer.from_pretrained(run)
    assert len(tokenizer("one two three four five six seven eight nine ten", truncation=True)["input_ids"]) == 9


@pytest.mark.fault("damaged splits", "nothing is trained. One line has the command that makes them again")
def test_damaged_splits_are_told(encoder, sample_splits, script, tmp_path):
    """Their files cut, emptied, removed, of another shape, or with one token exchanged for another."""
    corpus = tmp_path / SAD_FOLDER
    shutil.copytree(sample_splits / SAD_FOLDER, corpus, ignore=shutil.ignore_patterns("*loss-*"))
    folder = corpus / folder_of(encoder) / "tokenized_splits"
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", tmp_path]

    def refused(path: Path, content: bytes | None) -> None:
        before = path.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)
        done = script(MODEL, *words)
        assert done.code == 1 and "classification-dataloader.py" in done.error, path
        path.write_bytes(before)

    arrow, state, sidecar = (
        folder / name for name in ("train/data-00000-of-00001.arrow", "test/state.json", "tokenization.json")
    )
    content, first = arrow.read_bytes(), datasets.load_from_disk(folder)["train"][0]["input_ids"]
    tokens, exchanged = (np.array(ids, dtype=np.int32).tobytes() for ids in (first, [*first[:1], *first[:0:-1]]))
    assert content.count(tokens) == 1 and tokens != exchanged
    refused(arrow, content.replace(tokens, exchanged))
    for path in (arrow, state, sidecar):
        for damage in (path.read_bytes()[:-50], b"", None):
            refused(path, damage)
    metadata = json.loads(sidecar.read_text())
    del metadata["label_counts"]
    for damage in (b"{}", b"[]", b"null", json.dumps(metadata).encode()):
        refused(sidecar, damage)
    sidecar.rename(tmp_path / "kept")
    sidecar.mkdir()
    done = script(MODEL, *words)
    assert done.code == 1 and "classification-dataloader.py" in done.error, "a folder in place of the file"
    sidecar.rmdir()
    (tmp_path / "kept").rename(sidecar)
    (corpus / "dataset_statistics.json").write_text("[]")
    refused(sidecar, None)


def test_splits_of_an_earlier_version_are_refused_with_the_command_that_makes_them_anew(
    encoder, script, monkeypatch, tmp_path
):
    """Splits that are whole, with the column of augmented examples by its former name"""
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", tmp_path]
    script(DATALOADER, *words, "--seed", "3")
    words += ["--data_seed", "3"]
    layout = Layout(tmp_path, "SAD", f"{SAD_FOLDER}-seed3", folder_of(encoder), balanced=False)
    folder = layout.corpus / "dataset_splits"
    for path in folder.iterdir():
        path.write_text(path.read_text().replace('"augmented"', '"made"', 1))
    metadata = layout.corpus / layout.tokenized_splits / METADATA_FILE
    earlier = {**json.loads(metadata.read_text()), "fingerprint": fingerprint(layout.corpus, layout)}
    metadata.write_text(json.dumps(earlier))
    done = script(MODEL, *words)
    assert done.code == 1 and f"{folder}: made by an earlier version of the dataloader: run " in done.error
    command = shlex.split(done.error.split(": run ")[1])[1:]
    assert script(*command).code == 0 and "--seed 3" in done.error
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert script(MODEL, *words, "--epochs", "1", "--batch_size", "64").code == 0


def test_text_splits_that_were_replaced_since_are_told(encoder, tiny, script, tmp_path):
    """The dataloader for a second encoder, of a file that was changed, replaces the texts of the first one's tokens."""
    file = tmp_path / "mine.csv"
    common = ["--dataset_name", "SAD", "--data_source", file, "--label_column", "kind", "--output_dir", tmp_path]
    sentences = read_corpus("SAD", sources.locate("SAD", "sample"), "top_label").rename(columns={"label_name": "kind"})
    sentences.to_csv(file, index=False)
    script(DATALOADER, "--model_name", encoder, *common)
    sentences[5:].to_csv(file, index=False)
    script(DATALOADER, "--model_name", tiny["answerdotai/ModernBERT-base"], *common)
    done = script(MODEL, "--model_name", encoder, *common)
    assert done.code == 1 and "which were replaced since" in done.error
    command = shlex.split(done.error.split(": run ")[1])[1:]
    assert script(*command).code == 0, "the command as it stands, with the settings of the texts that are there"
    assert script(MODEL, "--model_name", encoder, *common, "--epochs", "1", "--batch_size", "64").code == 0
    other = ["--model_name", tiny["answerdotai/ModernBERT-base"], *common, "--epochs", "1", "--batch_size", "64"]
    assert script(MODEL, *other).code == 0, "and those of the second encoder still fit"


def test_the_real_sad_is_learned_above_its_baselines(corpora, script, monkeypatch, tmp_path):
    """An epoch of 50 of 1,500 sentences a label: far above the majority is all that so little can ask."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    published = sources.locate("SAD", str(corpora / "SAD_v1.zip"))
    sentences = read_corpus("SAD", published, "original_label").sample(1500, random_state=0)
    sentences = sentences.rename(columns={"text": "sentence", "label_name": "original_label"})
    sentences.to_excel(tmp_path / "some.xlsx", index=False)
    common = ["--model_name", MINILM, "--dataset_name", "SAD", "--balanced", "--output_dir", tmp_path]
    common += ["--data_source", tmp_path / "some.xlsx", "--samples_per_label", "50"]
    assert script(DATALOADER, *common).code == 0
    flags = ["--epochs", "1", "--batch_size", "8", "--pooling", "mean"]
    assert script(MODEL, *common, *flags, "--learning_rate", "2e-4", "--head_learning_rate", "1e-3").code == 0
    run = tmp_path / "some-samples_per_label50" / "all-MiniLM-L6-v2" / "loss-classification-balanced"
    results = json.loads((run / "evaluation_results.json").read_text())
    assert results["test"]["n"] == np.sum(results["test"]["confusion_matrix"]) == 301
    assert results["test"]["macro_f1"] > results["baselines"]["majority"]["macro_f1"] + 0.3
