"""How the scripts speak of what goes wrong: one line on stderr, exit code 1 (argparse's own is 2)."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """Something that the user can mend: its text says what happened, where, and what to do."""


class Terminated(BaseException):
    """SIGTERM, as KeyboardInterrupt is Ctrl-C."""


def warn(message: str) -> None:
    """Say something that does not stop the work."""
    print(f"warning: {message}", file=sys.stderr)


def wrong_flag(message: str) -> NoReturn:
    """End as argparse does, for a flag whose value only later work shows to be wrong: one line, exit code 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def run(main: Callable[[], None]) -> None:
    """Call a script's main(); a UserError, Ctrl-C and SIGTERM are one line on stderr, and exit code 1, 130 and 143."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, Terminated) as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)


def _terminate(*_: object) -> NoReturn:
    raise Terminated
