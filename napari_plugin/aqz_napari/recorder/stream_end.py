"""What a stream tells besides: its report, what cannot be read, where it went on."""

from __future__ import annotations

import aqz_core as aqz
from aqz_napari.recorder.error_text import first_line

__all__ = ["StreamEnd"]


class StreamEnd:
    """An observer of one stream.

    Attributes
    ----------
    report : aqz_core.StreamReport or None
        What was recorded; None until the stream is closed, and if it failed.
    unreadable : int
        After a failure: frames that the stream had taken and that cannot be read from the store.
    spill_path : str
        Where the recording goes on because the object store failed; empty while it has not.
    spill_reason : str
        Why it failed.
    """

    def __init__(self) -> None:
        self.report: aqz.StreamReport | None = None
        self.unreadable = 0
        self.spill_path = self.spill_reason = ""

    @aqz.hookimpl
    def aqz_stream_spilled(self, event: aqz.StreamSpilled) -> None:
        """Keep where it goes on, and why."""
        self.spill_reason = first_line(event.reason)
        self.spill_path = event.spill_path

    @aqz.hookimpl
    def aqz_stream_closed(self, event: aqz.StreamClosed) -> None:
        """Keep the report."""
        self.report = event.report

    @aqz.hookimpl
    def aqz_stream_failed(self, event: aqz.StreamFailed) -> None:
        """Keep what was lost."""
        self.unreadable = event.unreadable_frames
