"""The command ``aqz``: what the console script calls, and nothing else.

May import everything; nothing may import it.

typer, rich and the commands themselves are imported when a command runs, so that
importing this package costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments
        Words after ``aqz``; those of the process when not given.

    Returns
    -------
    int
        0 when all went well, 1 when something failed, 2 for wrong usage, 130 when
        interrupted.
    """
    try:
        from aqz_core.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:  # before a command could say what it leaves
        print("interrupted", file=sys.stderr)
        return 130
