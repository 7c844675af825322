"""A study of the sample with a tiny encoder: its runs, its failures, and what happens when it is given again."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ESCONV_FOLDER, REPOSITORY, SAD_FOLDER, SAD_SAMPLE, STUDY, folder_of, module

from artificial_pain.storage import TASK_FOLDERS

pytestmark = pytest.mark.xdist_group("study")


def test_study_trains_all_cells_and_seeds(studied, encoder):
    folder = studied.root / ESCONV_FOLDER / folder_of(encoder)
    runs = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/run.json")}
    kinds = ["loss-classification", "accuracy-4-heads-intensity-change"]
    assert runs.keys() == {kind + seed for kind in kinds for seed in ("", "-seed43")}
    for name, record in runs.items():
        assert record["seed"] == (43 if "seed43" in name else 42) and record["arguments"]["batch_size"] == 16
        assert record["data"]["data_source"] == "sample"
    assert studied.done.out.splitlines() == ["4 runs: 4 done, 0 failed"]
    progress = [line for line in studied.done.err.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in progress] == [f"[{n}/4" for n in (1, 2, 3, 4)]
    epochs = [line.split()[1] for line in studied.done.err.splitlines() if line.startswith("epoch ")]
    assert epochs == ["1", "2"] * 4, "the lines of the trainings are shown, each once"
    assert "3 left, about 0" in progress[0] and "0 left, about 00:00" in progress[3]


def test_study_given_again_evaluates_finished_runs_and_lists_failures(studied, study_words, encoder, command, tmp_path):
    """In a copy in which the record of one of two runs is damaged"""
    root = shutil.copytree(studied.root, tmp_path / "runs")
    runs = root / ESCONV_FOLDER / folder_of(encoder)
    damaged = runs / "loss-classification-seed43" / "run.json"
    damaged.write_text("{")
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/model.safetensors")}
    words = [root if word == studied.root else word for word in study_words]
    done = module(command, STUDY, *words, "--task", "classification")
    assert done.code == 1 and "1 of the commands failed" in done.error
    lines = done.out.splitlines()
    assert lines[0] == "2 runs: 1 done, 1 failed" and len(lines) == 3
    assert lines[1].startswith("failed: ") and "--seed 43" in lines[1] and f"{damaged}: cannot be read" in lines[2]
    assert "0 left, about ?" in done.err, "an evaluation is not taken for a training"
    assert before == {path: path.stat().st_mtime_ns for path in runs.glob("*/model.safetensors")}
    (log,) = (root / "study").glob("classification-*seed42.log")
    output = log.read_text()
    assert "the run is finished, and is evaluated" in output and output.count("Run folder: ") == 2, "both are logged"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model_flags", "--epochs 3 --seed 7"], "--model_flags: the study sets --seed"),
        (["--model_flags=--output_dir=x"], "--model_flags: the study sets --output_dir"),
        (["--model_flags=--data_source sample"], "--model_flags: the study sets --data_source"),
        (["--data_source", "mine.csv"], "a file is one corpus: say which, with --dataset_name"),
        (["--model_flags=--push_to_hub me/mine"], "--push_to_hub would upload"),
        (["--task", "intensity", "--dataset_name", "SAD"], "ESConv alone has intensities"),
        (["--dataset_name", "SAD", "--folds", "2"], "--fold K --folds N: give both"),
        (["--dataset_name", "SAD", "--split", "imhi", "--data_source", "sample"], "not of the sample"),
        (["--dataset_name", "ESConv", "--split", "imhi"], "--split is for --dataset_name SAD alone"),
    ],
)
def test_flags_that_the_study_sets_are_refused(words, message, script):
    done = script(REPOSITORY / "artificial_pain" / "study.py", *words)
    assert done.code == 2 and message in done.error


def test_failed_dataloader_is_listed_with_command_and_reason(encoder, command, tmp_path):
    words = ["--model_name", encoder, "--dataset_name", "SAD", "--balance", "balanced", "--seeds", "1", "2"]
    words += ["--output_dir", tmp_path / "out", "--data_source", tmp_path / "SAD.zip"]
    done = module(command, STUDY, *words)
    assert done.code == 1 and "1 of the commands failed" in done.error
    lines = done.out.splitlines()
    assert lines[0] == "2 runs: 0 done, 2 failed"
    script = str(TASK_FOLDERS["classification"] / "classification-dataloader.py")
    assert lines[1].startswith("failed: ") and script in lines[1] and "--balanced" in shlex.split(lines[1])
    assert "SAD.zip: " in lines[2] and ".log)" in lines[2]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM")
def test_sigterm_stops_script_and_study_with_a_checkpoint(encoder, clean_environment, tmp_path):
    """SIGTERM while the first run trains: its checkpoint is there, and the same command goes on from it"""
    words = ["--model_name", encoder, *SAD_SAMPLE, "--balance", "unbalanced", "--output_dir", tmp_path]
    flags = "--epochs 40 --batch_size 16 --learning_rate 1e-3 --precision fp32"
    words += ["--model_flags", flags]
    environment = {**clean_environment, "PYTHONPATH": str(REPOSITORY), "WANDB_MODE": "disabled"}
    script = [os.environ["WARM_PYTHON"], "-m", "artificial_pain.study"]
    study = subprocess.Popen([*script, *map(str, words)], env=environment, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / SAD_FOLDER / folder_of(encoder) / "loss-classification"
    until = time.monotonic() + 120
    while not list(folder.glob("checkpoints/checkpoint-*")) and time.monotonic() < until:
        time.sleep(0.1)
    study.send_signal(signal.SIGTERM)
    _, err = study.communicate(timeout=120)
    assert study.returncode == 143
    assert err.splitlines()[-1].endswith("stopped: give the same command to go on")
    log = (tmp_path / "study").glob("*seed42.log")
    assert "to go on: " in next(log).read_text() and list(folder.glob("checkpoints/checkpoint-*"))


def test_script_flags_are_unknown_to_the_study(command, encoder):
    done = module(command, STUDY, "--model_name", encoder, "--epochs", "3")
    assert done.code == 2 and "--epochs" in done.error
