"""A terminal, file or pipe that a recording outlives: when it fails, the recording goes on."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["lasting_console", "silence"]

_WIDTH_OF_A_FILE = 120  # columns, when the output is no terminal


class LastingOutput:
    """Writes to a stream until that fails, and then nowhere.

    Parameters
    ----------
    stream
        Standard output or error; None where the process has none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: OSError | ValueError | None = None
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write and flush, so that what cannot be written is not found at the end."""
        if self._stream is not None and self.failure is None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError) as error:  # ValueError: it was closed
                self.failure = error
                silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Do nothing: everything is flushed when it is written."""

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor, by which the size of a terminal is found."""
        if self._stream is None:
            raise OSError("the process has no such stream")
        return self._stream.fileno()


def silence(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, instead of failing when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


@contextlib.contextmanager
def lasting_console(*, errors: bool = False) -> Iterator[Console]:
    """Give a console whose failure disturbs nobody; say at the end that it failed.

    Parameters
    ----------
    errors
        Whether it is on standard error, because standard output is for something else.
    """
    output = LastingOutput(sys.stderr if errors else sys.stdout)
    width = None if output.isatty() else _WIDTH_OF_A_FILE
    try:
        # rich takes whatever has these four methods for a file.
        yield Console(file=output, highlight=False, width=width)  # type: ignore[arg-type]
    finally:
        # A reader that has seen enough, as `head`, is no failure to tell of.
        if output.failure is not None and not isinstance(output.failure, BrokenPipeError):
            LastingOutput(sys.stderr).write(
                f"aqz: the display failed ({output.failure}); the recording did not need it\n"
            )
