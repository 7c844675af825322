"""A study of the sample with a tiny encoder, as a user would: the runs, and what is done when it is run again."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPOSITORY, STUDY, module

from artificial_pain import cli, study

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = [sys.executable, "-m", "artificial_pain.study"]


def test_a_study_makes_the_runs_of_all_parts_and_seeds(studied):
    folder = studied.root / "ESConv" / "mental-bert-base-uncased"
    runs = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/run.json")}
    kinds = ["loss-classification", "accuracy-4-heads-intensity-change"]
    assert runs.keys() == {kind + seed for kind in kinds for seed in ("", "-seed43")}
    for name, record in runs.items():
        assert record["seed"] == (43 if "seed43" in name else 42) and record["arguments"]["batch_size"] == 16
        assert record["data"]["data_source"] == "sample"
    assert studied.done.out.splitlines() == ["4 runs: 4 trained, 0 finished before, 0 not done"]
    progress = [line for line in studied.done.err.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in progress] == [f"[{n}/4" for n in (1, 2, 3, 4)]
    assert "3 left, about 0" in progress[0] and "0 left, about 00:00" in progress[3]


def test_what_is_finished_is_skipped_and_what_fails_is_listed(studied, study_words, command):
    """A third seed of one task alone: two runs are there; the third has a flag that the model script refuses"""
    seeds = study_words.index("--seeds")
    words = [*study_words[: seeds + 1], "41", *study_words[seeds + 1 :], "--task", "classification"]
    before = sorted((path, path.stat().st_mtime_ns) for path in studied.root.rglob("run.json"))
    words[words.index("--model_flags") + 1] += " --epochs 0"
    done = module(command, STUDY, *words)
    assert done.code == 1 and "3 commands failed" in done.error
    assert done.out.startswith("3 runs: 0 trained, 0 finished before, 3 not done")

    words[words.index("--model_flags") + 1] = study_words[study_words.index("--model_flags") + 1]
    words[seeds + 1] = "42"
    done = module(command, STUDY, *words)
    assert done.code == 0 and done.out.splitlines() == ["3 runs: 0 trained, 3 finished before, 0 not done"]
    assert sorted((path, path.stat().st_mtime_ns) for path in studied.root.rglob("run.json")) == before


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"command": "python \\"", "data": {}}', '{"command": "python x", "data": null}']
)
def test_a_damaged_record_is_of_no_finished_run(content, studied, study_words, monkeypatch, tmp_path):
    """The script is called, which tells of it; the other runs count as before"""
    root = shutil.copytree(studied.root, tmp_path / "runs", ignore=shutil.ignore_patterns("*.safetensors"))
    (root / "ESConv" / "mental-bert-base-uncased" / "loss-classification" / "run.json").write_text(content)
    monkeypatch.setattr(sys, "argv", ["study", *map(str, study_words), "--task", "classification"])
    made = study.Study(study.arguments())
    made.args.output_dir = root
    (splits,), flags = made.grid, made.args.model_flags
    words = [["--output_dir", str(studied.root), "--seed", seed, *flags] for seed in ("42", "43")]
    start = made._command(splits, "model")[:-2]
    assert [made._is_finished(splits, [*start, *of_seed]) for of_seed in words] == [False, True]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model_flags", "--epochs 3 --seed 7"], "--model_flags: --seed is what the study gives"),
        (["--dataloader_flags=--output_dir=x"], "--dataloader_flags: --output_dir is what the study gives"),
        (["--model_flags=--push_to_hub me/mine"], "--push_to_hub would upload"),
        (["--task", "intensity", "--dataset_name", "SAD"], "ESConv alone has intensities"),
    ],
)
def test_flags_that_cannot_be_are_wrong(words, told, script):
    done = script(REPOSITORY / "artificial_pain" / "study.py", *words)
    assert done.code == 2 and told in done.error


def test_splits_that_cannot_be_made_fail_with_the_command_and_the_reason(encoder, command, tmp_path):
    words = [
        "--model_name",
        encoder,
        "--dataset_name",
        "SAD",
        "--balance",
        "balanced",
        "--output_dir",
        tmp_path / "out",
    ]
    done = module(
        command, STUDY, *words, "--seeds", "1", "2", "--dataloader_flags", f"--data_source {tmp_path}/SAD.zip"
    )
    assert done.code == 1 and "1 commands failed" in done.error
    told = done.out.splitlines()
    assert told[0] == "2 runs: 0 trained, 0 finished before, 2 not done"
    script = str(cli.TASK_FOLDERS["classification"] / "classification-dataloader.py")
    assert told[1].startswith("failed: ") and script in told[1] and "--balanced" in shlex.split(told[1])
    assert "SAD.zip: " in told[2] and ".log)" in told[2]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM")
def test_a_study_that_is_stopped_stops_its_script_and_goes_on(encoder, clean_environment, tmp_path):
    """SIGTERM while the first run trains: its checkpoint is there, and the same command goes on from it"""
    words = ["--model_name", encoder, "--dataset_name", "SAD", "--balance", "unbalanced", "--output_dir", tmp_path]
    flags = "--epochs 40 --batch_size 16 --learning_rate 1e-3 --precision fp32"
    words += ["--dataloader_flags", "--data_source sample", "--model_flags", flags]
    environment = {**clean_environment, "PYTHONPATH": str(REPOSITORY), "WANDB_MODE": "disabled"}
    study = subprocess.Popen([*SCRIPT, *map(str, words)], env=environment, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "SAD" / "mental-bert-base-uncased" / "loss-classification"
    until = time.monotonic() + 120
    while not list(folder.glob("checkpoints/checkpoint-*")) and time.monotonic() < until:
        time.sleep(0.1)
    study.send_signal(signal.SIGTERM)
    _, err = study.communicate(timeout=120)
    assert study.returncode == 143
    assert err.splitlines()[-1].endswith("stopped: the same command goes on")
    log = (tmp_path / "study").glob("*seed42.log")
    assert "to go on: " in next(log).read_text() and list(folder.glob("checkpoints/checkpoint-*"))


def test_flags_of_the_scripts_are_told_apart_from_the_studys(command, encoder):
    done = module(command, STUDY, "--model_name", encoder, "--epochs", "3")
    assert done.code == 2 and "--epochs" in done.error
