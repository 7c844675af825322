"""A job of several processes and nodes, started as a user would: the same training, one voice, and no lost work."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import warm_python
from conftest import (
    ESCONV_FOLDER,
    INTENSITY_MODEL,
    MODEL,
    SAD_FOLDER,
    SAD_SAMPLE,
    SAMPLE,
    copy_calm_splits,
    folder_of,
)
from safetensors.numpy import load_file
from warm_python import Process

pytestmark = pytest.mark.xdist_group("processes")  # one worker makes its runs
FAST = ["--epochs", "2", "--precision", "fp32", "--learning_rate", "3e-4", "--head_learning_rate", "1e-3"]
INTENSITY_WORDS = [*SAMPLE, "--warmup_steps", "5"]
TASKS = {
    "classification": (MODEL, SAD_SAMPLE, SAD_FOLDER, "loss-classification"),
    "intensity": (
        INTENSITY_MODEL,
        [*SAMPLE, "--warmup_steps", "5"],
        ESCONV_FOLDER,
        "accuracy-4-heads-intensity-change",
    ),
}
LAUNCHERS = {
    "torchrun": ["torchrun", "--nproc_per_node", "2"],
    "accelerate": ["accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"],
}
LOST = "error: another process of the job has ended, and with it the job: the same command goes on from the last"


def launched(*words: object) -> list[str]:
    """The words of a command, its program that of this environment."""
    name, *rest = map(str, words)
    return [str(Path(sys.executable).with_name(name)), *rest]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def ours(err: str) -> list[str]:
    """The lines on stderr that are not of bars, epochs and launchers; fails where there is a traceback of ours."""
    assert "/artificial_pain/" not in err, err
    lines = re.split("[\r\n]", err)
    return [line for line in lines if line.startswith(("error: ", "warning: ", "stopped", "going on"))]


@pytest.fixture(scope="module")
def environment(clean_environment) -> dict[str, str]:
    return {**clean_environment, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}


@pytest.fixture(scope="module")
def warm(environment) -> dict[str, str]:
    """The environment in which torchrun starts warm processes."""
    return {**environment, "PYTHON_EXEC": os.environ["WARM_PYTHON"]}  # torch's variable


def learned(run: Path) -> tuple[dict, dict, dict]:
    """Of a finished run: its test predictions, its weights, and its record."""
    predictions = pd.read_csv(run / "predictions_test.csv", index_col=0).select_dtypes("number").to_dict("list")
    return predictions, load_file(run / "model.safetensors"), json.loads((run / "run.json").read_text())


def watched(command: list, environment: dict[str, str], run: Path, folder: Path) -> tuple[str, str, list[dict]]:
    """Run a command that trains `run` to its end: both streams, and the curves that its checkpoints had."""
    logs: list[dict] = []
    with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
        job = subprocess.Popen(list(map(str, command)), env=environment, stdout=out, stderr=err, cwd=folder)
    while job.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # of what is removed just now
            for path in run.glob("checkpoints/checkpoint-*/sha256.json"):
                found = json.loads(path.with_name("trainer_state.json").read_text())["log_history"]
                logs = max(logs, found, key=len)
        time.sleep(0.01)
    assert job.returncode == 0, (folder / "err").read_text()
    return (folder / "out").read_text(), (folder / "err").read_text(), logs


@pytest.fixture(scope="module", params=TASKS)
def alone(request, encoder, calm, sample_splits, dialogue_splits, environment, tmp_path_factory) -> tuple:
    """A task's script with its words, the run's folder that one process made of them, and its curves."""
    script, words, corpus, kind = TASKS[request.param]
    folder = tmp_path_factory.mktemp("alone")
    splits = sample_splits if corpus == SAD_FOLDER else dialogue_splits
    root = copy_calm_splits(splits, folder / "root", encoder, calm)
    words = ["--model_name", calm, *words, *FAST]
    run = root / corpus / folder_of(calm) / kind
    _, _, logs = watched([os.environ["WARM_PYTHON"], script, *words, "--output_dir", root], environment, run, folder)
    return script, words, run, logs


def copy_of_splits(run: Path, root: Path) -> Path:
    """A root with the splits of a run's, and where the run is in it."""
    shutil.copytree(run.parents[2], root, ignore=shutil.ignore_patterns(run.name, "wandb"))
    return root / run.relative_to(run.parents[2])


