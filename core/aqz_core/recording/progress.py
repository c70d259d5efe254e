"""How a stream is doing, shown in a notebook cell or in a terminal: ``progress=True``.

It is an observer like any other: what it takes, and what fails in it, does not reach the
recording.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from aqz_core.display.html import html_table
from aqz_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from aqz_core.events import Progress, StreamClosed, StreamFailed, StreamStatistics

__all__ = ["ProgressDisplay", "statistics_rows"]


class _Screen(Protocol):
    """Where progress is shown."""

    def show(self, store: str, statistics: StreamStatistics, state: str) -> None:
        """Replace what is shown."""


class ProgressDisplay:
    """A plug-in that shows the progress of one stream."""

    def __init__(self) -> None:
        self._screen: _Screen | None = _screen()

    @hookimpl
    def aqz_progress(self, event: Progress) -> None:
        """Show the newest figures."""
        self._show(event.store_path, event.statistics, "recording")

    @hookimpl
    def aqz_stream_closed(self, event: StreamClosed) -> None:
        """Show the last figures."""
        self._show(event.store_path, event.report.statistics, "complete")

    @hookimpl
    def aqz_stream_failed(self, event: StreamFailed) -> None:
        """Show why there will be no more."""
        if self._screen is not None:
            from aqz_core.events import StreamStatistics

            self._show(event.store_path, StreamStatistics(), f"failed: {event.error}")

    def _show(self, store: str, statistics: StreamStatistics, state: str) -> None:
        """Show figures, if anybody looks."""
        if self._screen is not None:
            self._screen.show(store, statistics, state)


class _Cell:
    """The output of a notebook cell, replaced in place."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None

    def show(self, store: str, statistics: StreamStatistics, state: str) -> None:
        """Replace the table."""
        table = html_table(f"{store}: {state}", statistics_rows(statistics))
        if self._handle is None:
            self._handle = self._display({"text/html": table}, raw=True, display_id=True)
        else:
            self._handle.update({"text/html": table}, raw=True)


class _Terminal:
    """A line on standard error that is rewritten."""

    def show(self, store: str, statistics: StreamStatistics, state: str) -> None:
        """Replace the line; end it with the recording."""
        now = statistics
        line = f"{now.frames} frames, {now.megabytes_per_second:.0f} MB/s, {state}"
        end = "" if state == "recording" else "\n"
        sys.stderr.write(f"\r\x1b[K{line[:78]}{end}")
        sys.stderr.flush()


def _screen() -> _Screen | None:
    """Return where somebody would see progress: a notebook, a terminal, or nowhere."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import display

        shell = get_ipython()
        if shell is not None and hasattr(shell, "kernel"):
            return _Cell(display)
    return _Terminal() if sys.stderr is not None and sys.stderr.isatty() else None


def statistics_rows(statistics: StreamStatistics) -> list[tuple[str, object]]:
    """Return what people want to know of a running stream, with units."""
    return [
        ("frames", statistics.frames),
        ("recorded", f"{statistics.bytes_in / 1e6:,.1f} MB"),
        ("stored", f"{statistics.bytes_written / 1e6:,.1f} MB"),
        ("rate", f"{statistics.megabytes_per_second:,.1f} MB/s"),
        ("memory in use", f"{100 * statistics.queue_fill:.0f} %"),
        ("spilled", "yes" if statistics.spilled else "no"),
    ]
