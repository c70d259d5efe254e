"""The dimensions of one array: a compact row for each, to add, remove and reorder."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, Label, LineEdit, PushButton, SpinBox

from aqz_napari.form.recording_plan import KINDS, AxisPlan
from aqz_napari.widget.form_parts import cell, column, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["AxisTable"]

_LARGEST = 2**31 - 1
_UNLIMITED = "∞"
_NEW_NAMES = "tczpabdefg"
_SHOWN = {"micrometer": "µm", "second": "s", "millisecond": "ms", "nanometer": "nm"}
_STORED = {
    "µm": "micrometer",
    "um": "micrometer",
    "s": "second",
    "ms": "millisecond",
    "nm": "nanometer",
}


class AxisTable:
    """Rows of axes.

    Parameters
    ----------
    on_change : callable
        Called, without arguments, after the user changed something.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._quiet = False
        self._rows: list[_Row] = []
        titles = (("axis", 44), ("kind", 90), ("size", 56), ("chunk", 52), ("shard", 50))
        head = row(*[cell(Label(value=title), width) for title, width in titles], left=True)
        self._body = column()
        self.details = CheckBox(text="Scale and units", value=False)
        self.details.tooltip = "Size of a pixel along each axis, or time between frames"
        self.details.changed.connect(self._show_details)
        self.add = PushButton(text="+ axis")
        self.add.tooltip = "Add an axis in front, for example z for a stage that steps"
        self.add.changed.connect(self._add)
        self.container = column(head, self._body, row(self.details, self.add))

    def axes(self) -> tuple[AxisPlan, ...]:
        """Return what the rows say."""
        return tuple(r.axis() for r in self._rows)

    def show(self, axes: Sequence[AxisPlan]) -> None:
        """Show these axes; reports no change."""
        with self._silent():
            if len(axes) != len(self._rows):
                self._body.clear()
                self._rows = [_Row(self) for _ in axes]
                for r in self._rows:
                    self._body.append(r.container)
            for r, axis in zip(self._rows, axes, strict=True):
                r.show(axis)
            self._show_details()

    def changed(self) -> None:
        """Pass a change of the user on."""
        if not self._quiet:
            self._on_change()

    def remove(self, r: _Row) -> None:
        """Take an axis out."""
        if len(self._rows) > 2:
            self._replace([other.axis() for other in self._rows if other is not r])

    def raise_(self, r: _Row) -> None:
        """Move an axis one place to the front."""
        position = self._rows.index(r)
        axes = [other.axis() for other in self._rows]
        if position:
            axes[position - 1], axes[position] = axes[position], axes[position - 1]
            self._replace(axes)

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
        self.show(axes)
        self.changed()

    def _show_details(self) -> None:
        """Show or hide the second line of each row."""
        for r in self._rows:
            r.details.visible = bool(self.details.value)

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Report no changes meanwhile."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


class _Row:
    """One axis."""

    def __init__(self, table: AxisTable) -> None:
        number = {"min": 0, "max": _LARGEST}
        self.name = cell(LineEdit(), 44, "Name of the axis")
        self.kind = cell(ComboBox(choices=list(KINDS)), 90, "What the axis counts")
        self.size = cell(LineEdit(), 56, "Pixels or positions; ∞: as many as come")
        self.chunk = cell(
            SpinBox(**number), 52, "Pixels of a chunk: what viewers read and codecs see at once"
        )
        self.shard = cell(
            SpinBox(**number), 50, "Chunks of a shard: what is one file; 0 for a file per chunk"
        )
        self.up = cell(PushButton(text="↑"), 22, "Move to the front")
        self.out = cell(PushButton(text="✕"), 22, "Remove this axis")
        self.scale = cell(
            FloatSpinBox(min=0, max=1e12, step=0.01), 110, "Size of a pixel, or time between frames"
        )
        self.unit = cell(LineEdit(), 96, "Unit of the scale: µm, s, ...; empty for none")
        self.unit.native.setPlaceholderText("unit")
        self.scale.native.setDecimals(6)
        self.details = row(cell(Label(value="scale"), 44), self.scale, self.unit, left=True)
        line = row(
            self.name, self.kind, self.size, self.chunk, self.shard, self.up, self.out, left=True
        )
        self.container = column(line, self.details)
        self.up.changed.connect(lambda: table.raise_(self))
        self.out.changed.connect(lambda: table.remove(self))
        for widget in (
            self.name, self.kind, self.size, self.chunk, self.shard, self.scale, self.unit
        ):  # fmt: skip
            widget.changed.connect(table.changed)

    def show(self, axis: AxisPlan) -> None:
        """Show an axis."""
        self.name.value, self.kind.value = axis.name, axis.kind
        self.size.value = str(axis.size) if axis.size else _UNLIMITED
        self.chunk.value, self.shard.value = axis.chunk, axis.shard
        self.scale.value = axis.scale
        self.unit.value = _SHOWN.get(axis.unit, axis.unit)

    def axis(self) -> AxisPlan:
        """Return what the row says."""
        unit = str(self.unit.value).strip()
        return AxisPlan(
            str(self.name.value).strip(),
            str(self.kind.value),
            _size(str(self.size.value).strip()),
            int(self.chunk.value),
            int(self.shard.value),
            float(self.scale.value),
            _STORED.get(unit, unit),
        )


def _size(text: str) -> int:
    """Return a size as it was typed; -1, which the engine refuses, for what is no number."""
    if text in ("", _UNLIMITED, "inf"):
        return 0
    return int(text) if text.isdecimal() else -1
