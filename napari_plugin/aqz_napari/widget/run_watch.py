"""What is seen of a recording beyond the form: status bar, followed store, fed preview.

Also guards the window: closing it asks, and finishes the store. All of it is on the main thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QMainWindow, QWidget

from aqz_napari.form.destination import is_remote
from aqz_napari.recorder.recorder_status import RecorderState, RecorderStatus
from aqz_napari.widget.live_preview import LivePreview
from aqz_napari.widget.result_view import LiveView
from aqz_napari.widget.window_guard import WindowGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aqz_napari.recorder.recorder import Recorder
    from aqz_napari.sources.frame_source import FrameSource

__all__ = ["RunWatch"]

_NO_FRAME_SECONDS = 3.0
"""Seconds without a frame after which that is said."""


class RunWatch:
    """Shows one recording after the other, in the viewer and at the edge of its window.

    Parameters
    ----------
    viewer : napari.Viewer
        Where recordings are followed and previews fed.
    on_close : callable
        Called, without arguments, when the window closes.
    """

    def __init__(self, viewer: Any, on_close: Callable[[], None]) -> None:
        self._viewer = viewer
        self._on_close = on_close
        self.guard: WindowGuard | None = None
        self._recorder: Recorder | None = None
        self._sources: list[FrameSource] = []
        self._live: LiveView | None = None
        self._preview: LivePreview | None = None
        self._looks = 0
        self._seen_unseen = 0
        self._last_frame = (0, 0.0)

    def guard_window_of(self, dock: QWidget) -> None:
        """Guard the window that a dock is in; once for each viewer."""
        parent = dock.parentWidget()
        while parent is not None and not isinstance(parent, QMainWindow):
            parent = parent.parentWidget()
        if parent is not None and self.guard is None:
            self.guard = WindowGuard(parent, self._on_close)
            self.guard.watch(self._recorder)

    def begin(self, recorder: Recorder, sources: Iterable[FrameSource], *, follow: bool) -> None:
        """Guard the window, and follow a store on this machine if that is wanted."""
        self._recorder, self._sources = recorder, list(sources)
        self._looks = self._seen_unseen = 0
        self._last_frame = (0, 0.0)
        if self.guard is not None:
            self.guard.watch(recorder)
        if follow and not is_remote(recorder.store_path):
            self._live = LiveView(self._viewer, recorder.store_path, list(recorder.taps))

    def feed_preview(self, *, in_place: bool) -> None:
        """Give napari-micromanager's preview the newest frame: the recorder takes it away."""
        camera = next((source for source in self._sources if hasattr(source, "latest")), None)
        if camera is not None:
            self._preview = LivePreview(
                self._viewer, lambda: getattr(camera, "latest", None), in_place=in_place
            )
            self._preview.start()

    def look(self, status: RecorderStatus) -> None:
        """Show how it goes where it is seen with the dock closed, and what the store has."""
        if self.guard is not None:
            what = "paused" if status.state is RecorderState.PAUSED else "recording"
            self.guard.show_text(
                f"● {what}: {status.written} frames, {status.lost} lost", alarm=status.lost > 0
            )
        self._looks += 1
        if self._live is not None and self._looks % 2 == 0:
            self._live.update()

    def silence(self, status: RecorderStatus) -> tuple[str, bool]:
        """Say that no frame has come for a while, and whether another capture would see them."""
        received = sum(count.received for count in status.arrays.values())
        waits = status.is_armed or status.state is not RecorderState.RECORDING
        if received != self._last_frame[0] or waits:
            self._last_frame, self._seen_unseen = (received, status.seconds), 0
            return "", False
        for source in self._sources:
            look = getattr(source, "changed_unseen", None)
            self._seen_unseen += bool(look is not None and self._looks % 2 == 0 and look())
        quiet = status.seconds - self._last_frame[1]
        every = self._recorder.take_rule.every if self._recorder is not None else None
        if quiet < _NO_FRAME_SECONDS + (every or 0.0):
            return "", False
        said = f"No frame has come for {quiet:.0f} s."
        if self._seen_unseen:
            return f"{said} The layer is changed in place, which this capture does not see.", True
        return f"{said} Is the camera running?", False

    def close(self) -> None:
        """Guard the window no longer."""
        self.end()
        if self.guard is not None:
            self.guard.let_go()

    def end(self) -> None:
        """Show nothing more, and let the window be closed."""
        self._recorder, self._sources = None, []
        if self._preview is not None:
            self._preview.stop()
            self._preview = None
        if self._live is not None:
            self._live.close()
            self._live = None
        if self.guard is not None:
            self.guard.watch(None)
            self.guard.show_text("")
