"""What goes wrong, in words for the user, and the log that says it.

Progress and errors go to `logger`, one line each on stderr, with secrets replaced by stars. Results go to stdout.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EPOCH_LINE = "epoch "  # the lines of a training's progress begin with it
MIN_SECRET_LENGTH = 6  # characters
MAX_REASON_LENGTH = 300  # characters


class UserError(Exception):
    """Something that the user can mend: its text says what happened, where, and what to do. Exit code 1."""


class UsageError(UserError):
    """A flag whose value only later work shows to be wrong. Exit code 2, as argparse's own."""


class Terminated(BaseException):
    """SIGTERM, as KeyboardInterrupt is Ctrl-C."""


def redact(text: str) -> str:
    """The text with stars for secrets of the environment, and for a URL's user and query values."""
    for name, value in os.environ.items():
        if name.endswith(("TOKEN", "KEY", "SECRET", "PASSWORD")) and len(value) >= MIN_SECRET_LENGTH:
            text = text.replace(value, "***")
    text = re.sub(r"(?<=://)[^\s/]+@", "***@", text)
    return re.sub(r"([?&][\w.~%-]+=)[^\s&#'\")]+", r"\1***", text)


def first_line(error: BaseException) -> str:
    """The first line of a library's error message, or the error's kind where it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_REASON_LENGTH] if lines else type(error).__name__


@contextmanager
def as_user_error(what: str, *kinds: type[Exception], remedy: str = "") -> Iterator[None]:
    """One of these errors in the block becomes a UserError: what happened, the library's reason, and the remedy."""
    try:
        yield
    except kinds as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"{what} ({reason})" + (f": {remedy}" if remedy else "")) from error


class _Stderr(logging.Handler):
    """A message is one line, after its level if that is a warning or an error, without secrets.

    It goes to the standard error of the moment, which a caller may have replaced since.
    """

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        print(redact(level + record.getMessage()), file=sys.stderr)


logger = logging.getLogger("artificial_pain")
logger.setLevel(logging.INFO)
logger.propagate = False  # other libraries' handlers would say every line again
logger.addHandler(_Stderr())
