"""Checkpoints that are complete or do not count: each has a manifest of checksums, and is verified before it is used.

A folder of checkpoints holds `checkpoint-<step>` folders, written by the Trainer.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from artificial_pain import storage
from artificial_pain.errors import UserError, first_line, logger

STATE = "trainer_state.json"  # the Trainer's name for it, whose import would cost every reader of a run 0.3 s
MANIFEST = "sha256.json"  # the checksum of every other file of a checkpoint; written last, it stands for the whole
FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # of file systems that have none, of a folder above all
COPIES = 3  # of the weights in a checkpoint: themselves, and Adam's two moments


@contextmanager
def unwritable_as_user_error(folder: Path) -> Iterator[None]:
    """An error of writing a checkpoint into the folder becomes a UserError, and nothing is left of the checkpoint."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if not _is_of_writing(error, folder):
            raise
        last = [folder, *_by_step(folder).values()][-1]
        raise _unwritable(last, error) from error


def _is_of_writing(error: Exception, folder: Path) -> bool:
    """Whether an error is of writing below the folder. Python, safetensors and torch raise errors of their own."""
    if isinstance(error, OSError):
        return error.errno in FULL_DISK or Path(error.filename or "").is_relative_to(folder)
    return isinstance(error, SafetensorError) or "PytorchStreamWriter" in str(error)


def _unwritable(checkpoint: Path, error: Exception) -> UserError:
    """The error of a checkpoint that cannot be written. What there is of it is removed, if it is not complete."""
    if not (checkpoint / MANIFEST).exists() and checkpoint.name.startswith("checkpoint-"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    free = shutil.disk_usage(checkpoint.parent).free
    reason = f"cannot be written ({first_line(error)}), with {free / 1e6:.0f} MB free"
    return UserError(f"{checkpoint}: {reason}: make room, and the same command goes on from the checkpoint before")


def require_space(folder: Path, weights: int, saved: int) -> None:
    """Raise UserError where the disk cannot hold two checkpoints, and beside them a third or the model that is saved.

    weights: bytes of the weights in a checkpoint. saved: of the model's, with all of its word embeddings.
    """
    needed = 2 * COPIES * weights + max(COPIES * weights, saved)
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if present + free < needed:
        lack = f"the checkpoints need {(needed - present) / 1e6:.0f} MB of disk, and {free / 1e6:.0f} MB are free"
        raise UserError(f"{folder}: {lack}: make room, or give another --output_dir")


def write_manifest(checkpoint: Path) -> None:
    """Complete the checkpoint: from here on, it survives that the process or the machine dies.

    Raises UserError where it cannot be written to the disk.
    """
    try:
        files = [path for path in sorted(checkpoint.iterdir()) if path.name != MANIFEST]
        for path in files:
            shutil.copymode(checkpoint / STATE, path)  # safetensors makes a file that is the owner's alone
            _fsync(path)
        storage.write_json(checkpoint / f"{MANIFEST}.partial", {path.name: storage.checksum(path) for path in files})
        _fsync(checkpoint / f"{MANIFEST}.partial")
        os.replace(checkpoint / f"{MANIFEST}.partial", checkpoint / MANIFEST)
        _fsync(checkpoint)
    except OSError as error:
        raise _unwritable(checkpoint, error) from error


def _fsync(path: Path) -> None:
    """fsync a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
    finally:
        os.close(descriptor)


def find_corruption(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint: the first file that is not as written; None if it is complete and valid."""
    try:
        return storage.find_corruption(checkpoint, json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return f"{MANIFEST} is missing: it was not written to its end"
    except OSError as error:
        return f"{MANIFEST} cannot be read: {error.strerror}"
    except (ValueError, AttributeError):  # no JSON, or JSON of something else
        return f"{MANIFEST} is not what was written"


def last_valid_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to go on from: the last valid one whose best checkpoint, which it needs in the end, is valid too.

    One that is damaged or incomplete is removed with a warning, and so are those that need it.
    """
    valid: dict[int, Path] = {}
    for step, checkpoint in _by_step(folder).items():
        reason = find_corruption(checkpoint)
        best = None if reason else _best_step(checkpoint)
        if best not in {None, step, *valid}:
            reason = f"its best one, checkpoint-{best}, is lost"
        if not reason:
            valid[step] = checkpoint
            continue
        remove(checkpoint)
        before = f"step {max(valid)}" if valid else "the start"
        logger.warning(f"{checkpoint} cannot be used ({reason}) and was removed: what is left goes on from {before}")
    return valid[max(valid)] if valid else None


def any_valid(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from, as far as its manifest tells."""
    return any(folder.glob(f"checkpoint-*/{MANIFEST}"))


def _by_step(folder: Path) -> dict[int, Path]:
    """The checkpoints by their step, in ascending order, complete or not."""
    return dict(sorted((int(path.name.split("-")[1]), path) for path in folder.glob("checkpoint-[0-9]*")))


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint. If that is cut short, what is left does not count."""
    (checkpoint / MANIFEST).unlink(missing_ok=True)
    storage.remove(checkpoint)


def _best_step(checkpoint: Path) -> int | None:
    """The step of the best checkpoint so far when this one was written; None before the first evaluation."""
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["best_global_step"]


def rotate_checkpoints(folder: Path) -> None:
    """Keep two complete checkpoints: the last, and the best; where the last is the best, the best before it.

    So if the last is damaged, there is one to go on from, which needs no other.
    """
    *earlier, last = [(step, path) for step, path in _by_step(folder).items() if (path / MANIFEST).exists()]
    best = _best_step(last[1])
    if earlier and best in {None, last[0]}:
        best = _best_step(earlier[-1][1]) or earlier[-1][0]
    for step, checkpoint in earlier:
        if step != best:
            remove(checkpoint)
