"""Call the scripts for every cell of the grid and every seed, one after the other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from artificial_pain.errors import Terminated, logger
from artificial_pain.reporting.grid import BALANCES, Cell
from artificial_pain.storage import TASK_FOLDERS

EVALUATED_ONLY = "the run is finished, and is evaluated"  # what a model script logs instead of training again


@dataclass
class Study:
    """The runs of some cells and seeds, and what became of them."""

    cells: Sequence[Cell]
    seeds: Sequence[int]
    output_dir: Path | None  # of all four scripts; None for each task's own folder
    dataloader_flags: Sequence[str]
    model_flags: Sequence[str]
    num_done: int = 0
    failures: list[tuple[list[str], str]] = field(default_factory=list)  # command and reason
    seconds: list[float] = field(default_factory=list)  # of each training

    @property
    def num_runs(self) -> int:
        return len(self.cells) * len(self.seeds)

    def run(self) -> None:
        """Write the splits of each cell and train on them with each seed; a finished run is only evaluated again."""
        num_left = self.num_runs
        for cell in self.cells:
            dataloader = self._command(cell, "dataloader", self.dataloader_flags)
            has_splits = self._call(dataloader, self._log(cell, "dataloader")) is not None
            for seed in self.seeds:
                outcome = self._train(cell, seed) if has_splits else "no splits"
                num_left -= 1
                time_left = tqdm.format_interval(num_left * fmean(self.seconds)) if self.seconds else "?"
                progress = f"[{self.num_runs - num_left}/{self.num_runs}] {cell}, seed {seed}: {outcome}"
                logger.info(f"{progress}; {num_left} left, about {time_left}")

    def _train(self, cell: Cell, seed: int) -> str:
        log = self._log(cell, f"seed{seed}")
        logger.info(f"{cell}, seed {seed}: started, its output goes to {log}")
        start = time.monotonic()
        output = self._call(self._command(cell, "model", ["--seed", str(seed), *self.model_flags]), log)
        if output is None:
            return "failed"
        self.num_done += 1
        if EVALUATED_ONLY not in output:
            self.seconds.append(time.monotonic() - start)
        return "done"

    def _command(self, cell: Cell, script: str, flags: Sequence[str]) -> list[str]:
        """The command of a script, without the interpreter."""
        folder = TASK_FOLDERS[cell.task]
        words = [str(folder / f"{cell.task}-{script}.py"), "--model_name", cell.encoder]
        words += ["--dataset_name", cell.dataset_name, *BALANCES[cell.balance]]
        words += ["--output_dir", str(self.output_dir)] if self.output_dir else []
        return [*words, *flags]

    def _log(self, cell: Cell, step: str) -> Path:
        encoder = cell.encoder.strip("/").replace("/", "-")
        name = f"{cell.task}-{cell.dataset_name}-{cell.balance}-{encoder}-{step}.log"
        return (self.output_dir or TASK_FOLDERS[cell.task]) / "study" / name

    def _call(self, command: list[str], log: Path) -> str | None:
        """Call a script and append its output to the log; return the output, None where the script fails.

        What stops the study stops the script too: Terminated and KeyboardInterrupt are raised again when it has ended.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        # A run that is evaluated again keeps the log of its training.
        with log.open("a+", encoding="utf-8", errors="replace") as file:
            start = file.seek(0, os.SEEK_END)
            script = subprocess.Popen([sys.executable, *command], stdout=file, stderr=file, stdin=subprocess.DEVNULL)
            try:
                exit_code = script.wait()
            except (KeyboardInterrupt, Terminated) as stop:
                if isinstance(stop, Terminated):  # Ctrl-C reaches every process of the terminal by itself
                    script.send_signal(signal.SIGTERM)
                script.wait()
                raise type(stop)("stopped: the same command goes on") from None
            file.seek(start)
            output = file.read()
        if exit_code == 0:
            return output
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        reasons = [line for line in lines if "error: " in line] or lines or [f"exit code {exit_code}"]
        self.failures.append((command, f"{reasons[-1]} ({log})"))
        return None