def require_same_training(run: Path, alone: Path) -> None:
    """The same predictions, each test example once, and weights to 1e-4, of two processes as of one."""
    (predictions, weights, record), (expected, expected_weights, one) = learned(run), learned(alone)
    assert predictions.keys() == expected.keys()
    for column, values in expected.items():
        assert predictions[column] == pytest.approx(values, abs=1e-4, nan_ok=True), column
    assert all(np.allclose(weights[name], weight, atol=1e-4) for name, weight in expected_weights.items())
    assert record["steps_trained"] == one["steps_trained"]
    assert [one["device"]["processes"], record["device"]["processes"]] == [1, 2]
    assert {path.name for path in run.iterdir()} == {path.name for path in alone.iterdir()}


@pytest.mark.parametrize("alone", ["intensity"], indirect=True)
def test_two_processes_train_as_one(alone, warm, tmp_path):
    """Every point of the learning curves to 1e-4 with the same batch; one voice, and one run in W&B."""
    script, words, run, curves = alone
    here = copy_of_splits(run, tmp_path / "root")
    command = launched(*LAUNCHERS["torchrun"], script, *words, "--output_dir", tmp_path / "root")
    out, err, logs = watched(command, warm, here, tmp_path)
    require_same_training(here, run)
    assert min(len(logs), len(curves)) > 5  # the last checkpoint may have gone too fast
    for one, two in zip(curves, logs, strict=False):
        kept = [name for name in one if not name.endswith(("_runtime", "_per_second"))]
        assert {name: two[name] for name in kept} == pytest.approx({name: one[name] for name in kept}, abs=1e-4)
    assert out.count("Run folder:") == 1 and not ours(err)
    assert len(list((tmp_path / "root" / "wandb").glob("offline-run-*"))) == 1


@pytest.mark.parametrize("alone", ["classification"], indirect=True)
def test_accelerate_starts_them_too(alone, warm, tmp_path):
    script, words, run, _ = alone
    here = copy_of_splits(run, tmp_path / "root")
    command = launched(*LAUNCHERS["accelerate"], script, *words, "--output_dir", tmp_path / "root")
    watched(command, warm, here, tmp_path)
    require_same_training(here, run)


def wait_for_checkpoint(run: Path, job: Process, err: Path) -> None:
    while not any(run.glob("checkpoints/checkpoint-*/sha256.json")):
        assert job.is_alive(), err.read_text()
        time.sleep(0.01)


@pytest.fixture
def job(encoder, calm, sample_splits, warm, tmp_path) -> tuple[Callable[[str], Process], Path]:
    """How to start a job of two processes, its stderr in a file of that name, and the folder of its run."""
    root = copy_calm_splits(sample_splits, tmp_path / "root", encoder, calm)
    words = ["--model_name", calm, *SAD_SAMPLE, *FAST, "--epochs", 4, "--output_dir", root]
    command = list(map(str, ["-m", "torch.distributed.run", "--nproc_per_node", 2, MODEL, *words]))

    def start(name: str) -> Process:
        with open(os.devnull, "w+") as nothing, open(tmp_path / name, "w") as err:
            streams = [nothing.fileno(), nothing.fileno(), err.fileno()]
            return Process(warm_python.address(), command, warm, str(tmp_path), streams)

    return start, root / SAD_FOLDER / folder_of(calm) / "loss-classification"


def workers(job: Process) -> list[int]:
    """The processes that a launcher started, by their rank."""
    return [int(pid) for pid in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()]


@pytest.mark.fault(
    "one process of a multi-process job is killed", "each other process ends with one line. The same command resumes"
)
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.full)])
def test_a_killed_process_ends_the_job_which_goes_on(rank, job, tmp_path):
    """SIGKILL to either of two processes after a checkpoint; the same command again"""
    begin, run = job
    first = begin("err")
    wait_for_checkpoint(run, first, tmp_path / "err")
    os.kill(workers(first)[rank], signal.SIGKILL)
    assert first.wait(timeout=60) == 1
    (line,) = ours((tmp_path / "err").read_text())
    assert line.startswith(LOST)

    again = begin("again")
    assert again.wait(timeout=120) == 0
    assert [line for line in ours((tmp_path / "again").read_text()) if line.startswith("going on from")]


