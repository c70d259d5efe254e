"""Letting a real napari window work while a test waits. Needs a display; tests/run has one."""

from __future__ import annotations

import os
import sys
import time

import pytest

__all__ = ["DEADLINE", "finish", "needs_display", "notice", "pump", "start"]

needs_display = pytest.mark.skipif(
    sys.platform == "linux" and not os.environ.get("DISPLAY"),
    reason="needs a display: xvfb-run python -m pytest tests/napari",
)

DEADLINE = 20.0


def pump(condition, timeout=DEADLINE):
    """Let the window work until something is so."""
    from qtpy.QtWidgets import QApplication

    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        QApplication.processEvents()
        time.sleep(0.005)


def start(widget):
    assert widget.start(), [problem.message for problem in widget.check()]
    pump(lambda: widget.session.starting is None)
    assert widget.recorder is not None
    return widget.recorder


def finish(widget):
    pump(lambda: widget.recorder.state.is_over and not widget.is_busy())


def notice(widget, field):
    """Return what stands beside a part of the form."""
    return widget.sections[field].message.text()
