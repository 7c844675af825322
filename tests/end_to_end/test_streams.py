"""Standard streams that are closed, full, or of any encoding: no result changes, and the exit code is right."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import DATALOADER, MODEL, PREDICT, REPOSITORY, SAD_FOLDER, SAD_SAMPLE

STREAMS = (
    "a standard stream that is closed, full or of another encoding",
    "the files are whole. The exit code is 1 only where the output was the result",
)
# Prints a result that no encoding but UTF-8 has, logs a line, and opens a file, which must not become a stream.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from artificial_pain import cli
from artificial_pain.errors import logger
def main(args):
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        print("résult")
        logger.info("prögress")
        file.write("whole")
cli.run(main, lambda: None, prints_results=sys.argv[3] == "prints")
"""
LOST = "standard output did not take all that was printed"


@pytest.fixture
def shell(tmp_path, clean_environment):
    """Run the program in a shell, with these redirections; the exit code, both streams, and the file."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")

    def run(redirections: str, kind: str, **environment: str) -> tuple[int, bytes, bytes, str]:
        file = tmp_path / "file"
        file.unlink(missing_ok=True)
        command = f'set -o pipefail; "{sys.executable}" "{program}" "{REPOSITORY}" "{file}" {kind} {redirections}'
        environment = {**clean_environment, **environment}
        done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=60)
        return done.returncode, done.stdout, done.stderr, file.read_text(encoding="utf-8")

    return run


@pytest.mark.fault(*STREAMS)
@pytest.mark.parametrize(
    "redirections", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">&- 2>/dev/full"]
)
def test_closed_or_full_streams_lose_no_file(redirections, shell):
    """Each stream closed, full, or read no more; ASCII, latin-1 and UTF-16; a program that ends in a broken pipe."""
    loses_output = ">&-" in redirections.replace("2>&-", "") or redirections.startswith(">")
    code, _, err, file = shell(redirections, "writes")
    assert code == 0 and file == "whole" and b"Traceback" not in err
    assert (LOST.encode() in err) == (loses_output and "2>" not in redirections)
    code, _, err, file = shell(redirections, "prints")
    assert code == (1 if loses_output else 0) and file == "whole" and b"Traceback" not in err


@pytest.mark.fault(*STREAMS)
def test_reader_that_reads_no_more_is_not_told(shell):
    """Each stream closed, full, or read no more; ASCII, latin-1 and UTF-16; a program that ends in a broken pipe."""
    gone = "| (exec <&-; sleep 0.5)"  # the reader has closed its end before anything is written
    code, out, err, file = shell(gone, "writes")
    assert code == 0 and out == b"" and file == "whole" and err.startswith("prögress\n".encode())
    code, _, err, file = shell(gone, "prints")
    assert code == 1 and file == "whole" and b"error" not in err
    code, out, err, file = shell(f"2>&1 {gone}", "writes")
    assert (code, out, err, file) == (0, b"", b"", "whole")


@pytest.mark.fault(*STREAMS)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16", "ascii:strict"])
def test_any_encoding_takes_any_text(encoding, shell):
    """Each stream closed, full, or read no more; ASCII, latin-1 and UTF-16; a program that ends in a broken pipe."""
    code, out, err, file = shell("", "prints", PYTHONIOENCODING=encoding)
    codec = {"utf-16": "utf-16-le"}.get(encoding, encoding.split(":")[0])  # Python writes no mark to a pipe
    text = "résult".encode(codec, errors="backslashreplace")
    assert code == 0 and file == "whole" and b"Traceback" not in err
    assert text in out


@pytest.mark.fault(*STREAMS)
def test_full_pipe_that_does_not_block_loses_nothing(tmp_path, clean_environment):
    """Each stream closed, full, or read no more; ASCII, latin-1 and UTF-16; a program that ends in a broken pipe."""
    program = tmp_path / "program.py"
    lines = ["import sys; sys.path.insert(0, sys.argv[1])", "from artificial_pain import cli"]
    lines += ["cli.run(lambda args: [print('x' * 999) for _ in range(1000)], lambda: None, prints_results=True)"]
    program.write_text("\n".join(lines), encoding="utf-8")
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    child = subprocess.Popen([sys.executable, program, REPOSITORY], stdout=theirs, env=clean_environment)
    os.close(theirs)
    time.sleep(0.5)  # the pipe is full
    with open(ours, "rb") as pipe:
        content = pipe.read()
    assert child.wait() == 0 and len(content) == 1_000_000


@pytest.mark.fault(*STREAMS)
def test_help_that_is_lost_is_an_error(clean_environment):
    """Each stream closed, full, or read no more; ASCII, latin-1 and UTF-16; a program that ends in a broken pipe."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, DATALOADER, "--help"], stdout=full, stderr=subprocess.PIPE, env=clean_environment
        )
    assert done.returncode == 1 and done.stderr.decode().startswith(f"error: {LOST}")


@pytest.mark.fault(*STREAMS)
def test_training_goes_on_where_nobody_reads(encoder, sample_splits, clean_environment, tmp_path):
    """Each stream closed, full, or read no more; ASCII, latin-1 and UTF-16; a program that ends in a broken pipe."""
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits, "--seed", "501"]
    words += ["--epochs", "1", "--batch_size", "64"]
    environment = {**clean_environment, "WANDB_MODE": "disabled"}
    python = os.environ["WARM_PYTHON"]
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([python, MODEL, *words], stdout=theirs, stderr=theirs, env=environment, timeout=200)
    os.close(theirs)
    (run,) = Path(sample_splits, SAD_FOLDER).glob("*/loss-classification-seed501")
    assert done.returncode == 0 and (run / "run.json").exists() and not (run / "checkpoints").exists()
    with open("/dev/full", "wb") as full:
        command = [python, "-m", PREDICT, run, "a text"]
        environment["PYTHONPATH"] = str(REPOSITORY)
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=200)
    assert done.returncode == 1 and done.stderr.decode().splitlines()[-1].startswith(f"error: {LOST}")
