"""What is seen of a recording beyond the form: status bar, followed store, fed preview.

Also guards the window: from the first recording on, closing it asks and finishes the store. All
of it is on the main thread, and driven by the timer of the dock widget.
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


class RunWatch:
    """Shows one recording after the other, in the viewer and at the edge of its window.

    Parameters
    ----------
    viewer : napari.Viewer
        Where recordings are followed and previews fed.
    dock : QWidget
        The dock widget; its window is guarded.
    on_close : callable
        Called, without arguments, when the window closes and nothing is recorded yet.
    """

    def __init__(self, viewer: Any, dock: QWidget, on_close: Callable[[], None]) -> None:
        self._viewer = viewer
        self._dock = dock
        self._on_close = on_close
        self._guard: WindowGuard | None = None
        self._live: LiveView | None = None
        self._preview: LivePreview | None = None
        self._looks = 0

    @property
    def guard(self) -> WindowGuard | None:
        """The guard of the window that the dock is in; None while it is in none."""
        if self._guard is None:
            parent = self._dock.parentWidget()
            while parent is not None and not isinstance(parent, QMainWindow):
                parent = parent.parentWidget()
            if parent is not None:
                self._guard = WindowGuard(parent, self._on_close)
        return self._guard

    def begin(self, recorder: Recorder, *, follow: bool) -> None:
        """Guard the window, and follow a store on this machine if that is wanted."""
        if self.guard is not None:
            self.guard.watch(recorder)
        if follow and not is_remote(recorder.store_path):
            self._live = LiveView(self._viewer, recorder.store_path, list(recorder.taps))

    def feed_preview(self, sources: Iterable[FrameSource], *, in_place: bool) -> None:
        """Give napari-micromanager's preview the newest frame: the recorder takes it away."""
        camera = next((source for source in sources if hasattr(source, "latest")), None)
        if camera is None:
            return
        self._preview = LivePreview(
            self._viewer, lambda: getattr(camera, "latest", None), in_place=in_place,
            parent=self._dock,
        )  # fmt: skip
        self._preview.start()

    def look(self, status: RecorderStatus) -> None:
        """Show how it goes where it is seen with the dock closed, and what the store has."""
        if self.guard is not None:
            what = "paused" if status.state is RecorderState.PAUSED else "recording"
            self.guard.show_text(
                f"● {what}: {status.written} frames, dropped {status.dropped}",
                alarm=status.dropped > 0,
            )
        self._looks += 1
        if self._live is not None and self._looks % 2 == 0:
            self._live.update()

    def end(self) -> None:
        """Show nothing more, and let the window be closed."""
        if self._preview is not None:
            self._preview.stop()
            self._preview = None
        if self._live is not None:
            self._live.close()
            self._live = None
        if self.guard is not None:
            self.guard.watch(None)
            self.guard.show_text("")
