"""Commands and calls, measured in processes of their own."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MEASURED = Path(__file__).with_name("measured.py")


@dataclass(frozen=True)
class Timed:
    """Of a command: its seconds from start to end, its peak memory in GB, and its standard output."""

    seconds: float
    peak: float
    output: str


def timed(script: object, *flags: object, environment: dict[str, str] | None = None, cores: int | None = None) -> Timed:
    """Run a script, on as many cores as are said. Raises where it fails."""
    environment = os.environ | (environment or {})
    pinned = []
    if cores:
        pinned = ["taskset", "--cpu-list", ",".join(map(str, first_cores(cores)))]
        environment["OMP_NUM_THREADS"] = str(cores)
    command = [*pinned, sys.executable, MEASURED, sys.executable, *map(str, (script, *flags))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")
    return Timed(**json.loads(done.stdout))


def first_cores(count: int) -> list[int]:
    """The numbers of so many cores, of those that this process may use."""
    return sorted(os.sched_getaffinity(0))[:count]


def in_a_process(call: Callable, *arguments: Sequence[object]) -> object:
    """What the call gives in a fresh process, whose peak memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()
