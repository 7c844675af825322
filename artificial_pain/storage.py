"""Where the files of a corpus, an encoder and a run lie, how a set of them is replaced as one, and what tells one from
any other.
"""

import errno
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from artificial_pain.errors import UserError, as_user_error, logger

REPOSITORY = Path(__file__).resolve().parent.parent
TASK_FOLDERS = {"classification": REPOSITORY / "classification", "intensity": REPOSITORY / "intensity"}
STATISTICS = "dataset_statistics.json"  # after the layout's prefix
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}  # of some network file systems
STILL_HELD = {errno.EBUSY, errno.ENOTEMPTY}  # by another process or node of a network file system
PUBLISHED_SEED = 42  # the folder of a run of another one says which


class Layout:
    """The published places below the root (a task's folder or --output_dir)."""

    def __init__(self, root: Path, dataset_name: str, corpus: str, encoder: str, balanced: bool) -> None:
        """`corpus` and `encoder` are the names of their folders."""
        self.dataset_name, self.encoder, self.balanced = dataset_name, encoder, balanced
        self.corpus = root / corpus
        # The four below are relative to `corpus`: the same in the folder where a new set is staged.
        prefix = "balanced_" if balanced else ""
        self.label_mapping = Path(f"{prefix}label_mapping.json")
        self.statistics = Path(f"{prefix}{STATISTICS}")
        self.text_splits = Path(f"{prefix}dataset_splits")
        self.tokenized_splits = Path(encoder, f"{prefix}tokenized_splits")

    def run_folder(self, kind: str, seed: int, debug: bool) -> Path:
        """The folder of a run of some kind ("loss-classification"); other seeds and debug runs have their own."""
        name = kind + ("-balanced" if self.balanced else "")
        name += f"-seed{seed}" if seed != PUBLISHED_SEED else ""
        return self.corpus / self.encoder / (name + ("-debug" if debug else ""))


def program(name: str) -> str:
    """How the user can call a program of this environment: by its name where that finds it, else by its path."""
    path = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(path):
        return name
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def require_writable(folder: Path) -> None:
    """Make the folder; raise UserError where it cannot be written, before any work is done for it."""
    with as_user_error(f"{folder}: cannot be written", OSError, remedy="give another --output_dir"):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def write_json(path: Path, content: dict) -> None:
    """Write strict JSON, made for people to read too: NaN and infinity are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Bytes of a path that are no text (of --file, or a command's words) become JSON's own escapes.
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def exclusive_lock(folder: Path, wait: bool) -> Iterator[None]:
    """Be the only process at work in the folder: the lock is a file beside it, and ends with the process.

    Where another is at work, wait for it and say so; or, without `wait`, raise UserError that names it.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), fallback_to_soft=False)
    path = Path(lock.lock_file)
    with as_user_error(f"{path}: cannot be locked", OSError, remedy="give another --output_dir"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            owner = path.read_text(encoding="utf-8").strip() or "another process"
            if not wait:
                raise UserError(f"{folder}: {owner} is at work there: let it end, or stop it") from None
            logger.info(f"{folder}: {owner} is at work there: waiting for it")
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            # A file that stands for a lock would stay where a job is killed, and be in the way of the next.
            logger.warning(f"{folder}: its file system has no locks: let no two commands work there at once")
        me = f"process {os.getpid()} on {platform.node()} ({Path(sys.argv[0]).name}, since {time.strftime('%F %T')})"
        path.write_text(f"{me}\n", encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic_update(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace their namesakes in `folder` together, once the block has ended well.

    A process that dies before that leaves the earlier files as they were; one that dies while the files are being
    moved is finished by whoever calls `commit_pending` next.
    """
    partial = folder / ".partial"
    try:
        commit_pending(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for source in list_files(partial):  # what is in the way is found before anything is moved
            (folder / source.relative_to(partial)).parent.mkdir(parents=True, exist_ok=True)
        partial.rename(folder / ".complete")  # the one moment from which the new files count
    except (OSError, SafetensorError) as error:
        place, reason = getattr(error, "filename", None) or folder, getattr(error, "strerror", None) or error
        kept = "what was there before is kept: mend this, and give the same command again"
        raise UserError(f"{place}: cannot be written ({reason}): {kept}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing after the rename
    commit_pending(folder)


def remove(folder: Path) -> None:
    """Remove the folder. What a network file system does not let go yet stays, with a warning."""

    def note(call: object, path: str, error: tuple) -> None:
        if error[1].errno not in STILL_HELD:
            raise error[1]
        held.append(error[1].strerror)

    held: list[str] = []
    shutil.rmtree(folder, onerror=note)
    if held:
        logger.warning(f"{folder}: cannot be removed yet ({held[0]}): remove it later")


def list_files(folder: Path) -> list[Path]:
    """All files below the folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def commit_pending(folder: Path) -> None:
    """Move a complete staged set to its place. Safe to repeat: each file is moved by one rename."""
    complete = folder / ".complete"
    if not complete.exists():
        return
    for source in list_files(complete):
        target = folder / source.relative_to(complete)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    remove(complete)


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_like(path: Path, digest: str) -> str:
    """The digest of a file, of the kind of a published one: 64 digits are SHA-256, 40 are git's object id.

    That is SHA-1 over `blob <size>\\0` and the content.
    """
    if len(digest) == 64:
        return checksum(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def find_corruption(folder: Path, digests: dict[str, str]) -> str | None:
    """The first file, by its path below the folder, that does not have its SHA-256; None if all have."""
    for name, written in digests.items():
        try:
            if checksum(folder / name) != written:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None
