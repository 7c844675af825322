"""Where the files of a corpus, an encoder and a run lie, how a set of them is replaced as one, and what tells one from
any other.
"""

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
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from artificial_pain.errors import UserError, logger

REPOSITORY = Path(__file__).resolve().parent.parent
TASK_FOLDERS = {"classification": REPOSITORY / "classification", "intensity": REPOSITORY / "intensity"}
PUBLISHED_SEED = 42  # the folder of a run of another one says which


@dataclass(frozen=True)
class Layout:
    """The published places below the root (a task's folder or --output_dir)."""

    root: Path
    dataset_name: str
    encoder: str  # the short name
    balanced: bool

    @property
    def corpus(self) -> Path:
        return self.root / self.dataset_name

    def _prefixed(self, name: str) -> str:
        return f"balanced_{name}" if self.balanced else name

    # The four below are relative to `corpus`: the same in the folder where a new set is staged.
    @property
    def label_mapping(self) -> Path:
        return Path(self._prefixed("label_mapping.json"))

    @property
    def statistics(self) -> Path:
        return Path(self._prefixed("dataset_statistics.json"))

    @property
    def text_splits(self) -> Path:
        return Path(self._prefixed("dataset_splits"))

    @property
    def tokenized_splits(self) -> Path:
        return Path(self.encoder, self._prefixed("tokenized_splits"))

    def run_folder(self, kind: str, seed: int, debug: bool) -> Path:
        """The folder of a run of some kind ("loss-classification"); other seeds and debug runs have their own."""
        name = kind + ("-balanced" if self.balanced else "")
        name += f"-seed{seed}" if seed != PUBLISHED_SEED else ""
        name += "-debug" if debug else ""
        return self.corpus / self.encoder / name


def program(name: str) -> str:
    """How the user can call a program of this environment: by its name where that finds it, else by its path."""
    path = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and Path(found).parent == path.parent:
        return name
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def require_writable(folder: Path) -> None:
    """Make the folder; raise UserError where it cannot be written, before any work is done for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}): give another --output_dir") from None


def write_json(path: Path, content: dict) -> None:
    """Write strict JSON, made for people to read too: NaN and infinity are refused."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def exclusive_lock(folder: Path, wait: bool) -> Iterator[None]:
    """Be the only process at work in the folder: the lock is a file beside it, and ends with the process.

    Where another is at work, wait for it and say so; or, without `wait`, raise UserError that names it.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    path = Path(lock.lock_file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            owner = path.read_text(encoding="utf-8").strip() or "another process"
            if not wait:
                raise UserError(f"{folder}: {owner} is at work there: let it end, or stop it") from None
            logger.info(f"{folder}: {owner} is at work there: waiting for it")
            lock.acquire()
        me = f"process {os.getpid()} on {platform.node()} ({Path(sys.argv[0]).name}, since {time.strftime('%F %T')})"
        path.write_text(f"{me}\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be locked ({error.strerror}): give another --output_dir") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic_update(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace their namesakes in `folder` together, once the block has ended well.

    A process that dies before that leaves the earlier files as they were; one that dies while the files are being
    moved is finished by whoever calls `finish_replacing` next.
    """
    partial = folder / ".partial"
    try:
        commit_pending(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for source in _files(partial):  # what is in the way is found before anything is moved
            (folder / source.relative_to(partial)).parent.mkdir(parents=True, exist_ok=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        place, reason = getattr(error, "filename", None) or folder, getattr(error, "strerror", None) or error
        raise UserError(f"{place}: cannot be written ({reason}): what was there before is kept") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(folder / ".complete")  # the one moment from which the new files count
    commit_pending(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def commit_pending(folder: Path) -> None:
    """Move a complete staged set to its place. Safe to repeat: each file is moved by one rename."""
    complete = folder / ".complete"
    if not complete.exists():
        return
    for source in _files(complete):
        target = folder / source.relative_to(complete)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    shutil.rmtree(complete)


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """The hexadecimal digest of a file; "git-blob" is git's object id, SHA-1 over `blob <size>\\0` and the content."""
    with open(path, "rb") as file:
        if algorithm == "git-blob":
            content = file.read()
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.file_digest(file, algorithm).hexdigest()


def find_corruption(folder: Path, digests: dict[str, str]) -> str | None:
    """The first file, by its path below the folder, that does not have its SHA-256; None if all have."""
    for name, written in digests.items():
        try:
            if checksum(folder / name) != written:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None
