"""The intensity pair on the sample: its splits are the classification task's, its run's parts agree with each other."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import (
    BALANCED,
    BALANCED_ESCONV_FOLDER,
    DATALOADER,
    ESCONV_FOLDER,
    INTENSITY_DATALOADER,
    INTENSITY_MODEL,
    MINILM,
    MODEL,
    REPOSITORY,
    SAMPLE,
    Outcome,
    folder_of,
)
from matplotlib import pyplot as plt
from safetensors.torch import load_file
from transformers import AutoTokenizer

from artificial_pain.data import sources, text_csv
from artificial_pain.data.sources import read_corpus
from artificial_pain.evaluation import calibration as calibration_module
from artificial_pain.evaluation import classification
from artificial_pain.evaluation.calibration import Calibration
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.modeling.model import EmotionModel

pytestmark = pytest.mark.xdist_group("intensity_scripts")  # one worker makes its runs
FAST = ["--epochs", "2", "--batch_size", "16", "--learning_rate", "1e-3", "--head_learning_rate", "1e-3"]
FAST += ["--precision", "fp32"]  # whatever the machine has
FAST += ["--warmup_steps", "4"]
TARGETS = {"initial": "initial_intensity", "final": "final_intensity", "change": "intensity_change"}


@pytest.fixture(scope="module")
def words(encoder, dialogue_splits) -> list:
    return ["--model_name", encoder, "--dataset_name", "ESConv", *SAMPLE, "--output_dir", dialogue_splits]


@pytest.fixture(scope="module")
def runs(encoder, dialogue_splits) -> Path:
    """Where the folders of the runs on the unbalanced splits are."""
    return dialogue_splits / ESCONV_FOLDER / folder_of(encoder)


@pytest.fixture(scope="module")
def run_folder(words, encoder, dialogue_splits, command) -> Path:
    """A finished run of four heads, made by the script in a process of its own."""
    regressors = ["--regressor_init", "mean", "--regressor_outputs", "shared"]
    done = command(INTENSITY_MODEL, *words, *BALANCED, *FAST, *regressors)
    assert done.code == 0, done.err
    folder = (
        dialogue_splits / BALANCED_ESCONV_FOLDER / folder_of(encoder) / "accuracy-4-heads-intensity-change-balanced"
    )
    (folder / "stdout").write_text(done.out)
    return folder


@pytest.fixture(scope="module")
def trained(words, runs, command) -> Callable[..., tuple[Outcome, Path]]:
    """What a model script did with these flags, on the unbalanced splits, and its run's folder; done once."""

    @cache
    def run(path: Path, kind: str, *flags: str) -> tuple[Outcome, Path]:
        done = command(path, *words, *FAST, *flags, WANDB_MODE="disabled")
        assert done.code == 0, done.err
        return done, runs / kind

    return run


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")


def test_both_tasks_have_the_same_splits(dialogue_splits, encoder, script, tmp_path):
    words = ["--model_name", encoder, *SAMPLE, "--output_dir", tmp_path]
    script(DATALOADER, *words)
    script(DATALOADER, *words, *BALANCED)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len([path for path in made if path.suffix == ".arrow"]) == 6
    for path in [path for path in made if path.suffix != ".lock"]:
        assert (tmp_path / path).read_bytes() == (dialogue_splits / path).read_bytes(), path


def test_a_made_example_keeps_the_intensities_of_its_dialogue(dialogue_splits):
    corpus = read_corpus("ESConv", sources.locate("ESConv", "sample"))
    train = text_csv.read_split(dialogue_splits / BALANCED_ESCONV_FOLDER / "balanced_dataset_splits/train_split.csv")
    assert train["augmented"].sum() > 50 and train["initial_intensity"].isna().any()
    columns = ["label_name", *TARGETS.values()]
    pd.testing.assert_frame_equal(train[columns], corpus.loc[train.index, columns])


