"""The part of the form that says when a recording ends by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, FloatSpinBox

from aqz_napari.recorder.recorder_status import StopRule
from aqz_napari.widget.form_parts import cell, label, row

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StopForm"]

_LIMITS = {
    "when I press Stop": "",
    "after frames": "frames",
    "after seconds": "seconds",
    "after MB": "MB",
}


class StopForm:
    """A `StopRule` to be edited.

    Parameters
    ----------
    on_edit : callable
        Called, without arguments, after a change.
    """

    def __init__(self, on_edit: Callable[[], None]) -> None:
        self.rule = cell(ComboBox(choices=list(_LIMITS)), 172, "When the recording ends by itself")
        self.limit = cell(
            FloatSpinBox(value=100, min=0.1, max=1e12, step=10), 84,
            "Frames of each source, seconds, or MB of pixels of all of them",
        )  # fmt: skip
        self.floor = cell(
            FloatSpinBox(value=1, min=0, max=1e6, step=1), 60,
            "Stop when fewer GB are free on the disk; 0 for no limit",
        )  # fmt: skip
        self.floor.native.setDecimals(2)
        self._limit_row = row(self.rule, self.limit, left=True)
        self.rows = [self._limit_row, row(label("keep free, GB", 110), self.floor, left=True)]
        self.rule.changed.connect(self._show_limit)
        for widget in (self.rule, self.limit, self.floor):
            widget.changed.connect(on_edit)

    def hide_limit(self) -> None:
        """Show the number only where there is a limit; once the form is laid out."""
        self._show_limit()

    def plan(self) -> StopRule:
        """Return what the form says."""
        limit, what = float(self.limit.value), _LIMITS[self.rule.value]
        return StopRule(
            frames=max(1, int(limit)) if what == "frames" else None,
            seconds=limit if what == "seconds" else None,
            nbytes=int(limit * 1e6) if what == "MB" else None,
            disk_floor=int(float(self.floor.value) * 1e9) or None,
        )

    def _show_limit(self) -> None:
        """Show or hide the number."""
        what = _LIMITS[self.rule.value]
        self.limit.visible = bool(what)
        if what:  # frames are counted, not measured
            self.limit.native.setDecimals(0 if what == "frames" else 1)
