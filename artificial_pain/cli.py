"""The command lines of the scripts: types of flags, and what ends a script as one line and an exit code.

Nothing slow is imported here, so that `--help` and a wrong flag answer at once.
"""

import argparse
import errno
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NoReturn

from artificial_pain import distributed, environment
from artificial_pain.data import examples
from artificial_pain.errors import Terminated, UsageError, UserError, logger, redact

GARBAGE_COLLECTION = (100_000, 50, 100)  # Python's default: (700, 10, 10)
SECONDS_TO_TELL = 3  # a wrong flag, of a job of several processes
MAX_COUNT = 1_000_000  # of anything that a flag counts: far more than any use, and no overflow in a library
# What a user can mend, wherever a file is read, written or removed: full and failing disks, rights, and a folder in
# place of a file or the other way round.
MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
MACHINE_ERRORS |= {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY, errno.ESTALE}


def run(main: Callable, parse_args: Callable[[], argparse.Namespace], prints_results: bool = False) -> None:
    """Call main with the flags. Whatever ends it is one line on stderr, and the exit code.

    A UserError, and a fault of the machine: 1; a wrong flag: 2; Ctrl-C: 130; SIGTERM: 143. A bug of ours: its
    traceback, and 1. With `prints_results`, what is printed is in no file: the command fails where it is lost.
    """
    # The imports make half a million objects that stay. By default, a fifth of a start is looking for garbage in them.
    gc.set_threshold(*GARBAGE_COLLECTION)
    environment.prepare()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        args = _parse_quietly(parse_args)
        with distributed.lost_process_as_user_error():
            distributed.start()
            main(args)
        environment.check_output(prints_results)
    except UsageError as error:
        if distributed.is_main_process():  # all processes have the same flags
            logger.error(error)
        else:  # the launcher stops the main process once another has ended, and it is to tell before
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(SECONDS_TO_TELL)
        sys.exit(2)
    except BrokenPipeError:  # of `… | head`, which has read enough
        sys.exit(1)
    except (KeyboardInterrupt, Terminated) as stop:
        logger.info(str(stop) or "stopped")
        sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)
    except Exception as error:
        if message := _for_the_user(error):
            logger.error(message)
        else:  # a bug of ours: the traceback may quote a secret, as Python's own would
            print(redact(traceback.format_exc()), file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # in Python's own ending it would be a traceback
        gc.freeze()  # Python's own ending would look at all of them once more, for a second


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _for_the_user(error: Exception) -> str | None:
    """A line about something that the user can mend, None where the error is a bug of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ValueError):
        return environment.refused_variable(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({str(error) or 'none is left'}): close other programs, or take a larger machine"
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        return f"{error.filename or 'a file'}: {error.strerror}: mend that, and give the same command again"
    return None


def _parse_quietly(parse_args: Callable[[], argparse.Namespace]) -> argparse.Namespace:
    """Of several processes, which all have the same flags, only the main process prints help and wrong flags."""
    if distributed.is_main_process():
        try:
            return parse_args()
        except SystemExit as end:
            if not end.code:  # --help
                environment.check_output(is_result=True)
            raise
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return parse_args()


def module_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m artificial_pain.<module>`. Without docstrings (PYTHONOPTIMIZE=2) there is no text."""
    prog = f"python -m artificial_pain.{module}"
    return argparse.ArgumentParser(prog=prog, description=(description or "").partition("\n")[0], allow_abbrev=False)


def _number(kind: type, description: str, accept: Callable) -> Callable:
    """An argparse type: a number of `kind` that `accept` is true for."""

    def parse(text: str):
        with suppress(ValueError):
            value = kind(text)
            if accept(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {description}")

    return parse


positive_integer = _number(int, f"a whole number from 1 to {MAX_COUNT:,}", lambda value: 1 <= value <= MAX_COUNT)
positive_float = _number(float, "a number above 0", lambda value: 0 < value < float("inf"))
fraction = _number(float, "a number from 0 to below 1", lambda value: 0 <= value < 1)
factor = _number(float, "a number above 0, at most 1", lambda value: 0 < value <= 1)
not_negative_integer = _number(int, f"a whole number from 0 to {MAX_COUNT:,}", lambda value: 0 <= value <= MAX_COUNT)
# numpy's legacy generators, which scikit-learn and the Trainer seed, take 32 bits.
seed_integer = _number(int, "a whole number from 0 to 4294967295", lambda value: 0 <= value < 2**32)


def not_empty(text: str) -> str:
    """An argparse type."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a name, found nothing")
    return text


def path(text: str) -> Path:
    """An argparse type: a file or a folder, with ~ for a home."""
    try:
        expanded = Path(not_empty(text)).expanduser()
        str(expanded).encode()
    except (RuntimeError, UnicodeEncodeError) as error:  # of a user who is not there; of bytes that are not UTF-8
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a path here: {error}") from None
    return expanded


def data_source(text: str) -> str:
    """An argparse type. A local file becomes absolute: the model script may quote it from another folder."""
    not_empty(text)
    return text if text == examples.SAMPLE or examples.is_url(text) else str(path(text).absolute())


def add_flag(group: argparse.ArgumentParser, flag: str, default: object, help: str, **options: object) -> None:
    """A flag with a value, its default shown in --help. options: of argparse's `add_argument`."""
    if "choices" not in options and "metavar" not in options:
        options["metavar"] = "X" if isinstance(default, float) else "N"
    group.add_argument(flag, default=default, help=f"{help} (default: %(default)s)", **options)
