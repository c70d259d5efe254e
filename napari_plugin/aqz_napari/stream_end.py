"""What a stream tells when it ends: its report, or how many frames cannot be read."""

from __future__ import annotations

import aqz_core as aqz

__all__ = ["StreamEnd"]


class StreamEnd:
    """An observer of one stream.

    Attributes
    ----------
    report : aqz_core.StreamReport or None
        What was recorded; None until the stream is closed, and if it failed.
    unreadable : int
        After a failure: frames that the stream had taken and that cannot be read from the store.
    """

    def __init__(self) -> None:
        self.report: aqz.StreamReport | None = None
        self.unreadable = 0

    @aqz.hookimpl
    def aqz_stream_closed(self, event: aqz.StreamClosed) -> None:
        """Keep the report."""
        self.report = event.report

    @aqz.hookimpl
    def aqz_stream_failed(self, event: aqz.StreamFailed) -> None:
        """Keep what was lost."""
        self.unreadable = getattr(event, "unreadable_frames", 0)
