"""A run that is stopped goes on, and ends as one that never was: killed at random moments, by signals, by damage."""

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from conftest import INTENSITY_MODEL, MODEL
from warm import Script

MOMENTS, FEW_MOMENTS = 20, 3  # of a SIGKILL in each task: with --faults, and without
EPOCHS, PATIENCE = 12, 2  # at most, and what ends the training before
RATES = ["--learning_rate", "1e-3", "--head_learning_rate", "3e-3", "--batch_size", "16"]
ENDS = ["--epochs", EPOCHS, "--patience", PATIENCE]


@dataclass
class Experiment:
    """A command of one task, and what it leaves where nothing disturbs it."""

    script: Path
    splits: Path  # the root with the splits
    run: Path  # the run's folder, below the root
    words: list
    seconds: float = 0
    undisturbed: dict[str, bytes] = field(default_factory=dict)

    def start(self, root: Path, *words: object, **environment: str) -> Script:
        """The command on a copy of the splits in `root`, the one that is there if it is."""
        if not root.exists():
            root.mkdir(parents=True)
            for path in self.splits.iterdir():
                if path.is_dir() and path.name != "wandb":
                    shutil.copytree(path, root / path.name, ignore=shutil.ignore_patterns("checkpoints", "loss-*"))
        environment = {"WANDB_MODE": "disabled"} | environment
        return Script(self.script, [*self.words, "--output_dir", root, *words], root, **environment)

    def outcome(self, root: Path) -> dict[str, bytes]:
        """The files of the run: their bytes; of run.json, how the training went."""
        files = {path.name: path.read_bytes() for path in (root / self.run).iterdir() if path.is_file()}
        record = json.loads(files["run.json"])
        kept = {name: record[name] for name in ("epochs_trained", "steps_trained", "best_step", "weights_sha256")}
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


@pytest.fixture(scope="session", params=["classification", "intensity"])
def experiment(request, encoder, sample_splits, dialogue_splits, tmp_path_factory) -> Experiment:
    """An undisturbed run of a task, which early stopping ended."""
    if request.param == "classification":
        words = ["--model_name", encoder, "--dataset_name", "SAD", *RATES, *ENDS]
        run = Path("SAD", encoder.name, "loss-classification")
        made = Experiment(MODEL, sample_splits, run, words)
    else:
        words = ["--model_name", encoder, *RATES, *ENDS, "--warmup_steps", 5]
        run = Path("ESConv", encoder.name, "accuracy-4-heads-intensity-change")
        made = Experiment(INTENSITY_MODEL, dialogue_splits, run, words)
    root = tmp_path_factory.mktemp("undisturbed") / "root"
    script = made.start(root)
    begun = wait_for(lambda: (root / made.run / "checkpoints").exists(), script)
    assert script.wait() == 0, script.told()
    made.seconds = time.monotonic() - begun
    made.undisturbed = made.outcome(root)
    record = json.loads(made.undisturbed["run.json"])
    assert PATIENCE < record["epochs_trained"] < EPOCHS, "ended by early stopping, so that its counter matters"
    return made


def wait_for(condition: Callable[[], bool], script: Script) -> float:
    """Wait until the condition holds, and return the time; fails where the script ends before."""
    while not condition():
        assert script.process.is_alive(), script.told()
        time.sleep(0.0005)
    return time.monotonic()


def unsealed(checkpoints: Path) -> bool:
    """Is a checkpoint being written?"""
    return any(not (path / "sha256.json").exists() for path in checkpoints.glob("checkpoint-*"))


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
        wait_for(lambda: script.told().count(" 0/1 [") + script.told().count(" 0/2 [") >= epoch, script)
        if kind == "while a checkpoint is written":
            wait_for(lambda: unsealed(checkpoints), script)
    script.process.kill()
    assert script.wait() == -signal.SIGKILL
    return f"{kind}, {time.monotonic() - begun:.1f} s"


@pytest.mark.fault(
    "SIGKILL at any moment", "the same command goes on, and ends with the same weights and metrics, bit by bit"
)
def test_a_run_that_was_killed_goes_on_as_if_nothing_was(experiment, pytestconfig, tmp_path):
    """Killed at random times, in evaluations, while checkpoints are written; all files compared."""

    def moment(number: int) -> str:
        killed = kill(experiment, tmp_path / str(number), number)
        experiment.goes_on(tmp_path / str(number))
        shutil.rmtree(tmp_path / str(number))
        return killed

    numbers = range(MOMENTS if pytestconfig.getoption("faults") else FEW_MOMENTS)
    with ThreadPool(2) as pool:
        print("\n".join(pool.map(moment, numbers, chunksize=1)))
