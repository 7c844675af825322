"""A run that is stopped goes on, and ends as one that never was: killed at random moments, by signals, by damage."""

import json
import os
import pickle
import random
import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from conftest import ESCONV_FOLDER, INTENSITY_MODEL, MODEL, SAD_FOLDER, SAD_SAMPLE, SAMPLE, Planted, folder_of
from warm import Script, sealed, unsealed, wait_for

from artificial_pain.training import checkpoints

pytestmark = pytest.mark.xdist_group("restarts")  # one worker makes its runs
MOMENTS = 20  # of a SIGKILL in each task, with --faults
FEW_MOMENTS = {MODEL: (0, 1, 2), INTENSITY_MODEL: (1,)}  # those of them that are tried without
EPOCHS, PATIENCE = 14, 2  # at most, and what ends the training before
RATES = ["--learning_rate", "3e-3", "--head_learning_rate", "3e-3", "--batch_size", "32"]
ENDS = ["--epochs", EPOCHS, "--patience", PATIENCE]


@dataclass
class Experiment:
    """A command of one task, and what it leaves where nothing disturbs it."""

    script: Path
    splits: Path  # the root with the splits
    run: Path  # the run's folder, below the root
    words: list
    seconds: float = 0
    checkpoints: set[int] = field(default_factory=set)  # how many there were at any time
    undisturbed: dict[str, bytes] = field(default_factory=dict)
    root: Path | None = None  # where that is

    def start(self, root: Path, *words: object, **environment: str) -> Script:
        """The command on a copy of the splits in `root`, the one that is there if it is."""
        if not root.exists():
            root.mkdir(parents=True)
            for path in self.splits.iterdir():
                if path.is_dir() and path.name != "wandb":
                    shutil.copytree(path, root / path.name, ignore=shutil.ignore_patterns("*loss-*", "*accuracy-*"))
        environment = {"WANDB_MODE": "disabled"} | environment
        return Script(self.script, [*self.words, "--output_dir", root, *words], root, terminal=True, **environment)

    def outcome(self, root: Path) -> dict[str, bytes]:
        """The files of the run: their bytes; of run.json, how the training went."""
        files = {path.name: path.read_bytes() for path in (root / self.run).iterdir() if path.is_file()}
        record = json.loads(files["run.json"])
        kept = {name: record[name] for name in ("epochs_trained", "steps_trained", "best_step", "sha256")}
        return files | {"run.json": json.dumps(kept).encode()}

    def goes_on(self, root: Path) -> str:
        """Give the command again, and see that it ends as if undisturbed; what it told."""
        again = self.start(root)
        assert again.wait() == 0, again.told()
        outcome = self.outcome(root)
        different = {name for name in outcome | self.undisturbed if outcome.get(name) != self.undisturbed.get(name)}
        assert not different, (different, again.told())
        assert not (root / self.run / "checkpoints").exists()
        return again.told()


@pytest.fixture(scope="session")
def experiments(encoder, sample_splits, dialogue_splits, tmp_path_factory) -> Callable[[str], Experiment]:
    """An undisturbed run of a task, which early stopping ended; made once."""

    @cache
    def undisturbed(task: str) -> Experiment:
        if task == "classification":
            words = ["--model_name", encoder, *SAD_SAMPLE, *RATES, *ENDS]
            run = Path(SAD_FOLDER, folder_of(encoder), "loss-classification")
            made = Experiment(MODEL, sample_splits, run, words)
        else:
            words = ["--model_name", encoder, *SAMPLE, *RATES, *ENDS, "--warmup_steps", 5]
            run = Path(ESCONV_FOLDER, folder_of(encoder), "accuracy-4-heads-intensity-change")
            made = Experiment(INTENSITY_MODEL, dialogue_splits, run, words)
        root = tmp_path_factory.mktemp("undisturbed") / "root"
        script = made.start(root)
        begun = wait_for(lambda: (root / made.run / "checkpoints").exists(), script)
        while script.process.is_alive():
            made.checkpoints.add(len(sealed(root / made.run / "checkpoints")))
            time.sleep(0.002)
        assert script.wait() == 0, script.told()
        made.seconds = time.monotonic() - begun
        made.undisturbed, made.root = made.outcome(root), root
        record = json.loads(made.undisturbed["run.json"])
        assert PATIENCE < record["epochs_trained"] < EPOCHS, "ended by early stopping, so that its counter matters"
        return made

    return undisturbed


@pytest.fixture(params=["classification", pytest.param("intensity", marks=pytest.mark.full)])
def experiment(request, experiments) -> Experiment:
    return experiments(request.param)


