"""The axes of one array: what they are called and how large a pixel is, and how they are cut.

Fields are made from `AxisPlan` by magicgui: one definition says what an axis has, what may be
typed, and what the tips are. The rows are rewritten only when their number changes.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from aqz_napari.form.axis_fields import AxisFields
from aqz_napari.form.recording_plan import AxisPlan
from aqz_napari.widget.form_parts import button, line, narrow, stack, wrapping_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["AxisTable"]

_UNLIMITED = "∞"
_NEW_NAMES = "zcptabdefg"
_SHOWN = {"micrometer": "µm", "second": "s", "millisecond": "ms", "nanometer": "nm"}
_STORED = {
    "µm": "micrometer",
    "um": "micrometer",
    "s": "second",
    "ms": "millisecond",
    "nm": "nanometer",
}


class AxisTable:
    """Rows of axes, in two parts: what they are, and how they are cut into chunks and shards.

    Parameters
    ----------
    on_change : callable
        Called, without arguments, after the user changed something.

    Attributes
    ----------
    calibration, tiling : QWidget
        The parts, for two sections of the form.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._quiet = False
        self._rows: list[_Row] = []
        self._fixed = 2
        self._axes, self._tiles = QWidget(), QWidget()
        self._axes_grid, self._tiles_grid = _grid(self._axes), _grid(self._tiles)
        for column, title in enumerate(("", "chunk, pixels", "shard, chunks")):
            self._tiles_grid.addWidget(wrapping_label(title), 0, column)
        self.add = button("+ axis", self._add, "Add an axis in front of the frames, such as z")
        self.calibration = stack(self._axes, line(self.add, stretch=None))
        self.tiling = self._tiles

    def axes(self) -> tuple[AxisPlan, ...]:
        """Return what the rows say."""
        return tuple(r.axis() for r in self._rows)

    def show(self, axes: Sequence[AxisPlan], fixed: int = 2) -> None:
        """Show these axes, the last `fixed` of which are the source's; reports no change."""
        self._fixed = fixed
        with self._silent():
            if len(axes) != len(self._rows):
                self._remake(len(axes))
            for place, (r, axis) in enumerate(zip(self._rows, axes, strict=True)):
                r.show(axis)
                r.set_fixed(place >= len(axes) - fixed, place == 0)

    def changed(self) -> None:
        """Pass a change of the user on."""
        if not self._quiet:
            self._on_change()

    def remove(self, r: _Row) -> None:
        """Take an axis out."""
        self._replace([other.axis() for other in self._rows if other is not r])

    def raise_(self, r: _Row) -> None:
        """Move an axis one place to the front."""
        position = self._rows.index(r)
        axes = [other.axis() for other in self._rows]
        axes[position - 1], axes[position] = axes[position], axes[position - 1]
        self._replace(axes)

    def _remake(self, count: int) -> None:
        """Have so many rows."""
        while len(self._rows) > count:
            self._rows.pop().discard()
        while len(self._rows) < count:
            place = len(self._rows) + 1
            self._rows.append(_Row(self, self._axes_grid, self._tiles_grid, place))

    def _add(self) -> None:
        """Put an axis of one position behind the first, or in front of a single frame."""
        axes = [r.axis() for r in self._rows]
        taken = {axis.name for axis in axes}
        name = next(name for name in _NEW_NAMES if name not in taken)
        kind = {"t": "time", "c": "channel", "z": "space"}.get(name, "other")
        new = AxisPlan(name, kind, 1, 1, 1)
        place = 1 if axes and axes[0].size == 0 else 0
        axes.insert(place, replace(new, size=0) if not place and len(axes) == 2 else new)
        self._replace(axes)

    def _replace(self, axes: Sequence[AxisPlan]) -> None:
        """Show other axes as a change of the user."""
        self.show(axes, self._fixed)
        self.changed()

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Report no changes meanwhile."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


class _Row:
    """One axis: two lines in the one part, and one in the other."""

    def __init__(self, table: AxisTable, axes: QGridLayout, tiles: QGridLayout, place: int) -> None:
        self._form = AxisFields().gui
        self.name, self.kind, self.size, self.scale, self.unit, self.chunk, self.shard = self._form
        self.up = button("↑", lambda: table.raise_(self), "Move to the front")
        self.out = button("✕", lambda: table.remove(self), "Remove this axis")
        self._label, self._origin = QLabel(), 0.0
        narrow(self.kind.native)
        letter = QFontMetrics(self.name.native.font()).averageCharWidth()
        for field, letters in ((self.name, 4), (self.size, 5), (self.scale, 5), (self.unit, 4)):
            field.min_width = letters * letter + 16
        self.unit.native.setPlaceholderText("unit")
        first = line(self.name.native, self.kind.native, self.up, self.out, stretch=0)
        times = QLabel("\u00d7")  # the sign of multiplication
        times.setToolTip("So many pixels or frames, each of this size or time")
        second = line(self.size.native, times, self.scale.native, self.unit.native, stretch=2)
        self._lines = [first, second, self._label, self.chunk.native, self.shard.native]
        axes.addWidget(first, 2 * place, 0)
        axes.addWidget(second, 2 * place + 1, 0)
        for column, widget in enumerate(self._lines[2:]):
            tiles.addWidget(widget, place, column)
        for field in self._form:
            field.changed.connect(table.changed)

    def discard(self) -> None:
        """Take the row out of both parts."""
        for widget in self._lines:
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()

    def set_fixed(self, fixed: bool, first: bool) -> None:
        """Allow an axis of the frame itself neither to be moved nor to be removed."""
        self.out.setVisible(not fixed)
        self.up.setVisible(not fixed)
        self.up.setEnabled(not first)

    def show(self, axis: AxisPlan) -> None:
        """Show an axis."""
        self._origin = axis.origin
        self._label.setText(axis.name)
        values = {
            self.name: axis.name,
            self.kind: axis.kind,
            self.size: str(axis.size) if axis.size else _UNLIMITED,
            self.chunk: axis.chunk,
            self.shard: axis.shard,
            self.scale: f"{axis.scale:.10g}",
            self.unit: _SHOWN.get(axis.unit, axis.unit),
        }
        for field, value in values.items():
            if field.value != value:  # what is being typed is left alone
                field.value = value

    def axis(self) -> AxisPlan:
        """Return what the row says."""
        unit = str(self.unit.value).strip()
        return AxisPlan(
            str(self.name.value).strip(),
            str(self.kind.value),
            _size(str(self.size.value).strip()),
            int(self.chunk.value),
            int(self.shard.value),
            _number(str(self.scale.value)),
            _STORED.get(unit, unit),
            self._origin,
        )


def _grid(widget: QWidget) -> QGridLayout:
    """Return a grid for the rows of a part."""
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(4)
    return grid


def _number(text: str) -> float:
    """Return a number as it was typed; for anything else NaN, which the engine refuses."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan


def _size(text: str) -> int:
    """Return a size as it was typed; -1, which the engine refuses, for what is not a number."""
    if text in ("", _UNLIMITED, "inf"):
        return 0
    return int(text) if text.isdecimal() else -1
