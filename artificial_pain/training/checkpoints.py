"""Checkpoints that are whole or do not count: sealed with the digests of their files, verified before they are used.

A folder of checkpoints holds `checkpoint-<step>` folders, written by the Trainer.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from artificial_pain import storage
from artificial_pain.errors import UserError, first_line, warn
from artificial_pain.storage import write_json

STATE = "trainer_state.json"  # the Trainer's name for it, whose import would cost every reader of a run 0.3 s
MANIFEST = "sha256.json"  # the checksum of every other file of a checkpoint; written last, it stands for the whole
COPIES = 3  # of the weights in a checkpoint: themselves, and Adam's two moments


@contextmanager
def unwritable_as_user_error(checkpoint: Path) -> Iterator[None]:
    """That a checkpoint cannot be written becomes a UserError, and nothing is left of it."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # of Python, of the weights, of torch.save
        shutil.rmtree(checkpoint, ignore_errors=True)
        free = shutil.disk_usage(checkpoint.parent).free
        raise UserError(
            f"{checkpoint}: cannot be written ({first_line(error)}), with {free / 1e6:.0f} MB free: make room, and the "
            "same command goes on from the checkpoint before"
        ) from error


def require_space(folder: Path, weights: int) -> None:
    """Raise UserError where the disk cannot hold two checkpoints and one being written, of `weights` bytes of model."""
    needed = 3 * COPIES * weights
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if present + free < needed:
        raise UserError(
            f"{folder}: the checkpoints need {(needed - present) / 1e6:.0f} MB of disk, and {free / 1e6:.0f} MB are "
            "free: make room, or give another --output_dir"
        )


def write_manifest(checkpoint: Path) -> None:
    """Say that the checkpoint is whole: from here on, it survives that the process or the machine dies.

    Raises UserError where it cannot be written to the disk.
    """
    with unwritable_as_user_error(checkpoint):
        files = [path for path in sorted(checkpoint.iterdir()) if path.name != MANIFEST]
        for path in files:
            _to_disk(path)
        write_json(checkpoint / f"{MANIFEST}.partial", {path.name: storage.checksum(path) for path in files})
        _to_disk(checkpoint / f"{MANIFEST}.partial")
        os.replace(checkpoint / f"{MANIFEST}.partial", checkpoint / MANIFEST)
        _to_disk(checkpoint)


def _to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_corruption(checkpoint: Path) -> str | None:
    """What is wrong with a sealed checkpoint: the first file that is not what was written; None if it is whole."""
    try:
        return storage.find_corruption(checkpoint, json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8")))
    except OSError as error:
        return f"{MANIFEST} cannot be read: {error.strerror}"
    except (ValueError, AttributeError):  # no JSON, or JSON of something else
        return f"{MANIFEST} is not what was written"


def last_valid_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to go on from: the last that is whole, as is the best one before it, which it needs in the end.

    One that is damaged, or was not written to its end, is told and removed, with those that need it.
    """
    whole: dict[int, Path] = {}
    for step, checkpoint in _by_step(folder).items():
        if not (checkpoint / MANIFEST).exists():
            warn(f"{checkpoint} was not written to its end, and was removed")
            shutil.rmtree(checkpoint)
            continue
        reason = find_corruption(checkpoint)
        if reason is None:
            best = _best_step(checkpoint)
            if best in {None, step, *whole}:
                whole[step] = checkpoint
                continue
            reason = f"its best one, checkpoint-{best}, is lost"
        remove(checkpoint)
        before = f"step {max(whole)}" if whole else "the start"
        warn(f"{checkpoint} is damaged ({reason}) and was removed: what is left goes on from {before}")
    return whole[max(whole)] if whole else None


def any_valid(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from, as far as its seal tells."""
    return any(folder.glob(f"checkpoint-*/{MANIFEST}"))


def _by_step(folder: Path) -> dict[int, Path]:
    """The checkpoints, by their step in ascending order."""
    return dict(sorted((int(path.name.split("-")[1]), path) for path in folder.glob("checkpoint-*")))


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint; if that is cut short, what is left does not count."""
    (checkpoint / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def _best_step(checkpoint: Path) -> int | None:
    """The step of the best checkpoint so far when this one was written; None before the first evaluation."""
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["best_global_step"]


def rotate_checkpoints(folder: Path) -> None:
    """Keep two checkpoints: the last, and the best; where the last is the best, the best before it.

    So if the last is damaged, there is one to go on from, which needs no other.
    """
    *earlier, last = _by_step(folder).items()
    best = _best_step(last[1])
    if earlier and best in {None, last[0]}:
        best = _best_step(earlier[-1][1]) or earlier[-1][0]
    for step, checkpoint in earlier:
        if step != best:
            remove(checkpoint)
