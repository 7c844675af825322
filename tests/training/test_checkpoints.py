"""Which checkpoints are kept, and which of them a training goes on from."""

import errno
import json
import shutil
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes import Task, our_trainer

from artificial_pain.errors import UserError
from artificial_pain.training import checkpoints, recipe


def write(folder, step: int, best: int | None) -> None:
    """A checkpoint of its state alone, as the training writes and thins them out."""
    (folder / f"checkpoint-{step}").mkdir(parents=True)
    (folder / f"checkpoint-{step}/trainer_state.json").write_text(json.dumps({"best_global_step": best}))
    checkpoints.write_manifest(folder / f"checkpoint-{step}")
    checkpoints.rotate_checkpoints(folder)


@given(better=st.lists(st.booleans(), min_size=1, max_size=8))
def test_a_training_can_go_on_whichever_checkpoint_is_lost(better, tmp_path_factory):
    """Two are kept at most, the last and the best; none is called damaged; the last is not needed by the other"""
    folder, best = tmp_path_factory.mktemp("checkpoints"), None
    for step, is_better in enumerate(better, start=1):
        best = step if is_better else best
        write(folder, step, best)
        kept = {int(path.name.split("-")[1]) for path in folder.iterdir()}
        assert len(kept) == min(step, 2) and {step, best or step} <= kept
    assert checkpoints.last_valid_checkpoint(folder) == folder / f"checkpoint-{len(better)}"
    assert len(list(folder.iterdir())) == len(kept)
    shutil.rmtree(folder / f"checkpoint-{len(better)}")
    assert (checkpoints.last_valid_checkpoint(folder) is None) == (len(better) == 1)


def test_a_checkpoint_is_kept_until_a_better_one_is_sealed(tmp_path, capsys):
    """Where the last of three is the best, the best before it is kept, not the one between them"""
    for step, best in ((1, 1), (2, 1), (3, 3)):
        write(tmp_path, step, best)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-3"]
    assert checkpoints.last_valid_checkpoint(tmp_path) == tmp_path / "checkpoint-3"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("weights", "saved", "needed"), [(100, 200, 900), (100, 1000, 1600)])
def test_the_disk_has_to_hold_what_is_there_at_the_same_time(weights, saved, needed, tmp_path, monkeypatch):
    """Three checkpoints, of weights and two moments each; or two and the saved model, where that is larger"""
    free = SimpleNamespace(free=needed - 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with pytest.raises(UserError, match="make room"):
        checkpoints.require_space(tmp_path, weights, saved)
    (tmp_path / "checkpoint-1").write_bytes(bytes(10))  # counts as one of them
    checkpoints.require_space(tmp_path, weights, saved)


def test_a_checkpoint_that_cannot_be_sealed_is_told_and_removed(tmp_path):
    """A folder where a file is expected"""
    (tmp_path / "checkpoint-1" / "optimizer.pt").mkdir(parents=True)
    with pytest.raises(UserError, match=r"checkpoint-1: cannot be written \(.*directory.*MB free"):
        checkpoints.write_manifest(tmp_path / "checkpoint-1")
    assert not list(tmp_path.iterdir())


def test_that_a_checkpoint_cannot_be_sealed_is_told_at_once(encoder, sample_splits, monkeypatch):
    """A disk that is full when the first checkpoint is flushed: not with the next one, the training has gone on"""

    def flush(path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "_fsync", flush)
    task = Task(str(encoder), "SAD", "sample", sample_splits, epochs=2, batch_size=16)
    with pytest.raises(UserError, match="checkpoint-18: cannot be written"), our_trainer(task) as trainer:
        recipe.train(trainer)
    epoch = len(trainer.get_train_dataloader())
    assert epoch <= trainer.state.global_step < epoch + 5
