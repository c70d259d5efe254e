"""The part of the form that says what is recorded: an array for each chosen source.

Sources are described anew when they change; what the user typed stays, axis by axis, until Reset.
The axes of one array are shown at a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QWidget

import aqz_core as aqz
from aqz_napari.form.recording_plan import ArrayPlan, array_keys, array_plan
from aqz_napari.form.said_axes import merge_axes
from aqz_napari.sources.acquisition_source import NextAcquisition
from aqz_napari.sources.frame_source import SourceError
from aqz_napari.widget.axis_table import AxisTable
from aqz_napari.widget.form_parts import narrow, wrapping_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_napari.sources.frame_source import FrameSource, SourceSpec
    from aqz_napari.widget.source_list import SourceList

__all__ = ["ArraysForm"]

_ACQUISITION = (
    "The acquisition brings its own axes, sizes and positions, each position as an image; chunks, "
    "scales and units set here hold for axes of the same name."
)


class ArraysForm:
    """Arrays of the chosen sources.

    Parameters
    ----------
    sources : SourceList
        Says what is chosen, and makes sources.
    on_edit : callable
        Called, without arguments, after a change.

    Attributes
    ----------
    problem : str
        Why a chosen source cannot be recorded; empty if all can.
    """

    def __init__(self, sources: SourceList, on_edit: Callable[[], None]) -> None:
        self.problem = ""
        self._sources = sources
        self._on_edit = on_edit
        self._arrays: dict[object, tuple[SourceSpec, ArrayPlan]] = {}
        self._titles: dict[str, object] = {}
        self._failed: set[object] = set()
        self.array = QComboBox()
        self.array.setToolTip("Several sources go into one store; choose whose axes are shown")
        narrow(self.array)
        self.array.currentIndexChanged.connect(lambda _: self.show())
        self.table = AxisTable(self._edited)
        self.hint = wrapping_label(_ACQUISITION)
        self.rows: list[QWidget] = [self.array, self.table.calibration, self.hint]

    def chosen(self) -> list[object]:
        """Return the chosen sources that have an array, in order."""
        return [
            source
            for source in self._sources.chosen()
            if source in self._arrays and source not in self._failed
        ]

    def plans(self) -> tuple[ArrayPlan, ...]:
        """Return what the form says, one array for each of `chosen`."""
        chosen = self.chosen()
        if not chosen:
            return ()
        keys = array_keys([self._arrays[source][0].name for source in chosen])
        return tuple(
            replace(self._arrays[source][1], key=key)
            for source, key in zip(chosen, keys, strict=True)
        )

    def made(self) -> list[tuple[FrameSource, SourceSpec]]:
        """Return the sources to record, one for each of `chosen`, with what they described."""
        return [(self._sources.source(source), self._arrays[source][0]) for source in self.chosen()]

    def describe_again(self) -> None:
        """Describe the chosen sources anew; what was typed stays."""
        self.problem = ""
        offered = self._sources.offered()
        self._arrays = {source: kept for source, kept in self._arrays.items() if source in offered}
        failed = set()
        for source in self._sources.chosen():
            before = self._arrays.get(source)
            if before is not None and self._sources.is_occupied(source):
                continue
            try:
                spec = self._sources.source(source).describe()
                now = _plan_of(spec)
                self._arrays[source] = (spec, now if before is None else _merged(*before, now))
            except Exception as error:  # sources are programs of other people
                self.problem = _why(self._sources.title(source), error)
                failed.add(source)
        self._failed = failed
        titles: dict[str, object] = {}
        for source in self.chosen():
            name = self._arrays[source][0].name
            titles[name if name not in titles else f"{name} ({len(titles) + 1})"] = source
        if list(titles) != list(self._titles):
            shown = self.array.currentText()
            self.array.blockSignals(True)
            self.array.clear()
            self.array.addItems(list(titles))
            self.array.setCurrentIndex(max(0, self.array.findText(shown)))
            self.array.blockSignals(False)
        self._titles = titles
        self.show()

    def forget_typed(self) -> None:
        """Fill the axes in as the sources describe them."""
        self._arrays.clear()
        self.describe_again()

    def have_changed(self) -> bool:
        """Return whether a chosen source describes itself in another way than before."""
        for source in self.chosen():
            if self._sources.is_occupied(source):
                continue
            try:
                if self._sources.source(source).describe() != self._arrays[source][0]:
                    return True
            except Exception:  # describing it again tells why
                return True
        return False

    def shown(self) -> object | None:
        """Return the source whose array is shown."""
        chosen = self.chosen()
        return self._titles.get(self.array.currentText(), chosen[0] if chosen else None)

    def shown_plan(self) -> ArrayPlan | None:
        """Return the array that is shown."""
        found = self._arrays.get(self.shown())
        return None if found is None else found[1]

    def take(self, plans: Sequence[ArrayPlan]) -> None:
        """Take over the arrays of a plan, one for each of `chosen`."""
        for source, plan in zip(self.chosen(), plans, strict=True):
            self._arrays[source] = (self._arrays[source][0], plan)
        self.show()

    def show(self) -> None:
        """Show the dimensions of the array that is chosen."""
        plan = self.shown_plan()
        self._show_axes(plan)
        self.table.calibration.setVisible(plan is not None)
        self.array.setVisible(len(self._titles) > 1)
        shown = self.shown()
        awaited = isinstance(shown, str) and plan is not None
        self.hint.setVisible(awaited and isinstance(self._sources.source(shown), NextAcquisition))

    def _show_axes(self, plan: ArrayPlan | None) -> None:
        """Show the axes of a plan; those of the frame itself cannot be moved or removed."""
        self.table.show(() if plan is None else plan.axes, len(plan.update_shape) if plan else 2)

    def _edited(self) -> None:
        """Take over what the user did to the dimensions."""
        shown = self.shown()
        if shown in self._arrays:
            spec, plan = self._arrays[shown]
            self._arrays[shown] = (spec, replace(plan, axes=self.table.axes()))
        self._on_edit()


def _merged(spec: SourceSpec, said: ArrayPlan, now: ArrayPlan) -> ArrayPlan:
    """Return the array as it is now, with what the user said of its axes before."""
    return replace(now, axes=merge_axes(said.axes, array_plan("", spec).axes, now.axes))


def _plan_of(spec: SourceSpec) -> ArrayPlan:
    """Return the plan of what a source describes, if it is something that can be stored."""
    try:
        aqz.DataType.of(spec.dtype)
    except (TypeError, ValueError):
        raise SourceError(
            f"{spec.name} delivers pixels of data type {spec.dtype}, which cannot be stored; "
            "convert them, for example with astype('float32')"
        ) from None
    if 0 in spec.update_shape or len(spec.update_shape) < 2:
        raise SourceError(
            f"{spec.name} delivers frames of shape {spec.update_shape}, which are empty or have no "
            "rows and columns"
        )
    return array_plan("", spec)


def _why(title: str, error: Exception) -> str:
    """Return what to say of a source that cannot be described."""
    if isinstance(error, SourceError):
        return str(error)
    return f"{title} cannot be recorded: {type(error).__name__}: {error}"
