"""How progress is shown: a live bar on a terminal, and for a recording plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)

from aqz_core.cli.wording import write_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from rich.console import Console

    from aqz_core.events import StreamStatistics

__all__ = ["RecordingProgress", "bytes_bar"]

_BAR_SECONDS = 0.1
_LINE_SECONDS = 1.0
_FULL_WIDTH = 92  # columns


def bytes_bar(what: str, console: Console) -> Progress:
    """Return a bar of bytes that are gone through, which is gone when that is done."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class RecordingProgress:
    """Shows frames, rate, queue fill and free disk while frames are recorded.

    Parameters
    ----------
    console
        Where to show them: as a bar when it is a terminal, else a line a second.
    frames
        How many frames will come; None if nobody knows.
    folder
        A folder on the disk that is written to; None if it is none of this machine's.
    """

    def __init__(self, console: Console, frames: int | None, folder: Path | None) -> None:
        self._console = console
        self._frames = frames
        self._folder = folder
        self._due = 0.0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(*_columns(console.width), console=console, auto_refresh=False)
            self._task = self._bar.add_task("recording", total=frames, state="")

    def __enter__(self) -> Self:
        """Start the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()

    def is_due(self) -> bool:
        """Return whether enough time has passed for `show` to be worth it."""
        return time.monotonic() >= self._due

    def show(self, statistics: StreamStatistics, state: str = "recording") -> None:
        """Show where the recording stands now.

        Parameters
        ----------
        statistics
            The stream's own figures.
        state
            What is being done, in a word or two.
        """
        self._due = time.monotonic() + (_LINE_SECONDS if self._bar is None else _BAR_SECONDS)
        figures = f"{statistics.megabytes_per_second:.0f} MB/s  queue {statistics.queue_fill:.0%}"
        if self._folder is not None:
            figures += f"  free disk {write_bytes(shutil.disk_usage(self._folder).free)}"
        if self._bar is None:
            of_all = "" if self._frames is None else f"/{self._frames}"
            self._console.print(f"{state}: {statistics.frames}{of_all} frames  {figures}")
        else:
            self._bar.update(
                self._task, completed=statistics.frames, description=state, state=figures
            )
            self._bar.refresh()


def _columns(width: int) -> list[ProgressColumn]:
    """Return what fits a terminal: how far it is always, the figures where there is room."""
    if width < _FULL_WIDTH:
        return [BarColumn(bar_width=max(4, width - 24)), MofNCompleteColumn()]
    return [
        TextColumn("{task.description}"),
        BarColumn(bar_width=min(40, width - 78)),
        MofNCompleteColumn(),
        TextColumn("frames  {task.fields[state]}"),
    ]
