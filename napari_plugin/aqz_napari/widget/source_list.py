"""The sources that can be chosen: layers of the viewer, cameras, and what others registered."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox
from qtpy.QtWidgets import QComboBox

from aqz_napari.sources.acquisition_source import NextAcquisition
from aqz_napari.sources.camera_facts import running_core
from aqz_napari.sources.frame_source import registered_sources
from aqz_napari.sources.layer_source import CAPTURES, UPDATES, LayerSource
from aqz_napari.sources.pymmcore_source import LiveCameraSource
from aqz_napari.widget.form_parts import cell, column, label, row, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.sources.frame_source import FrameSource

__all__ = ["SourceList"]

_RATE_WINDOW = 2.0


class SourceList:
    """Check boxes for sources, and how layers are captured.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.
    on_change : callable
        Called, without arguments, after the choice changed.
    """

    def __init__(self, viewer: Any, on_change: Callable[[], None]) -> None:
        self._viewer = viewer
        self._on_change = on_change
        self._boxes: dict[object, Any] = {}
        self._made: dict[object, tuple[tuple[Any, ...], FrameSource]] = {}
        self._rates: dict[object, _RateMeter] = {}
        self._body = column()
        self.empty = text("Open or start something live: there is no image layer yet.", small=True)
        self.capture = ComboBox(
            choices=[(words, name) for name, words in CAPTURES.items()], value="update"
        )
        self.capture.tooltip = (
            "How a new frame of a layer is noticed. In place and at regular times, a frame that "
            "is still being written may be caught."
        )
        self.update = ComboBox(
            choices=[(words, name) for name, words in UPDATES.items()], value="stack"
        )
        self.update.tooltip = "What of the layer each update records"
        for box in (self.capture, self.update):
            box.native.setMinimumContentsLength(10)
            box.native.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.interval = cell(FloatSpinBox(value=0.1, min=0.001, max=3600, step=0.01), 74)
        self.interval.tooltip = "Seconds from one look at the layer to the next"
        self.skip = CheckBox(text="skip unchanged", value=False)
        self._timer_row = row(self.interval, self.skip)
        self._capture_row = row(label("capture"), self.capture)
        self._update_row = row(label("record"), self.update)
        self.container = column(
            self._body, self.empty, self._capture_row, self._timer_row, self._update_row
        )
        for widget in (self.capture, self.update, self.interval, self.skip):
            widget.changed.connect(self._changed)
        layers = viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._layers_changed)
        self.refresh()

    def refresh(self) -> None:
        """Look again which sources there are; the choice is kept."""
        wanted = self._candidates()
        for source in [s for s in self._boxes if s not in wanted]:
            self._body.remove(self._boxes.pop(source))
            self._made.pop(source, None)
            if source in self._rates:
                self._rates.pop(source).stop()
        for source, words in wanted.items():
            if source not in self._boxes:
                # The first layer that comes is what most people want to record.
                box = CheckBox(text=words, value=not self.chosen() and not isinstance(source, str))
                box.changed.connect(self._changed)
                self._boxes[source] = box
                self._body.append(box)
                if not isinstance(source, str):
                    self._rates[source] = _RateMeter(source)
            self._boxes[source].text = self._label(source, words)
        self.empty.visible = not self._boxes
        self._show_options()

    def choose(self, *sources: object) -> None:
        """Choose these and no others: layers, or names of registered sources."""
        for source, box in self._boxes.items():
            box.value = source in sources

    def chosen(self) -> list[object]:
        """Return what is chosen: layers and names."""
        return [source for source, box in self._boxes.items() if box.value]

    def source(self, source: object) -> FrameSource:
        """Return the source to record for a layer or name.

        Raises
        ------
        SourceError
            It cannot be recorded as it is.
        """
        options: tuple[Any, ...] = ()
        if not isinstance(source, str):
            options = (
                self.capture.value, self.update.value, self.interval.value, self.skip.value,
            )  # fmt: skip
        made = self._made.get(source)
        if made is None or made[0] != options:
            made = (options, self._make(source))
            self._made[source] = made
        return made[1]

    def is_occupied(self, source: object) -> bool:
        """Tell whether asking a source now could hold up the window: its core is acquiring."""
        core = running_core() if source in ("camera", "acquisition") else None
        return core is not None and bool(core.mda.is_running())

    def forget_made(self) -> None:
        """Make sources anew next time: each is used for one recording."""
        self._made.clear()

    def title(self, source: object) -> str:
        """Return what a source is called."""
        return source if isinstance(source, str) else str(getattr(source, "name", source))

    def rate(self, source: object) -> float | None:
        """Return the updates a second of a layer; None for others."""
        meter = self._rates.get(source)
        return None if meter is None else meter.rate()

    def _candidates(self) -> dict[object, str]:
        """Return all sources with their labels."""
        found: dict[object, str] = {}
        core = running_core()
        if core is not None:
            found["camera"] = f"{core.getCameraDevice()}, live · every frame"
            found["acquisition"] = "next acquisition · every frame"
        for name in registered_sources():
            found[name] = f"{name} · every frame"
        for layer in reversed(self._viewer.layers):
            if hasattr(layer, "rgb") or type(layer).__name__ == "Labels":
                found[layer] = f"{layer.name} · as displayed"
        return found

    def _label(self, source: object, words: str) -> str:
        """Return a label with the rate that was measured."""
        rate = self.rate(source)
        return f"{words} · {rate:.0f} /s" if rate else words

    def _make(self, source: object) -> FrameSource:
        """Make the source of a layer or name."""
        if not isinstance(source, str):
            return LayerSource(
                source,
                self.capture.value,
                self.update.value,
                interval=float(self.interval.value),
                skip_unchanged=bool(self.skip.value),
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

    def _changed(self) -> None:
        """Follow the user."""
        self._show_options()
        self._on_change()

    def _show_options(self) -> None:
        """Show how layers are captured only where a layer is chosen."""
        layers = [source for source in self.chosen() if not isinstance(source, str)]
        self._capture_row.visible = bool(layers)
        self._timer_row.visible = bool(layers) and self.capture.value == "timer"
        self._update_row.visible = any(getattr(layer, "ndim", 2) > 2 for layer in layers)


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
