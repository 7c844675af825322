"""What a process gets from its user's environment: standard streams, variables, and the encoding of paths.

What cannot matter is put out of the way, and what cannot be obeyed is named.
"""

import io
import os
import re
import select
import sys
import warnings

from artificial_pain.errors import UserError, logger

# Numbers that the libraries read when they are imported, whether they need them or not.
NUMBERS = ["HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT", "HF_DATASETS_IN_MEMORY_MAX_SIZE", "TQDM_MININTERVAL"]
NUMBERS += ["TQDM_MAXINTERVAL", "TQDM_SMOOTHING", "TQDM_DELAY", "TQDM_INITIAL"]
# How the libraries that convert a variable say that they cannot; its value follows.
NOT_CONVERTED = r"(invalid literal for int\(\)|could not convert string to float|invalid truth value).* '?%s'?"
PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]
CERTIFICATES = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


class _Stream(io.FileIO):
    """A standard stream for writing that raises nothing: what it cannot take is lost, and `error` says why."""

    error: OSError | None = None  # the first

    def write(self, content: bytes) -> int:
        try:
            while (written := super().write(content)) is None:  # a pipe that is full and does not block
                select.select([], [self], [])
            return written
        except OSError as error:
            self.error = self.error or error
            return len(content)


def prepare() -> None:
    """Make the process that of a user with nothing out of the ordinary. To be called before the libraries' imports."""
    variables = dict(os.environ)
    if sys.getfilesystemencoding() != "utf-8":  # libraries in C++ and Rust write UTF-8, and would write elsewhere
        streams = {"PYTHONIOENCODING": sys.stdout.encoding} if sys.stdout else {}
        variables = {**streams, **variables, "PYTHONUTF8": "1"}
    if sys.flags.optimize > 1 and "PYTHONOPTIMIZE" in variables:  # transformers reads its own docstrings
        del variables["PYTHONOPTIMIZE"]
    if variables != os.environ:  # Python has read them, and reads them again in a new start alone
        os.execve(sys.executable, sys.orig_argv, variables)
    if sys.stdin is None:  # closed, as below: a file that is opened later must not become a standard stream
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        if old is None or type(old) is io.TextIOWrapper:  # not a caller's replacement
            number = old.fileno() if old else os.open(os.devnull, os.O_RDONLY)  # which takes nothing
            raw = _Stream(number, "w", closefd=False)
            options = {"line_buffering": not old or old.line_buffering or old.write_through}
            options |= {"encoding": old.encoding if old else "utf-8", "errors": "backslashreplace"}
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), **options))
    for name in NUMBERS:
        try:
            (int if name.startswith("HF_HUB") else float)(os.environ.get(name) or 0)  # as the library does
        except ValueError:
            logger.warning(f"{name} is {os.environ.pop(name)!r}, which is no number: it has no effect")
    if sys.warnoptions:  # a warning of a library is no error, whatever PYTHONWARNINGS says
        warnings.filters[:] = [rule for rule in warnings.filters if rule[0] != "error"]


def check_output(is_result: bool) -> None:
    """Raise where standard output has not taken all that was printed, if that is the result; otherwise warn."""
    sys.stdout.flush()
    error = getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "error", None)
    reads_no_more = isinstance(error, BrokenPipeError)  # as `head`, which has all that it wants
    lost = f"standard output did not take all that was printed ({error and error.strerror})"
    if error and is_result:
        raise error if reads_no_more else UserError(f"{lost}: mend that, and give the same command again")
    if error and not reads_no_more:
        logger.warning(f"{lost}: all else is done, and the files are written")


def refused_variable(error: ValueError) -> str | None:
    """A line about a variable whose value a library could not convert, by its error; None of any other error."""
    for name, value in os.environ.items():
        if value and re.fullmatch(NOT_CONVERTED % re.escape(value), str(error)):
            return f"{name} is {value!r}, which cannot be read: mend it, or unset it"
    return None


def network_settings() -> str:
    """The words that name the network's variables which are set, for the end of a message; "" where none is."""
    names = [name for name in [*PROXIES, *map(str.lower, PROXIES), *CERTIFICATES] if os.environ.get(name)]
    return f" and {', '.join(names)}, set in the environment" if names else ""
