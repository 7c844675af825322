"""Run a command, and print its seconds from start to end and its peak memory in GB.

python tests/benchmarks/measured.py COMMAND

A process begins with the peak memory of the one that starts it, so a large one cannot measure a smaller one itself.
"""

import resource
import subprocess
import sys
import time

started = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9)
sys.exit(code)
