"""Scripts that start in no time, to be watched and killed by the dozen, and what their checkpoints look like."""

import os
import pty
import termios
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import warm_python
from warm_python import Process


class Script:
    """A script that runs, its home and its streams in `folder`. On a `terminal`, its standard error shows bars."""

    def __init__(self, path: Path, words: list, folder: Path, terminal: bool = False, **environment: str):
        folder.mkdir(exist_ok=True)
        self.out, self.err = folder / "out", folder / "err"
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("HF_", "WANDB_", "XDG_"))
        }
        environment = {**inherited, "HOME": str(folder), "NETRC": str(folder / "netrc"), **environment}
        with open(os.devnull) as nothing, open(self.out, "wb") as out, open(self.err, "wb") as err:
            ours, theirs = pty.openpty() if terminal else (None, os.dup(err.fileno()))
            if terminal:
                termios.tcsetwinsize(theirs, (40, 160))
            words = [str(path), *map(str, words)]
            self.process = Process(
                warm_python.address(), words, environment, str(folder), [nothing.fileno(), out.fileno(), theirs]
            )
            os.close(theirs)
        if terminal:
            Thread(target=self._copy, args=[ours], daemon=True).start()
        self.pid = self.process.pid

    def _copy(self, terminal: int) -> None:
        """Copy what is shown on the terminal to the file, until the script has ended."""
        with open(self.err, "ab", buffering=0) as file:
            while True:
                try:
                    file.write(os.read(terminal, 2**16))
                except OSError:  # its other end is closed
                    os.close(terminal)
                    return

    def wait(self, timeout: float = 120) -> int:
        """The exit code; that of a signal is negative."""
        code = self.process.wait(timeout)
        assert code is not None, f"still at work after {timeout} s: {self.told()}"
        return code

    def told(self) -> str:
        """Standard error so far."""
        return self.err.read_text(errors="replace")

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
    try:
        found = [path.parent for path in checkpoints.glob("checkpoint-*/sha256.json")]
    except FileNotFoundError:  # the run has ended, and removes them just now
        return []
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def unsealed(checkpoints: Path) -> bool:
    """Is a checkpoint being written?"""
    try:
        return any(not (path / "sha256.json").exists() for path in checkpoints.glob("checkpoint-*"))
    except FileNotFoundError:
        return False