@pytest.mark.fault(
    "SIGTERM to a multi-process job", "all processes stop at the same step, with a checkpoint and one line"
)
def test_a_signal_stops_all_processes_at_one_step(job, tmp_path):
    """SIGTERM to torchrun in the middle of an epoch; the same command again"""
    begin, run = job
    first = begin("err")
    wait_for_checkpoint(run, first, tmp_path / "err")
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(timeout=60) is not None
    (line,) = ours((tmp_path / "err").read_text())
    step = re.fullmatch(
        r"stopped after step (\d+) of \d+, with a checkpoint: to go on: the same command again, without --restart", line
    )[1]
    assert (run / "checkpoints" / f"checkpoint-{step}" / "sha256.json").exists()

    again = begin("again")
    assert again.wait(timeout=120) == 0
    assert any(line.endswith(f"checkpoint-{step}") for line in ours((tmp_path / "again").read_text()))


def test_a_batch_that_cannot_be_shared_is_refused(encoder, sample_splits, warm):
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits, "--batch_size", 7]
    command = launched(*LAUNCHERS["torchrun"], MODEL, *words)
    done = subprocess.run(command, env=warm, capture_output=True, text=True, timeout=120)
    assert ours(done.stderr) == ["error: --batch_size 7 cannot be shared evenly by 2 processes: take a multiple of 2"]


def test_a_wrong_flag_is_told_once(warm):
    command = launched(*LAUNCHERS["torchrun"], MODEL, "--epochs", "none")
    done = subprocess.run(command, env=warm, capture_output=True, text=True)
    assert done.stderr.count("argument --epochs: 'none' is not a whole number") == 1


def test_a_count_of_processes_that_no_launcher_set_is_no_job(encoder, calm, sample_splits, environment, tmp_path):
    """WORLD_SIZE alone, as schedulers leave it in the environment"""
    root = copy_calm_splits(sample_splits, tmp_path / "root", encoder, calm)
    words = ["--model_name", calm, *SAD_SAMPLE, *FAST, "--epochs", 1, "--output_dir", root]
    command = list(map(str, [os.environ["WARM_PYTHON"], MODEL, *words]))
    done = subprocess.run(command, env={**environment, "WORLD_SIZE": "2"}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def nodes(tmp_path) -> Callable[..., list[str]]:
    """Two nodes: network namespaces with a cable between them, as words that start a command in either."""
    names = [f"pain{os.getpid()}{letter}" for letter in "ab"]

    def ip(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["ip", *words], capture_output=True, text=True)

    if not shutil.which("ip") or ip("netns", "add", names[0]).returncode:
        pytest.skip("network namespaces cannot be made here: that takes root and iproute2")
    try:
        ip("netns", "add", names[1])
        made = ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        if made.returncode:
            pytest.skip(f"no cable can be laid between network namespaces here ({made.stderr.strip()})")
        for i, name in enumerate(names):
            ip("-n", name, "address", "add", f"10.77.0.{i + 1}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield lambda node, *words: ["ip", "netns", "exec", names[node], *words]
    finally:
        for name in names:
            ip("netns", "delete", name)


@pytest.mark.parametrize("alone", ["classification"], indirect=True)
def test_two_nodes_train_as_one_process(alone, nodes, warm, tmp_path):
    """One process on each of two nodes that share a disk."""
    script, words, run, _ = alone
    here = copy_of_splits(run, tmp_path / "root")
    rendezvous = ["--nnodes", 2, "--nproc_per_node", 1, "--master_addr", "10.77.0.1", "--master_port", free_port()]
    jobs = []
    for node in (0, 1):
        torchrun = [os.environ["WARM_PYTHON"], "-m", "torch.distributed.run", *rendezvous, "--node_rank", node]
        command = list(map(str, [*torchrun, script, *words, "--output_dir", here.parents[2]]))
        on_cable = {**warm, "GLOO_SOCKET_IFNAME": "cable"}
        with open(tmp_path / f"err{node}", "w") as err:
            jobs.append(subprocess.Popen(nodes(node, *command), env=on_cable, stdout=subprocess.DEVNULL, stderr=err))
    assert [job.wait(timeout=120) for job in jobs] == [0, 0], (tmp_path / "err0").read_text()
    require_same_training(here, run)
