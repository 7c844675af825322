"""Commands and calls, measured in processes of their own."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

MEASURED = Path(__file__).with_name("measured.py")


def timed(script: object, *flags: object, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """A script's seconds from start to end, and its peak memory in GB. Raises where it fails."""
    command = [sys.executable, MEASURED, sys.executable, *map(str, (script, *flags))]
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def in_a_process(call: Callable, *arguments: Sequence[object]) -> object:
    """What the call gives in a fresh process, whose peak memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()
