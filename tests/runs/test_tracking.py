"""Weights & Biases: online with a key, offline without, never a prompt, never a crash."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wandb
import wandb_file
from conftest import MODEL, REPOSITORY, SAD_FOLDER, SAD_SAMPLE, folder_of
from transformers import TrainerControl, TrainerState
from wandb_server import ENTITY, KEY, WandbServer
from warm import Script, wait_for

from artificial_pain.evaluation import classification
from artificial_pain.runs import tracking

IMPORTS = 15  # seconds, on a busy machine
# Instead of ours and wandb's, which stay in `make faults`.
QUICK = {"WANDB_INIT_TIMEOUT": "1", "WANDB_FINISH_TIMEOUT": "1", "WANDB_HTTP_TIMEOUT": "1"}
FAST = ["--epochs", "2", "--batch_size", "32", "--learning_rate", "1e-3", "--head_learning_rate", "1e-3"]


@pytest.fixture
def words(encoder, sample_splits) -> list:
    return ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits, *FAST]


def record(words: list, seed: int) -> dict:
    encoder, root = (words[words.index(flag) + 1] for flag in ("--model_name", "--output_dir"))
    folder = root / SAD_FOLDER / folder_of(encoder) / f"loss-classification-seed{seed}"
    return json.loads((folder / "run.json").read_text())


def test_run_with_a_key_is_online(words, command):
    """Against a stand-in for the server."""
    with WandbServer() as server:
        environment = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_PROJECT": "mine"}
        environment["WANDB_ENTITY"] = "team"
        done = command(MODEL, *words, "--seed", "11", **environment)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err and KEY not in done.out + done.err
    described = record(words, 11)["wandb"]
    assert described["mode"] == "online" and described["project"] == "mine"
    assert described["url"] == f"{server.url}/{ENTITY}/mine/runs/{described['id']}"
    assert "team" in server.entities
    config = server.configs[described["id"]]
    assert config["learning_rate"]["value"] == 1e-3 and config["seed"]["value"] == 11
    curves = {name for row in server.history for name in row}
    assert {"train/loss", "train/learning_rate", "validation/loss", "validation/macro_f1", "epoch"} <= curves
    assert [row["epoch"] for row in server.history if "validation/loss" in row] == [1, 2]
    assert {"test/macro_f1", "test/accuracy", "validation/macro_f1"} <= server.summary.keys()
    ends = [server.summary[f"test/macro_f1_{end}"] for end in ("low", "high")]
    assert ends[0] <= server.summary["test/macro_f1"] <= ends[1]


def test_summary_has_the_validation_score_of_the_kept_epoch(monkeypatch, tmp_path):
    """A sweep maximises it; W&B's own summary would be the curve's last point."""
    predictions = pd.DataFrame({"label_name": ["a", "b"], "predicted": ["a", "a"]})
    test = classification.classification(
        np.array([0, 1]), np.array([0, 0]), ["a", "b"], {"": np.array([[0.9, 0.1]] * 2)}, intervals=True
    )
    results = {"test": test, "baselines": {}}
    history = [{"step": step, "eval_loss": 1.0, "eval_macro_f1": value} for step, value in ((1, 0.75), (2, 0.25))]
    state = TrainerState(epoch=2.0, best_global_step=1, log_history=history)
    wandb.teardown()  # settings of tests before this one
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        with tracking.Tracker({"name": "name", "config": {}}, tmp_path) as tracker:
            for step, value in enumerate([0.75, 0.25], start=1):
                tracker.log({"validation/macro_f1": value}, step=step)
            tracking.log_results(tracker, results, state, predictions, tmp_path / "run", texts=False)
    wandb.teardown()
    assert [row["validation/macro_f1"] for row in server.history if "validation/macro_f1" in row] == [0.75, 0.25]
    assert (server.summary["validation/macro_f1"], server.summary["test/accuracy"]) == (0.75, 0.5)


def test_stop_in_the_first_steps_does_not_wait_for_wandb(tmp_path):
    """The log before the checkpoint of a signal is left out; the next one starts the W&B run"""
    tracker = tracking.Tracker({"name": "name", "config": {}}, tmp_path)
    tracker.start = lambda: setattr(tracker, "started", True)
    curves = tracking.Curves(tracker)
    state = TrainerState(epoch=0.5, global_step=3, is_world_process_zero=True)
    curves.on_log(None, state, TrainerControl(should_save=True), logs={"loss": 1.0})
    assert not tracker.started
    curves.on_log(None, state, TrainerControl(), logs={"loss": 1.0})
    assert tracker.started


def test_training_that_fails_in_its_first_step_is_a_failed_run(words, command, tmp_path):
    rates = ["--learning_rate", "1e30", "--head_learning_rate", "1e30", "--precision", "fp32", "--seed", "19"]
    done = command(MODEL, *words, *rates, WANDB_DIR=str(tmp_path))
    assert done.code == 1 and "is not finite" in done.error
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = wandb_file.read(path)
    assert content.exit_code == 1 and not content.history


AGENTS_RUN = """
import json, sys
from pathlib import Path
from artificial_pain.runs import tracking

