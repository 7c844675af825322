"""Run a command, and print as JSON its seconds from start to end, its peak memory in GB, and what it printed.

python tests/benchmarks/measured.py COMMAND

A process begins with the peak memory of the one that starts it, so a large one cannot measure a smaller one itself.
"""

import json
import resource
import subprocess
import sys
import time

started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
print(json.dumps({"seconds": seconds, "peak": peak, "output": done.stdout}))
sys.exit(done.returncode)
