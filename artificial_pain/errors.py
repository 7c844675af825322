"""How the scripts speak of what goes wrong: one line on stderr, exit code 1 (argparse's own is 2)."""

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """Something that the user can mend: its text says what happened, where, and what to do."""


def warn(message: str) -> None:
    """Say something that does not stop the work."""
    print(f"warning: {message}", file=sys.stderr)


def wrong_flag(message: str) -> NoReturn:
    """End as argparse does, for a flag whose value only later work shows to be wrong: one line, exit code 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def run(main: Callable[[], None]) -> None:
    """Call a script's main(); a UserError is one line on stderr and exit code 1, Ctrl-C exit code 130."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
