"""Commands and calls, measured in processes of their own."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def timed(script: object, *flags: object, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """A script's seconds from start to end, and its peak memory in GB. Raises where it fails."""
    command = [sys.executable, *map(str, (script, *flags))]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"{command}: {told}")
    return time.perf_counter() - started, used.ru_maxrss * 1024 / 1e9


def in_a_process(call: Callable, *arguments: Sequence[object]) -> object:
    """What the call gives in a fresh process, whose peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)