with tracking.Tracker({"name": "name", "config": {"seed": 1}}, Path(sys.argv[1])) as tracker:
    tracker.attempt(lambda run: print(json.dumps([run.sweep_id, run.id, dict(run.config)])))
"""


def test_run_of_an_agent_belongs_to_its_sweep(command, tmp_path):
    """With the variables that a W&B agent sets for the study, and that the study's scripts inherit."""
    (tmp_path / "run.py").write_text(AGENTS_RUN)
    (tmp_path / "parameters.yaml").write_text("wandb_version: 1\nbalance:\n  value: balanced\n")
    agents = {"WANDB_SWEEP_ID": "abc123", "WANDB_RUN_ID": "run77", "WANDB_MODE": "offline"}
    agents |= {"WANDB_SWEEP_PARAM_PATH": str(tmp_path / "parameters.yaml"), "PYTHONPATH": str(REPOSITORY)}
    done = command(tmp_path / "run.py", tmp_path, **agents)
    assert json.loads(done.out) == ["abc123", "run77", {"seed": 1, "balance": "balanced"}], done.err


@pytest.mark.parametrize(
    ("environment", "mode", "message"),
    [
        ({"WANDB_MODE": "disabled"}, "disabled", ""),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": KEY}, "offline", ""),
        ({"WANDB_MODE": "online"}, "offline", "W&B has no API key"),
        ({"WANDB_API_KEY": "short"}, "offline", "W&B cannot be used as set up"),
        ({"WANDB_MODE": "foo"}, "offline", "WANDB_MODE is 'foo', which W&B does not take"),
        ({"WANDB_MODE": "", "WANDB_TAGS": ","}, "offline", ""),
        ({"WANDB_BASE_URL": "notaurl"}, "offline", "WANDB_BASE_URL is 'notaurl', which W&B does not take"),
        ({"WANDB_PROJECT": "a/b"}, "offline", "WANDB_PROJECT is 'a/b', which W&B does not take"),
        ({"WANDB_DIR": "/proc/nowhere"}, "offline", ""),
    ],
)
def test_invalid_wandb_settings_stop_no_run(environment, mode, message, monkeypatch, capsys, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    with tracking.Tracker({"name": "name", "config": {"a": 1}}, tmp_path) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
        output = capsys.readouterr().err
    assert tracker.description["mode"] == mode
    assert message in output if message else "warning: W&B" not in output
    look = tracking.how_to_look(tracker.description)
    assert ("wandb sync" in look.replace(f"{Path(sys.executable).parent}/", "")) == (mode == "offline")


@pytest.mark.fault("W&B that cannot be reached", "the training goes on offline within 30 s")
@pytest.mark.parametrize("timeouts", [QUICK, pytest.param({}, marks=pytest.mark.full)], ids=["quick", "ours"])
def test_unreachable_server_costs_less_than_30_seconds(timeouts, words, command):
    """The port of the server refuses."""
    started = time.monotonic()
    environment = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY, **timeouts}
    program = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
    program += "from artificial_pain.runs import tracking\n"
    program += (
        "with tracking.Tracker({'name': 'name', 'config': {}}, Path('.')) as tracker: tracker.log({'a': 1}, step=1)\n"
        "print(tracker.description['mode'])"
    )
    script = Path(words[words.index("--output_dir") + 1]) / "start.py"
    script.write_text(program)
    done = command(script, REPOSITORY, **environment)
    assert done.out.strip() == "offline" and "W&B cannot be used as set up" in done.err
    assert time.monotonic() - started < 30 + IMPORTS


DIES = (
    "W&B that dies in a run",
    "the training goes on, the run is on disk, and the command that uploads it is printed, within 30 s",
)


@pytest.mark.fault(*DIES)
@pytest.mark.parametrize("timeouts", [QUICK, pytest.param({}, marks=pytest.mark.full)], ids=["quick", "ours"])
def test_training_goes_on_when_the_server_dies(timeouts, words, command, tmp_path):
    """The server closes once the run has begun; the printed command then uploads all of it to another."""
    with WandbServer(mortal=True) as server:
        environment = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, **timeouts}
        done = command(MODEL, *words, "--seed", "16", "--restart", **environment)
    assert done.code == 0 and "warning: W&B failed (" in done.err and "Traceback" not in done.err
    assert not server.history and record(words, 16)["wandb"]["mode"] == "online"
    assert [row["epoch"] for row in sync(done.out, tmp_path) if "validation/loss" in row] == [1, 2]