def test_the_folder_has_the_published_files(run_folder):
    per_split = ["confusion_matrix_{}.png", "intensities_{}.png", "predictions_{}.csv", "reliability_{}.png"]
    assert {path.name for path in run_folder.iterdir()} - {"stdout"} == {
        "README.md",
        "config.json",
        "evaluation_results.json",
        "learning_curves.csv",
        "learning_curves.png",
        "model.safetensors",
        "run.json",
        "tokenizer.json",
        "tokenizer_config.json",
        *(name.format(split) for name in per_split for split in ("validation", "test")),
    }
    for path in run_folder.glob("*.png"):
        assert len(np.unique(plt.imread(path)[:, :, 0])) > 50, "not blank"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_metrics_predictions_and_model_agree(split, run_folder, dialogue_splits):
    all_results = json.loads((run_folder / "evaluation_results.json").read_text())
    results = all_results[split]
    predictions = pd.read_csv(run_folder / f"predictions_{split}.csv", index_col="dialogue_idx")
    folder = dialogue_splits / BALANCED_ESCONV_FOLDER / "balanced_dataset_splits"
    texts = text_csv.read_split(folder / f"{split}_split.csv")
    columns = ["text", "label_name", *TARGETS.values()]
    pd.testing.assert_frame_equal(predictions[columns], texts[columns])

    model = EmotionModel.from_pretrained(run_folder)
    index = {name: i for i, name in model.config.id2label.items()}
    true, predicted = (predictions[column].map(index).to_numpy() for column in ("label_name", "predicted"))
    tokenizer = AutoTokenizer.from_pretrained(run_folder)
    batch = tokenizer(predictions["text"].tolist(), padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        output = model(**batch)
    assert output.logits.argmax(dim=1).tolist() == predicted.tolist()
    shares = predictions[[f"probability_{name}" for name in index]].to_numpy()
    assert classification.probabilities(output.logits.numpy()) == pytest.approx(shares, abs=1e-5)
    calibration = Calibration(**model.config.calibration)
    assert asdict(calibration) == all_results["calibration"]
    weights = calibration.probabilities(shares)
    assert predictions[[f"calibrated_probability_{name}" for name in index]].to_numpy() == pytest.approx(weights)
    read = {
        reading: predictions[[f"{target}{end}" for target in TARGETS.values()]] for reading, end in READINGS.items()
    }
    for reading, frame in read.items():
        initial, final, change = frame.to_numpy().T
        assert results["inconsistency"][reading] == pytest.approx(np.abs(final - initial - change).mean())
    if split == "validation":
        at_predicted, annotated = read["predicted_label"].to_numpy(), predictions[[*TARGETS.values()]].to_numpy()
        train_means = [all_results["train_mean"][name] for name in TARGETS]
        found = asdict(calibration_module.fit(shares, true, at_predicted, annotated, train_means))
        assert {name: pytest.approx(value, abs=1e-4) for name, value in found.items()} == asdict(calibration)
    expected = (output.intensities.numpy() * weights[:, None]).sum(axis=2)
    assert read["expected"].to_numpy() == pytest.approx(expected, abs=1e-5)
    for i, (name, target) in enumerate(TARGETS.items()):
        line = predictions[f"{target}_expected"] * calibration.slopes[i] + calibration.intercepts[i]
        assert predictions[f"calibrated_{target}_expected"].to_numpy() == pytest.approx(line.to_numpy())
        errors = (line - predictions[target]).abs()
        of_calibrated = results["calibrated_intensity"]["expected"][name]["micro"]
        assert of_calibrated["mae"] == pytest.approx(errors.mean())
        for emotion, reading, labels in [("true", "true_label", true), ("predicted", "predicted_label", predicted)]:
            at = predictions[f"{target}_at_{emotion}"]
            outputs = output.intensities.numpy()[np.arange(len(at)), i, labels]
            assert at.to_numpy() == pytest.approx(outputs, abs=1e-5)
            known = predictions[target].notna()
            assert not known.all() or split == "validation"
            scores = results["intensity"][reading][name]["micro"]
            assert scores["n"] == known.sum()
            assert scores["mae"] == pytest.approx((at - predictions[target])[known].abs().mean())
            assert scores["pearson"] == pytest.approx(at[known].corr(predictions[target][known]))
            of_anger = known & (predictions["label_name"] == "anger")
            assert results["intensity"][reading][name]["per_emotion"]["anger"]["n"] == of_anger.sum()


def test_regressors_are_shared_and_have_started_at_the_training_means(run_folder, dialogue_splits):
    """34 steps of 0.001 move a bias by 0.034 at most; torch's own biases are within 0.09 of 0"""
    folder = dialogue_splits / BALANCED_ESCONV_FOLDER / "balanced_dataset_splits"
    train = text_csv.read_split(folder / "train_split.csv")
    weights = load_file(run_folder / "model.safetensors")
    for target in TARGETS.values():
        known = train[train[target].notna()].groupby("label")[target]
        means = (known.sum() + 10 * train[target].mean()) / (known.count() + 10)
        assert weights[f"regressors.{target}.2.bias"].numpy() == pytest.approx(means.to_numpy(), abs=0.05)
        assert weights[f"regressors.{target}.2.weight"].shape == (1, 128)


def test_baselines_stand_beside_the_model(run_folder):
    baselines = json.loads((run_folder / "evaluation_results.json").read_text())["baselines"]
    assert baselines["majority"].keys() == baselines["tfidf_logistic_regression"].keys() >= {"macro_f1", "per_class"}
    for name in ("train_mean", "train_median", "train_mean_of_emotion", "tfidf_ridge", "frozen_ridge"):
        for reading in ("true_label", "predicted_label", "expected"):
            assert baselines[name]["intensity"][reading].keys() == TARGETS.keys()
    scores = baselines["train_mean"]["intensity"]["true_label"]["initial"]["micro"]
    assert scores["pearson"] is None and scores["p_value"] is None and scores["mae"] > 0


def test_the_console_ends_with_the_table_and_where_to_look(run_folder):
    out = (run_folder / "stdout").read_text()
    results = json.loads((run_folder / "evaluation_results.json").read_text())
    rows = [(re.split(" {2,}", line.strip())[0], line.split()) for line in out.splitlines()]
    lines, agreement = dict(reversed(rows)), dict(rows)  # of the first table, and of the second

    def numbers(scores: dict, metrics: tuple[str, str] = ("mae", "pearson")) -> list[str]:
        values = [one["micro"][metric] for one in scores.values() for metric in metrics]
        return ["n/a" if value is None else f"{value:.3f}".replace("-0.000", "0.000") for value in values]

    test = results["test"]
    secondary = ("r2", "spearman", "quadratic_weighted_kappa")
    for name, reading, prefix in [
        ("fine-tuned", "predicted_label", ""),
        ("expected over the emotions", "expected", ""),
        ("calibrated", "predicted_label", "calibrated_"),
    ]:
        read = test[f"{prefix}intensity"][reading]
        beside = [f"{test[f'{prefix}inconsistency'][reading]:.3f}", *numbers(read, secondary)]
        assert agreement[name][-10:] == beside and lines[name][-6:] == numbers(read)
        if reading == "predicted_label":
            names = ("negative_log_likelihood", "brier_score", "expected_calibration_error")
            assert agreement[name][-13:-10] == [f"{test[prefix + metric]:.3f}" for metric in names]
    for i, row in enumerate(("95 % interval, from", "to")):
        ends = [f"{test['intervals'][name][i]:.3f}" for name in ("macro_f1", "accuracy")]
        assert next(cells for name, cells in rows if name == row)[-8:-6] == ends
    emotion = [f"{test['macro_f1']:.3f}", f"{test['accuracy']:.3f}"]
    assert lines["fine-tuned"][1:] == emotion + numbers(test["intensity"]["predicted_label"])
    assert lines["read at the true emotion"][-6:] == numbers(test["intensity"]["true_label"])
    ridge = results["baselines"]["tfidf_ridge"]["intensity"]["predicted_label"]
    assert lines["TF-IDF + ridge regression"][-6:] == numbers(ridge)
    assert lines["training mean"][3::2] == ["n/a"] * 3 and "n/a: not defined" in out
    assert f"Run folder: {run_folder}" in out and "wandb sync" in out


ONE_HEAD = (INTENSITY_MODEL, "loss-1-heads-intensity-change", "--head_num", "1", "--model_metric", "loss")
FEWER = {heads: (INTENSITY_MODEL, f"accuracy-{heads}-heads-intensity-change", "--head_num", heads) for heads in "234"}
SINGLE = (MODEL, "loss-classification")


@pytest.mark.parametrize("flags", [ONE_HEAD, FEWER["2"], FEWER["3"]], ids="123")
def test_fewer_heads(flags, trained):
    done, folder = trained(*flags)
    heads = int(flags[3])
    results = json.loads((folder / "evaluation_results.json").read_text())
    names = list(TARGETS)[: heads - 1]
    assert list(results["test"].get("intensity", {}).get("true_label", {})) == names
    assert (
        list(results["baselines"].get("train_mean", {"intensity": {"true_label": {}}})["intensity"]["true_label"])
        == names
    )
    assert (folder / "intensities_test.png").exists() == (heads > 1)
    told = re.search("Figures: (.*)", done.out)[1].split(", ")
    assert len(told) == 2 + (heads > 1) and all(Path(path).exists() for path in told)
    assert EmotionModel.from_pretrained(folder).config.intensity_targets == [TARGETS[name] for name in names]
    assert [f"MAE {name}" in done.err for name in TARGETS] == [name in names for name in TARGETS]


def test_one_head_learns_what_the_classification_model_learns(trained):
    """The same seed and settings: the same weights and predictions, to the last bit."""
    (_, one), (_, other) = trained(*ONE_HEAD), trained(*SINGLE)
    ours, theirs = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name in ("evaluation_results.json", "predictions_test.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


WRONG_FLAGS = {
    "SAD": (INTENSITY_MODEL, ["--dataset_name", "SAD"], "choose from 'ESConv'"),
    "SAD's dialogues": (INTENSITY_DATALOADER, ["--dataset_name", "SAD"], "choose from 'ESConv'"),
    "SAD's labels": (INTENSITY_DATALOADER, ["--label_column", "top_label"], "unrecognized arguments"),
    "no heads": (INTENSITY_MODEL, ["--head_num", "0"], "choose from 1, 2, 3, 4"),
    "five heads": (INTENSITY_MODEL, ["--head_num", "5"], "choose from 1, 2, 3, 4"),
    "half a head": (INTENSITY_MODEL, ["--head_num", "1.5"], "invalid int value"),
    "another metric": (INTENSITY_MODEL, ["--model_metric", "f1"], "choose from 'accuracy', 'loss', 'macro_f1', 'mae'"),
    "an error of nothing": (INTENSITY_MODEL, ["--model_metric", "mae", "--head_num", "1"], "no intensity is predicted"),
    "a start of nothing": (INTENSITY_MODEL, ["--head_num", "1", "--regressor_init", "mean"], "there is no regressor"),
    "outputs of nothing": (INTENSITY_MODEL, ["--head_num", "1", "--regressor_outputs", "shared"], "no regressor"),
    "one head's error": (MODEL, ["--model_metric", "mae"], "choose from 'accuracy', 'loss', 'macro_f1'"),
    "warming up backwards": (
        INTENSITY_MODEL,
        ["--warmup_steps", "-1"],
        "'-1' is not a whole number from 0 to 1,000,000",
    ),
}


@pytest.mark.parametrize("fault", WRONG_FLAGS)
def test_wrong_flags_exit_2(fault, script):
    path, flags, told = WRONG_FLAGS[fault]
    done = script(path, *flags)
    assert done.code == 2 and told in done.error


def test_the_published_defaults(words, runs, script, no_wandb):
    """But for the number of epochs, which is that of --debug, and too few for the published warm-up."""
    done = script(INTENSITY_MODEL, *words, "--debug")
    assert done.code == 0 and "--warmup_steps 500, but the training has 96 steps" in done.err
    record = json.loads((runs / "accuracy-4-heads-intensity-change-debug" / "run.json").read_text())
    published = {"head_num": 4, "model_metric": "accuracy", "warmup_steps": 500, "batch_size": 6, "seed": 42}
    published |= {"learning_rate": 1e-5, "head_learning_rate": 3e-5, "patience": 50}
    assert record["arguments"].items() >= published.items() and record["epochs_trained"] == 3


def test_missing_splits_are_told_with_the_command_that_makes_them(encoder, script, tmp_path):
    done = script(INTENSITY_MODEL, "--model_name", encoder, *SAMPLE, "--output_dir", tmp_path)
    assert done.code == 1
    command = shlex.split(done.error.split(": run ")[1])[1:]
    assert command[0] == str(INTENSITY_DATALOADER)
    assert script(*command).code == 0
    assert (tmp_path / ESCONV_FOLDER / folder_of(encoder) / "tokenized_splits").is_dir()


def test_a_corpus_without_final_intensities_is_told(encoder, script, no_wandb, tmp_path):
    dialogues = json.loads((REPOSITORY / "artificial_pain/data/sample/ESConv.json").read_text())
    for dialogue in dialogues:
        dialogue["survey_score"]["seeker"].pop("final_emotion_intensity", None)
    (tmp_path / "ESConv.json").write_text(json.dumps(dialogues))
    words = ["--model_name", encoder, "--data_source", tmp_path / "ESConv.json", "--output_dir", tmp_path]
    assert script(INTENSITY_DATALOADER, *words).code == 0
    done = script(INTENSITY_MODEL, *words, *FAST)
    assert done.code == 1 and "no training example has a known final_intensity" in done.error
    done = script(INTENSITY_MODEL, *words, *FAST, "--head_num", "2")
    assert done.code == 0, "and what is there can be learned"


def compare(*folders: object) -> subprocess.CompletedProcess:
    words = [os.environ["WARM_PYTHON"], "-m", "artificial_pain.compare", *map(str, folders)]
    return subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)


def test_runs_of_both_tasks_in_one_table(run_folder, trained):
    """The single head of the unbalanced splits and the four heads of the balanced ones have the same test dialogues."""
    _, single = trained(*SINGLE)
    done = compare(single, run_folder)
    assert done.returncode == 0, done.stderr
    lines = {re.split(" {2,}", line.strip())[0]: line.split() for line in done.stdout.splitlines()}
    of_single = json.loads((single / "evaluation_results.json").read_text())["test"]
    of_four = json.loads((run_folder / "evaluation_results.json").read_text())["test"]
    assert "56 test examples" in done.stdout
    assert lines["loss-classification"][1:] == [f"{of_single[name]:.3f}" for name in ("macro_f1", "accuracy")]
    assert lines["accuracy-4-heads-balanced"][1] == f"{of_four['macro_f1']:.3f}"
    assert len(lines["accuracy-4-heads-balanced"]) == 9 and "training mean" in lines


def test_baselines_that_differ_are_told_apart(run_folder, trained):
    """Those of the balanced training split are not those of the unbalanced one; the majority is the same."""
    _, unbalanced = trained(*FEWER["4"])
    out = compare(run_folder, unbalanced).stdout
    swapped = compare(unbalanced, run_folder).stdout
    assert sorted(out.splitlines()) == sorted(swapped.splitlines()), "the same rows, in another order"
    lines = {re.split(" {2,}", line.strip())[0]: line.split() for line in out.splitlines()}
    assert "majority class" in lines and "training mean" not in lines
    for folder, name in [(run_folder, "accuracy-4-heads-balanced"), (unbalanced, "accuracy-4-heads")]:
        baselines = json.loads((folder / "evaluation_results.json").read_text())["baselines"]
        mae = baselines["tfidf_ridge"]["intensity"]["predicted_label"]["change"]["micro"]["mae"]
        assert lines[f"TF-IDF + ridge regression, {name}"][-2] == f"{mae:.3f}"


def test_runs_of_fewer_heads_have_the_same_baselines(trained):
    folders = [trained(*FEWER[heads])[1] for heads in "24"]
    lines = {re.split(" {2,}", line.strip())[0]: line.split() for line in compare(*folders).stdout.splitlines()}
    assert len(lines["accuracy-2-heads"]) == 5 and len(lines["accuracy-4-heads"]) == 9
    assert len(lines["TF-IDF + ridge regression"]) == 4 + 6, "one row, of all targets"


def test_runs_of_the_same_name_are_told_apart(run_folder, tmp_path):
    other = tmp_path / "encoder-b" / run_folder.name
    shutil.copytree(run_folder, other)
    out = compare(run_folder, other, other).stdout
    assert f"{run_folder.parent.name}/accuracy-4-heads-balanced" in out
    assert out.count("encoder-b/accuracy-4-heads-balanced") == 1
    seed = shutil.copytree(run_folder, tmp_path / f"{run_folder.name}-seed3")
    assert "accuracy-4-heads-balanced-seed3" in compare(run_folder, seed).stdout


def test_runs_that_cannot_be_compared_are_told(run_folder, tmp_path):
    def copy(name: str) -> Path:
        return shutil.copytree(run_folder, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))

    other, empty, no_object, no_json, no_csv = map(copy, ["other", "empty", "no_object", "no_json", "no_csv"])
    lines = (other / "predictions_test.csv").read_text().splitlines()
    lines[1] = lines[1].replace(" ", "  ", 1)  # in the text
    (other / "predictions_test.csv").write_text("\n".join(lines))
    for folder, content in [(empty, "{}"), (no_object, "[]"), (no_json, "{")]:
        (folder / "evaluation_results.json").write_text(content)
    (no_csv / "predictions_test.csv").write_text("")
    cases = {
        other: "tested on different examples",
        tmp_path: "has no finished run: give the folder",
        run_folder / "run.json": "has no finished run: give the folder",
    }
    cases |= dict.fromkeys([empty, no_object, no_json, no_csv], "is not a complete run")
    for folder, told in cases.items():
        done = compare(run_folder, folder)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and told in done.stderr, folder


def test_the_real_esconv(corpora, script, no_wandb, tmp_path):
    """Of 16 dialogues a label the first 16 tokens, for one epoch: that it runs, on all test dialogues."""
    words = ["--model_name", MINILM, "--data_source", corpora / "ESConv.json", "--output_dir", tmp_path]
    words += ["--max_length", "16", "--balanced", "--samples_per_label", "16"]
    assert script(INTENSITY_DATALOADER, *words).code == 0
    rates = ["--batch_size", "16", "--learning_rate", "1e-4", "--head_learning_rate", "1e-3", "--warmup_steps", "0"]
    assert script(INTENSITY_MODEL, *words, "--epochs", "1", *rates).code == 0
    corpus = tmp_path / "ESConv-max_length16-samples_per_label16"
    run = corpus / "all-MiniLM-L6-v2" / "accuracy-4-heads-intensity-change-balanced"
    test = json.loads((run / "evaluation_results.json").read_text())["test"]
    assert test["n"] == 258
    for name, scores in test["intensity"]["predicted_label"].items():
        assert scores["micro"]["n"] == (258 if name == "initial" else 232) and scores["micro"]["mae"] < 5
        assert scores["macro"]["emotions"] == 7
