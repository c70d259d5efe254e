"""The sources that can be chosen: cameras first, then what others registered, then layers."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from aqz_napari.sources.acquisition_source import NextAcquisition
from aqz_napari.sources.camera_facts import live_interval, running_core
from aqz_napari.sources.frame_source import registered_sources
from aqz_napari.sources.layer_source import LayerSource
from aqz_napari.sources.pymmcore_source import LiveCameraSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.form.choices import Capture
    from aqz_napari.sources.frame_source import FrameSource

__all__ = ["SourceList"]

_RATE_WINDOW = 2.0
_LEAST_ROWS, _MOST_ROWS = 2, 6
_LOSSLESS_TIP = "Every frame is recorded, past the display"
_LAYER_TIP = "What the layer shows is recorded: live views usually skip frames of the camera"


class SourceList(QTreeWidget):  # type: ignore[misc]  # Qt is not typed here
    """A list of sources with check boxes; it scrolls when there are many.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.
    capture : Capture
        How layers are captured.
    on_change : callable
        Called, without arguments, after the choice changed.
    """

    def __init__(self, viewer: Any, capture: Capture, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._viewer = viewer
        self._capture = capture
        self._on_change = on_change
        self._items: dict[object, QTreeWidgetItem] = {}
        self._made: dict[object, tuple[tuple[Any, ...], FrameSource]] = {}
        self._meters: dict[object, _RateMeter] = {}
        self._has_chosen = False
        self._quiet = False
        self._lay_out()
        self.itemChanged.connect(self._item_changed)
        layers = viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._layers_changed)
        self.refresh()

    def _lay_out(self) -> None:
        """Make it a plain list of two columns, the first of which gives way."""
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(0)
        self.setUniformRowHeights(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)
        self.header().setStretchLastSection(False)
        self.header().setMinimumSectionSize(40)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)

    def sizeHint(self) -> QSize:
        """Ask for a row for each source, within limits."""
        rows = min(max(self.topLevelItemCount(), _LEAST_ROWS), _MOST_ROWS)
        height = max(self.sizeHintForRow(0), self.fontMetrics().height() + 6)
        return QSize(120, rows * height + 2 * self.frameWidth() + 2)

    def minimumSizeHint(self) -> QSize:
        """Take no less than that: the form scrolls, and the list in it only if it is long."""
        return self.sizeHint()

    # ---- the choice --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look again which sources there are; what the user chose is kept."""
        wanted = self._candidates()
        if list(wanted) != list(self._items):
            self._rebuild(wanted)
        if not self._has_chosen:
            self._choose_for_the_user()
        self._quiet = True
        for source, item in self._items.items():
            item.setText(0, wanted[source])
            item.setText(1, self._note(source))
        self._quiet = False

    def choose(self, *sources: object) -> None:
        """Choose these and no others: layers, or names of sources."""
        self._has_chosen = True
        self._check(sources)

    def chosen(self) -> list[object]:
        """Return what is chosen: layers and names."""
        checked = Qt.CheckState.Checked
        return [s for s, item in self._items.items() if item.checkState(0) == checked]

    def offered(self) -> list[object]:
        """Return all that can be chosen."""
        return list(self._items)

    def forget_choice(self) -> None:
        """Choose again what a new user would want."""
        self._has_chosen = False
        self.refresh()

    def hint(self) -> tuple[str, object | None]:
        """Return what to say of the choice, and a better source; empty if there is nothing."""
        core = running_core()
        rate = self.rate("camera")
        chosen = self.chosen()
        if core is None or not rate or "camera" in chosen:
            return "", None
        for layer in chosen:
            shown = None if isinstance(layer, str) else self.rate(layer)
            if shown and shown < 0.9 * rate:
                name = str(getattr(layer, "name", layer))
                return (
                    f"{name} shows {shown:.0f} of the {rate:.0f} frames a second that "
                    f"{core.getCameraDevice()} makes; the camera itself loses none",
                    "camera",
                )
        return "", None

    # ---- sources -----------------------------------------------------------------------------

    def source(self, source: object) -> FrameSource:
        """Return the source to record for a layer or name.

        Raises
        ------
        SourceError
            It cannot be recorded as it is.
        """
        c = self._capture
        options = () if isinstance(source, str) else (c.how, c.what, c.interval, c.skip_unchanged)
        made = self._made.get(source)
        if made is None or made[0] != options:
            made = (options, self._make(source))
            self._made[source] = made
        return made[1]

    def is_occupied(self, source: object) -> bool:
        """Return whether asking a source now could hold up the window: its core is acquiring."""
        core = running_core() if source in ("camera", "acquisition") else None
        return core is not None and bool(core.mda.is_running())

    def forget_made(self) -> None:
        """Make sources anew next time: each is used for one recording."""
        self._made.clear()

    def title(self, source: object) -> str:
        """Return what a source is called."""
        return source if isinstance(source, str) else str(getattr(source, "name", source))

    def rate(self, source: object) -> float | None:
        """Return the frames a second of a source; None where that is not known."""
        if source == "camera":
            core = running_core()
            return None if core is None or self.is_occupied(source) else _camera_rate(core)
        meter = self._meters.get(source)
        return None if meter is None else meter.rate()

    def is_layer(self) -> bool:
        """Return whether a layer is chosen."""
        return any(not isinstance(source, str) for source in self.chosen())

    def close_down(self) -> None:
        """Listen to the viewer no more."""
        layers = self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.disconnect(self._layers_changed)
        for meter in self._meters.values():
            meter.stop()
        self._meters.clear()

    # ---- parts -------------------------------------------------------------------------------

    def _candidates(self) -> dict[object, str]:
        """Return all sources with their names, those that lose no frames first."""
        found: dict[object, str] = {}
        core = running_core()
        if core is not None:
            found["camera"] = f"{core.getCameraDevice()}, live"
            found["acquisition"] = "next acquisition"
        found |= {name: name for name in registered_sources()}
        for layer in reversed(self._viewer.layers):
            if _can_be_recorded(layer):
                found[layer] = layer.name
        return found

    def _rebuild(self, wanted: dict[object, str]) -> None:
        """Show other sources; those that stay keep their check marks."""
        chosen, self._quiet = self.chosen(), True
        try:
            self.clear()
            self._items = {}
            for source, name in wanted.items():
                item = QTreeWidgetItem([name, ""])
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                state = Qt.CheckState.Checked if source in chosen else Qt.CheckState.Unchecked
                item.setCheckState(0, state)
                tip = _LOSSLESS_TIP if isinstance(source, str) else _LAYER_TIP
                item.setToolTip(0, f"{name}\n{tip}")
                item.setToolTip(1, tip)
                item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
                self._items[source] = item
                self.addTopLevelItem(item)
        finally:
            self._quiet = False
        for source in [s for s in self._meters if s not in wanted]:
            self._meters.pop(source).stop()
            self._made.pop(source, None)
        for source in wanted:
            if not isinstance(source, str) and source not in self._meters:
                self._meters[source] = _RateMeter(source)
        self.updateGeometry()

    def _choose_for_the_user(self) -> None:
        """Choose what most people want: the camera, another source without losses, or a layer."""
        lossless = [s for s in self._items if isinstance(s, str) and s != "acquisition"]
        layers = [s for s in self._items if not isinstance(s, str)]
        active = self._viewer.layers.selection.active
        best = lossless[:1] or ([active] if active in layers else layers[:1])
        if not lossless and set(self.chosen()) & set(layers):
            return  # the first layer that came stays
        if self.chosen() != best:
            self._check(best)

    def _check(self, sources: Any) -> None:
        """Put check marks at these, and tell once."""
        self._quiet = True
        try:
            for source, item in self._items.items():
                wanted = any(source is one or source == one for one in sources)
                item.setCheckState(0, Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)
        finally:
            self._quiet = False
        self._on_change()

    def _note(self, source: object) -> str:
        """Return what is said beside a name: what is recorded, and how fast it comes."""
        rate = self.rate(source)
        often = f" · {rate:.0f}/s" if rate and rate >= 0.5 else ""
        return f"every frame{often}" if isinstance(source, str) else f"as displayed{often}"

    def _make(self, source: object) -> FrameSource:
        """Make the source of a layer or name."""
        if not isinstance(source, str):
            c = self._capture
            return LayerSource(
                source,
                c.how,  # type: ignore[arg-type]  # one of the choices
                c.what,  # type: ignore[arg-type]
                interval=c.interval,
                skip_unchanged=c.skip_unchanged,
                viewer=self._viewer,
            )
        factory = registered_sources().get(source)
        if factory is not None:
            return factory()
        core = running_core()
        return LiveCameraSource(core) if source == "camera" else NextAcquisition(core)

    def _layers_changed(self, event: Any = None) -> None:
        """Follow the layer list."""
        self.refresh()
        self._on_change()

    def _item_changed(self, item: QTreeWidgetItem, column: int) -> None:
        """Follow the user."""
        if not self._quiet and column == 0:
            self._has_chosen = True
            self._on_change()


def _can_be_recorded(layer: Any) -> bool:
    """Return whether a layer is offered: pixels, and not a recording that was opened."""
    pixels = hasattr(layer, "rgb") or type(layer).__name__ == "Labels"
    return pixels and not layer.metadata.get("recording")


def _camera_rate(core: Any) -> float | None:
    """Return the frames a second of live mode, or those that the exposure allows."""
    try:
        if core.isSequenceRunning() and (interval := live_interval(core)):
            return 1 / interval
        exposure = float(core.getExposure())
    except RuntimeError:  # the camera is being changed, or has gone
        return None
    return 1e3 / exposure if exposure else None


class _RateMeter:
    """Counts how often a layer's data are set."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._times: deque[float] = deque(maxlen=1000)
        layer.events.data.connect(self._count)

    def _count(self, event: Any = None) -> None:
        """Note an update; runs on whatever thread sets the data."""
        self._times.append(time.monotonic())

    def rate(self) -> float:
        """Return updates a second over the last two seconds."""
        now = time.monotonic()
        recent = sum(1 for moment in tuple(self._times) if moment > now - _RATE_WINDOW)
        return recent / _RATE_WINDOW

    def stop(self) -> None:
        """Count no more."""
        self._layer.events.data.disconnect(self._count)