def kill(experiment: Experiment, root: Path, number: int) -> str:
    """Start the command, and kill it at a moment that `number` draws; returns which kind of moment it was."""
    rng = random.Random(number)
    script = experiment.start(root)
    checkpoints = root / experiment.run / "checkpoints"
    begun = wait_for(checkpoints.exists, script)
    kind = ("at any time", "in an evaluation", "while a checkpoint is written", "at any time")[number % 4]
    if kind == "at any time":
        time.sleep(rng.uniform(0, experiment.seconds))
    else:
        epoch = rng.randrange(1, PATIENCE + 2)
        # The bar of an evaluation, whose batches are fewer than ten.
        wait_for(lambda: len(re.findall(r" 0/\d \[", script.told())) >= epoch, script)
        if kind == "while a checkpoint is written":
            wait_for(lambda: unsealed(checkpoints), script)
    script.process.kill()
    if script.wait() == 0:
        return "after its end"  # it was faster than the undisturbed run
    assert script.wait() == -signal.SIGKILL
    return f"{kind}, {time.monotonic() - begun:.1f} s"


@pytest.mark.fault(
    "SIGKILL at any moment", "the same command resumes, and on a CPU ends with the same weights and metrics, bit by bit"
)
def test_a_run_that_was_killed_goes_on_as_if_nothing_was(experiment, pytestconfig, tmp_path):
    """Killed at random times, in evaluations, while checkpoints are written; all files compared."""

    def moment(number: int) -> str:
        killed = kill(experiment, tmp_path / str(number), number)
        experiment.goes_on(tmp_path / str(number))
        shutil.rmtree(tmp_path / str(number))
        return killed

    numbers = range(MOMENTS) if pytestconfig.getoption("faults") else FEW_MOMENTS[experiment.script]
    with ThreadPool(2) as pool:
        print("\n".join(pool.map(moment, numbers, chunksize=1)))


@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_run_killed_after_early_stopping_goes_on_without_training(experiment, tmp_path):
    """Between its last checkpoint and its files: nothing is trained, and all files are compared"""
    root = tmp_path / "root"
    step = json.loads(experiment.undisturbed["run.json"])["steps_trained"]
    script = experiment.start(root)
    last = root / experiment.run / "checkpoints" / f"checkpoint-{step}"
    wait_for((last / "sha256.json").exists, script)
    script.process.kill()
    assert script.wait() == -signal.SIGKILL
    told = experiment.goes_on(root)
    assert f"going on from {last}" in told and "epoch " not in told


@pytest.mark.parametrize(
    ("experiment", "number", "code"),
    [("classification", signal.SIGTERM, 143), ("classification", signal.SIGINT, 130)],
    indirect=["experiment"],
    ids=["SIGTERM", "Ctrl-C"],
)
@pytest.mark.fault(
    "SIGTERM, Ctrl-C", "a checkpoint is saved, and one line has the command that resumes. Exit code 143 or 130"
)
def test_a_signal_ends_a_run_with_a_checkpoint(number, code, experiment, tmp_path):
    """Sent in the middle of an epoch; the command that was printed goes on from there."""
    root = tmp_path / "root"
    script = experiment.start(root)
    wait_for(lambda: "epoch    1" in script.told(), script)
    os.kill(script.pid, number)
    assert script.wait() == code, script.told()
    last = script.told().splitlines()[-1]
    step = int(re.fullmatch(r"stopped after step (\d+) of \d+, with a checkpoint: to go on: (.*)", last)[1])
    program, path, *words = shlex.split(last.split("to go on: ")[1])
    expected = [experiment.script, *experiment.words, "--output_dir", root]
    assert shutil.which(program) and [path, *words] == [*map(str, expected)]
    assert f"checkpoint-{step}" in experiment.goes_on(root).splitlines()[0]


@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_a_signal_before_the_training_ends_it_at_once(experiment, tmp_path):
    """Sent while the model is loaded."""
    root = tmp_path / "root"
    script = experiment.start(root)
    wait_for((root / experiment.run).parent.joinpath(f".{experiment.run.name}.lock").exists, script)
    os.kill(script.pid, signal.SIGTERM)
    assert script.wait() == 143, script.told()
    assert "to go on: " in script.told().splitlines()[-1]


@pytest.fixture
def stopped(experiment, tmp_path) -> Path:
    """The root of a run that was killed after its second epoch, with two checkpoints."""
    root = tmp_path / "root"
    script = experiment.start(root)
    checkpoints = root / experiment.run / "checkpoints"
    wait_for(lambda: len(sealed(checkpoints)) == 2, script)
    script.process.kill()
    script.wait()
    for path in checkpoints.glob("checkpoint-*"):
        if path not in sealed(checkpoints):
            shutil.rmtree(path)
    assert len(sealed(checkpoints)) == 2
    return root


DAMAGES = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a byte changed": lambda path: change(path),
    "gone": Path.unlink,
}


