"""How the scripts speak of what goes wrong: one line on stderr, exit code 1 (argparse's own is 2)."""

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from artificial_pain import distributed

SHORTEST_SECRET = 6  # characters
LONGEST_REASON = 300  # characters
# What a user can mend, wherever a file is read, written or removed: full and failing disks, and rights.
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}


class UserError(Exception):
    """Something that the user can mend: its text says what happened, where, and what to do."""


class Terminated(BaseException):
    """SIGTERM, as KeyboardInterrupt is Ctrl-C."""


def without_secrets(text: str) -> str:
    """The text, with stars for what is secret in the environment, and for the user and the query's values in a URL."""
    for name, value in os.environ.items():
        if name.endswith(("TOKEN", "KEY", "SECRET", "PASSWORD")) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "***")
    text = re.sub(r"(?<=://)[^\s/]+@", "***@", text)
    return re.sub(r"([?&][\w.~%-]+=)[^\s&#'\")]+", r"\1***", text)


def first_line(error: BaseException) -> str:
    """The first line of what a library's error says, not a page long; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:LONGEST_REASON] if lines else type(error).__name__


def say(message: str) -> None:
    """Print a line on stderr, without secrets; of several processes, the first does."""
    if distributed.IS_FIRST:
        _print(message)


def _print(message: str) -> None:
    print(without_secrets(message), file=sys.stderr)


def _say_the_end(message: str) -> None:
    """Say why the job ends, in whichever process that was found first."""
    if distributed.is_first_to_end():
        _print(message if distributed.IS_FIRST else f"\n{message}")  # the first one's bar may have been left open


def warn(message: str) -> None:
    """Say something that does not stop the work."""
    say(f"warning: {message}")


def wrong_flag(message: str) -> NoReturn:
    """End as argparse does, for a flag whose value only later work shows to be wrong: one line, exit code 2."""
    _say_the_end(f"error: {message}")
    sys.exit(2)


def run(main: Callable[[], None]) -> None:
    """Call a script's main(); what ends it is one line on stderr, and the exit code.

    A UserError, and what the machine lacks: 1; Ctrl-C: 130; SIGTERM: 143. A bug of ours: its traceback, and 1.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except UserError as error:
        _say_the_end(f"error: {error}")
        sys.exit(1)
    except BrokenPipeError:  # of `… | head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tells of it once more, at its end
        sys.exit(1)
    except MemoryError as error:
        _say_the_end(
            f"error: out of memory ({str(error) or 'none is left'}): close other programs, or take a larger machine"
        )
        sys.exit(1)
    except (KeyboardInterrupt, Terminated) as stop:
        _say_the_end(str(stop) or "stopped")
        sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            place = error.filename or "a file"
            _say_the_end(f"error: {place}: {error.strerror}: mend that, and give the same command again")
        else:
            _print(traceback.format_exc())  # which may quote a secret, as Python's own would
        sys.exit(1)


def _terminate(*_: object) -> NoReturn:
    raise Terminated
