"""Scripts in processes of their own that start in no time: forked from one that has imported everything already.

For tests that kill them by the dozen. Settings that the libraries read when they are imported have no effect here.
"""

import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import REPOSITORY

# Imports run in the parent of all; nothing of torch's or Arrow's is started there, so that forking is safe.
os.environ["PYTHONPATH"] = str(REPOSITORY)
os.environ["OMP_NUM_THREADS"] = "1"  # several run at once
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["artificial_pain.runs.run", "artificial_pain.data.statistics", "artificial_pain.data.sources"]
)


class Script:
    """A script that runs, its home and its streams in `folder`."""

    def __init__(self, path: Path, words: list, folder: Path, **environment: str):
        folder.mkdir(exist_ok=True)
        self.out, self.err = folder / "out", folder / "err"
        streams = [str(self.out), str(self.err)]
        arguments = (str(path), [*map(str, words)], streams, str(folder), environment)
        self.process = _context.Process(target=_run, args=arguments)
        self.process.start()
        self.pid = self.process.pid

    def wait(self, timeout: float = 120) -> int:
        """The exit code; that of a signal is negative."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still at work after {timeout} s: {self.told()}"
        return self.process.exitcode

    def told(self) -> str:
        """Standard error so far."""
        return self.err.read_text(errors="replace") if self.err.exists() else ""

    def last(self) -> str:
        """The last line on standard error."""
        return self.told().splitlines()[-1]


def wait_for(condition: Callable[[], bool], script: Script) -> float:
    """Wait until the condition holds, and return the time; fails where the script ends before."""
    while not condition():
        assert script.process.is_alive(), script.told()
        time.sleep(0.0005)
    return time.monotonic()


def sealed(checkpoints: Path) -> list[Path]:
    """The checkpoints that are whole, by their step."""
    found = [path.parent for path in checkpoints.glob("checkpoint-*/sha256.json")]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def unsealed(checkpoints: Path) -> bool:
    """Is a checkpoint being written?"""
    return any(not (path / "sha256.json").exists() for path in checkpoints.glob("checkpoint-*"))


def _run(path: str, words: list[str], streams: list[str], home: str, environment: dict[str, str]) -> None:
    for descriptor, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    for name in [name for name in os.environ if name.startswith(("HF_", "WANDB_", "XDG_"))]:
        del os.environ[name]
    os.environ.update({"HOME": home, "NETRC": f"{home}/netrc", **environment})
    sys.argv = [path, *words]
    runpy.run_path(path, run_name="__main__")
