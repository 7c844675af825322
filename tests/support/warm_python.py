"""A Python that has done the imports: a server imports them once, and forks a process for each command.

WARM_PYTHON SCRIPT FLAGS
WARM_PYTHON -m MODULE FLAGS

The environment variable WARM_PYTHON, which `serve` sets, names a program that does with these words what `python` does,
with the same streams, folder and environment, less the seconds of the imports. What the scripts start by themselves
(sys.executable) is warm too.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

FAMILIES = ("bert", "roberta", "modernbert")  # of the tests' encoders
REPOSITORY = Path(__file__).resolve().parent.parent.parent
PROGRAM = """#!{python} -S
import sys
sys.path.insert(0, {folder!r})
import warm_python
warm_python.client({address!r}, sys.argv[1:])
"""


def address() -> str:
    """Of the server's socket."""
    return str(Path(os.environ["WARM_PYTHON"]).with_name("socket"))


class Process:
    """A command that the server has started. Its pid is that of the process itself."""

    def __init__(self, address: str, words: Sequence[str], environment: dict[str, str], cwd: str, streams: list[int]):
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(address)
        request = {
            "words": words,
            "environment": environment,
            "cwd": cwd,
            "session": os.getsid(0),
            "group": os.getpgid(0),
            "pid": os.getpid(),
            "network": _network(),
        }
        socket.send_fds(self._server, [b"\n"], streams)
        self._server.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._server.makefile("rb")
        self.pid = int(self._answers.readline())
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, that of a signal negative; None where the process is still at work after so many seconds."""
        if self._code is None and select.select([self._server], [], [], timeout)[0]:
            self._code = int(self._answers.readline())
        return self._code

    def is_alive(self) -> bool:
        return self.wait(timeout=0) is None

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # as subprocess does: it has ended by itself
            os.kill(self.pid, signal.SIGKILL)


def client(address: str, words: list[str]) -> None:
    """What the program does: start the command, hand on signals, and end as it ends."""
    process = Process(address, words, dict(os.environ), os.getcwd(), [0, 1, 2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(process.pid, number))
    code = process.wait()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


@contextmanager
def serve() -> Iterator[None]:
    """Run the server until the block ends, and set WARM_PYTHON."""
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    address, program = str(folder / "socket"), folder / "python"
    program.write_text(PROGRAM.format(python=sys.executable, folder=str(Path(__file__).parent), address=address))
    program.chmod(0o755)
    for path in Path(sys.executable).parent.iterdir():  # the programs that scripts look for beside sys.executable
        if not path.name.startswith("python"):
            (folder / path.name).symlink_to(path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "WANDB_", "XDG_"))}
    # Several commands run at once. The hub's cache is below HOME, and nobody's is to be read.
    environment |= {"OMP_NUM_THREADS": "1", "HOME": str(folder), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, __file__, address, str(program)]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
    os.environ["WARM_PYTHON"] = str(program)
    while not Path(address).exists():
        assert server.poll() is None, "the server of warm processes has ended"
        time.sleep(0.01)
    try:
        yield
    finally:
        server.communicate()  # closes its standard input, which ends it
        shutil.rmtree(folder)


def _network() -> str:
    """The network namespace of this process, "" where there are none."""
    path = Path("/proc/self/ns/net")
    return os.readlink(path) if path.exists() else ""


def _serve(address: str) -> socket.socket:
    """Fork a process for each connection, in which this returns. The server itself ends with its standard input."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)  # commands that come before the imports are done wait
    for path in sorted((REPOSITORY / "artificial_pain").glob("*/*.py")):  # which import what lies above them
        __import__(".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"))
    names = ["sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.metrics", "sklearn.pipeline"]
    names += ["scipy.stats", "narwhals.stable.v2", "transformers.generation.utils"]
    for name in [*names, *(f"transformers.models.{family}.modeling_{family}" for family in FAMILIES)]:
        __import__(name)
    from artificial_pain.evaluation import figures

    figures.draw_confusion_matrix(Path(address).with_name("figure.png"), [[1.0]], ["a"], "")  # which finds the fonts
    # Not wandb, which makes a folder when it is imported, and removes it when a process ends.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    gc.freeze()  # so that a collection in a child does not copy the memory that it shares
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        if 0 in readable:
            sys.exit()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return connection
        connection.close()


def _start(connection: socket.socket) -> tuple[dict, list[int]]:
    """Fork the command's process, in which this returns, and tell the client its pid and its end.

    Where the client ends, the command is killed.
    """
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile("rb").readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        return request, streams
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{pid}\n".encode())

    def follow_client() -> None:
        if not connection.recv(1):
            with suppress(ProcessLookupError):  # it has ended too
                os.kill(pid, signal.SIGKILL)

    threading.Thread(target=follow_client, daemon=True).start()
    _, status = os.waitpid(pid, 0)
    try:
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    finally:
        os._exit(0)


def _run(request: dict, streams: list[int], program: str) -> None:
    """Do what `python WORDS` does, in this process."""
    if _network() != request["network"]:  # of `ip netns exec`
        namespace = os.open(f"/proc/{request['pid']}/ns/net", os.O_RDONLY)
        assert ctypes.CDLL(None).setns(namespace, 0) == 0
        os.close(namespace)
    if os.getsid(0) == request["session"]:
        os.setpgid(0, request["group"])  # Ctrl-C reaches all of a group
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(request["environment"])
    importlib.reload(sys.modules["huggingface_hub.constants"])  # which reads the environment when it is imported
    os.chdir(request["cwd"])
    random.seed()
    sys.executable = program
    words = [word for word in request["words"][:1] if word != "-u"] + request["words"][1:]  # of torchrun
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def _end(error: BaseException | None) -> None:
    """End this process as Python would, less the half second in which it takes hundreds of modules apart."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    elif error:
        traceback.print_exception(error)
        code = 1
    threading._shutdown()  # as multiprocessing does: it waits for the threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    request, streams = _start(_serve(sys.argv[1]))
    try:
        _run(request, streams, sys.argv[2])
    except BaseException as error:
        _end(error)
    _end(None)
