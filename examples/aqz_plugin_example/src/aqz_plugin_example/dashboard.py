"""A text dashboard: one line on standard error that is rewritten.

Observers run on a thread of their own and get the newest `Progress` ten times a second at most;
being slow, or failing, does not disturb the recording.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aqz_core import Progress, StreamClosed

BAR = 20


def show_progress(event: Progress) -> None:
    """Rewrite the line."""
    now = event.statistics
    full = round(BAR * now.queue_fill)
    bar = "#" * full + "-" * (BAR - full)
    line = f"{now.frames:>8} frames {now.megabytes_per_second:8.1f} MB/s  memory [{bar}]"
    sys.stderr.write(f"\r{line}")
    sys.stderr.flush()


def show_closed(event: StreamClosed) -> None:
    """End the line with what was recorded."""
    total = event.report.statistics
    sys.stderr.write(f"\r{total.frames} frames are in {event.report.path}{' ' * BAR}\n")
    sys.stderr.flush()