def change(path: Path) -> None:
    """Change the last byte."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


FILES = ["optimizer.pt", "trainer_state.json", "model.safetensors", "sha256.json"]
CASES = [(name, damage) for name in FILES for damage in DAMAGES]


@pytest.mark.fault(
    "a damaged checkpoint", "it is detected and reported, and the checkpoint before it is used, with the same result"
)
@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
@pytest.mark.parametrize(
    ("name", "damage"), [CASES[0], *(pytest.param(*case, marks=pytest.mark.full) for case in CASES[1:])]
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(name, damage, experiment, stopped):
    """A file of the last checkpoint is cut, or a byte of it changed, or it is removed."""
    before, last = sealed(stopped / experiment.run / "checkpoints")
    DAMAGES[damage](last / name)
    told = experiment.goes_on(stopped)
    assert f"warning: {last} cannot be used ({name}" in told and f"going on from {before}" in told


@pytest.mark.fault(
    "a damaged checkpoint", "it is detected and reported, and the checkpoint before it is used, with the same result"
)
@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_damage_to_any_file_of_a_checkpoint_is_found_out(experiment, stopped):
    """Each of its files in turn is cut, changed and removed."""
    last = sealed(stopped / experiment.run / "checkpoints")[-1]
    files = sorted(last.iterdir())
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth"} < {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for damage in DAMAGES.values():
            damage(path)
            assert path.name in checkpoints.find_corruption(last)
            path.write_bytes(content)
    assert checkpoints.find_corruption(last) is None


@pytest.mark.fault(
    "a damaged checkpoint", "it is detected and reported, and the checkpoint before it is used, with the same result"
)
@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_where_every_checkpoint_is_damaged_the_run_begins_anew(experiment, stopped):
    """A byte is changed in all of them; the run was begun with other versions and another number of threads."""
    path = stopped / experiment.run / "checkpoints" / "run.json"
    record = json.loads(path.read_text())
    record["versions"]["torch"], record["device"]["threads"] = "1.0", 99
    path.write_text(json.dumps(record))
    for checkpoint in sealed(stopped / experiment.run / "checkpoints"):
        change(checkpoint / "model.safetensors")
    told = experiment.goes_on(stopped)
    assert told.count("cannot be used") == 2 and "goes on from the start" in told and "going on from" not in told
    assert "goes on with other versions of Python and packages, device or number of threads: results may differ" in told


@pytest.mark.fault("a checkpoint that runs code", "its code is not run. One line says so")
@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_a_checkpoint_is_read_without_running_what_is_in_it(experiment, stopped, tmp_path):
    """The optimizer's state replaced by a pickle that makes a file, under a seal that fits."""
    last = sealed(stopped / experiment.run / "checkpoints")[-1]
    planted = tmp_path / "ran"
    (last / "optimizer.pt").write_bytes(pickle.dumps(Planted(planted)))
    checkpoints.write_manifest(last)
    script = experiment.start(stopped)
    assert script.wait() == 1 and "Traceback" not in script.told() and "--restart" in script.told().splitlines()[-1]
    assert not planted.exists()


@pytest.mark.fault(
    "the command of a finished run", "nothing is trained: the run is evaluated again. --restart trains from the start"
)
@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_a_finished_run_is_evaluated_only(experiment, tmp_path):
    """Given again, with damaged results, with --restart, and with other settings."""
    finished = shutil.copytree(experiment.root, tmp_path / "root")
    folder = finished / experiment.run
    (folder / "evaluation_results.json").write_text("damaged")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    told = experiment.goes_on(finished)
    assert "the run is finished, and is evaluated; --restart trains it anew" in told and "epoch " not in told
    assert (folder / "model.safetensors").stat().st_mtime_ns == before

    other = experiment.start(finished, "--batch_size", "8")
    assert other.wait() == 1
    assert "a finished run of other settings is there (--batch_size 32, not 8)" in other.told()

    again = experiment.start(finished, "--restart")
    assert again.wait() == 0 and "epoch    1" in again.told()
    assert experiment.outcome(finished) == experiment.undisturbed

    change(folder / "model.safetensors")
    damaged = experiment.start(finished)
    assert damaged.wait() == 1 and "damaged (model.safetensors is not what was written): train" in damaged.told()
    (folder / "config.json").unlink()
    damaged = experiment.start(finished)
    assert damaged.wait() == 1 and "damaged (config.json cannot be read: No such file" in damaged.told()
    (folder / "run.json").write_text((folder / "run.json").read_text().replace('"wandb": {', '"other": {'))
    damaged = experiment.start(finished)
    unreadable = "run.json: cannot be read (KeyError: 'wandb'): train the run anew, with --restart"
    assert damaged.wait() == 1 and unreadable in damaged.told()


@pytest.mark.parametrize("experiment", ["classification"], indirect=True)
def test_where_nothing_of_a_run_is_lost_other_settings_replace_it(experiment, stopped):
    """A run that has a checkpoint is kept from other settings, and one that has none gives way to them."""
    other = experiment.start(stopped, "--batch_size", "8", "--epochs", "1")
    assert other.wait() == 1
    assert "a stopped run of other settings is there (--batch_size 32, not 8; --epochs 14, not 1)" in other.told()
    for checkpoint in sealed(stopped / experiment.run / "checkpoints"):
        shutil.rmtree(checkpoint)
    other = experiment.start(stopped, "--batch_size", "8", "--epochs", "1")
    assert other.wait() == 0 and json.loads((stopped / experiment.run / "run.json").read_text())["epochs_trained"] == 1


def test_at_most_two_checkpoints_are_kept(experiment):
    """The best and the last, whose weights and optimizer's state are what the disk must hold."""
    assert experiment.checkpoints <= {0, 1, 2, 3} and 2 in experiment.checkpoints