@pytest.mark.full
@pytest.mark.fault(*DIES)
def test_end_of_a_run_without_network_costs_less_than_30_seconds(monkeypatch, tmp_path):
    """The time of the end of a run, with the server gone."""
    with WandbServer(mortal=True) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        with tracking.Tracker({"name": "name", "config": {}}, tmp_path) as tracker:
            tracker.log({"train/loss": 1.0}, step=1)
            begun = time.monotonic()
    assert time.monotonic() - begun < 30
    assert f"wandb sync --include-online {tmp_path}" in tracking.how_to_look(tracker.description)
    wandb.teardown()


def sync(out: str, cwd: Path) -> list[dict]:
    """The history on a server after the command that the script printed for it; all of one run. cwd: gets its logs."""
    with WandbServer() as server:
        words = shlex.split(out.split("(wandb login): ")[1])
        # Without the address of a service that a test in this process had.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment |= {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, cwd=cwd)
    assert done.returncode == 0 and len(server.configs) == 1, done.stderr
    return server.history


@pytest.mark.fault("a continued run in W&B", "it stays one run, online and offline")
@pytest.mark.parametrize("mode", [pytest.param("online", marks=pytest.mark.full), "offline"])
def test_resumed_run_stays_one_wandb_run(mode, words, tmp_path):
    """Stopped by SIGTERM after its first epoch, and continued; offline, the printed command uploads both parts."""
    words = [*words, "--seed", "17" if mode == "online" else "18", "--restart", "--batch_size", "8"]
    with WandbServer() as server:
        environment = {"WANDB_MODE": mode, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        script = Script(MODEL, words, tmp_path, **environment)
        wait_for(lambda: "epoch    1" in script.told(), script)
        os.kill(script.pid, signal.SIGTERM)
        assert script.wait() == 143, script.told()
        words.remove("--restart")
        script = Script(MODEL, words, tmp_path, **environment)
        assert script.wait() == 0 and "going on from" in script.told(), script.told()
    out = script.out.read_text()
    described = record(words, int(words[words.index("--seed") + 1]))["wandb"]
    assert len(described["folders"]) == 2 and all(described["id"] in folder for folder in described["folders"])
    if mode == "online":
        assert server.configs.keys() == {described["id"]} and described["url"] in out, script.told()
    history = server.history if mode == "online" else sync(out, tmp_path)
    assert [row["epoch"] for row in history if "validation/loss" in row] == [1, 2]
    steps = [row["_step"] for row in history if "train/loss" in row]
    assert steps == sorted(set(steps)), "no step twice"


def test_concurrent_runs_stay_apart(words, command, tmp_path):
    """Two open runs in one process; then two scripts at once, children of a process that has a run of its own open."""
    program = (
        "import os, subprocess, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from artificial_pain.runs import tracking\n"
        "trackers = [tracking.Tracker({'name': name, 'config': {}}, Path('.')) for name in ('one', 'two')]\n"
        "with trackers[0] as one, trackers[1] as two:\n"
        "    one.start(), two.start()\n"
        "    print(one.description['id'], two.description['id'], flush=True)\n"
        "    words = [sys.executable, *sys.argv[2:]]\n"
        "    children = [subprocess.Popen([*words, '--seed', seed]) for seed in ('13', '14')]\n"
        "    assert [child.wait() for child in children] == [0, 0]\n"
    )
    (tmp_path / "two.py").write_text(program)
    done = command(tmp_path / "two.py", REPOSITORY, MODEL, *words)
    assert done.code == 0, done.err
    described = [record(words, seed)["wandb"] for seed in (13, 14)]
    ids = {*done.out.splitlines()[0].split(), *(one["id"] for one in described)}
    assert len(ids) == 4
    assert len({*described[0]["folders"], *described[1]["folders"]}) == 2


def test_terminal_without_a_key_gets_no_prompt(clean_environment, tmp_path):
    """On a terminal wandb would ask for a key and wait."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from artificial_pain.runs import tracking\n"
        "assert sys.stdin.isatty()\n"
        "with tracking.Tracker({'name': 'name', 'config': {}}, Path('.')) as tracker: tracker.start()\n"
        "print('mode', tracker.description['mode'])\n"
    )
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", program, REPOSITORY],
        stdin=theirs, stdout=theirs, stderr=theirs, env=clean_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.wait(timeout=60) == 0
    output = os.read(ours, 100_000).decode()
    os.close(ours), os.close(theirs)
    assert "mode offline" in output
