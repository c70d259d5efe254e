"""A handler for pymmcore-plus that records to OME-Zarr.

pymmcore-plus calls handlers on a thread that it feeds from a queue without a bound, and stops
feeding one that raises, without a word. So nothing is raised here in the middle of a sequence, and
the frames that wait in that queue are counted: beyond a bound, the acquisition itself has to wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import aqz_core as aqz
from aqz_micromanager.adapter import RunAdapter
from aqz_micromanager.frame_hold import ArrivedFrame
from aqz_micromanager.image_options import ImageOptions
from aqz_micromanager.recorder_options import LEARNING_NBYTES, RecorderOptions
from aqz_micromanager.sequences import (
    ChannelNames,
    frame_tags,
    named_axes,
    read_sequence,
    spec_of,
    start_cameras,
)
from aqz_micromanager.tags import plain

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from aqz_micromanager.pixels import Pixels
    from aqz_micromanager.positions import PlateChoice
    from aqz_micromanager.run_plan import Value
    from aqz_micromanager.store_recording import OnDuplicate
    from aqz_micromanager.tags import FrameMetadata

__all__ = ["MDAHandler"]

_RELAY_NBYTES = 256 << 20
_STALL_SECONDS = 120.0
_GATE_SECONDS = 0.1  # between looks at whether the recording still goes on


class MDAHandler(RunAdapter):
    """Records what pymmcore-plus acquires; give it as ``output=`` of ``core.mda.run``.

    Use it as a context manager around the run, or call `close` afterwards: that is where errors are
    raised, because pymmcore-plus would lose them. One handler records one sequence.

    Parameters
    ----------
    store : str or os.PathLike
        Where to record: a path or URL.
    core : optional
        The core that runs the sequence; ``CMMCorePlus.instance()`` if left out. An error cancels
        its acquisition.
    relay_memory : int
        Bytes of frames that may wait to be handed over before the acquisition has to wait.
    axes, settings, plate, colors, on_duplicate, on_change, on_unplanned, back_pressure, \
frame_metadata, cameras_as_channels, learning_memory
        As for `ZarrProcessor`.

    Examples
    --------
    >>> with MDAHandler("run1.ome.zarr", core=core) as handler:  # doctest: +SKIP
    ...     core.mda.run(sequence, output=handler)
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        *,
        core: Any = None,
        relay_memory: int = _RELAY_NBYTES,
        axes: Mapping[str, int | Iterable[Value] | None] | None = None,
        settings: aqz.StreamSettings | None = None,
        cameras_as_channels: bool = True,
        plate: PlateChoice = "auto",
        colors: Mapping[str, str] | None = None,
        on_duplicate: OnDuplicate = "error",
        on_change: Literal["error", "new_store"] = "error",
        on_unplanned: Literal["error", "add"] = "error",
        back_pressure: Literal["block", "stop"] = "block",
        frame_metadata: FrameMetadata = "compact",
        learning_memory: int = LEARNING_NBYTES,
    ) -> None:
        options = RecorderOptions(
            axes=axes,
            images=ImageOptions(settings, dict(colors or {}), plate),
            on_duplicate=on_duplicate,
            on_change=on_change,
            on_unplanned=on_unplanned,
            back_pressure=back_pressure,
            frame_metadata=frame_metadata,
            cameras_as_channels=cameras_as_channels,
            color_order="rgb",
            learning_memory=learning_memory,
        )
        super().__init__(store, options)
        self._channels = ChannelNames()
        self._cameras: tuple[str, ...] = ()
        self._relay_memory = relay_memory
        self._in_relay = 0
        self._on_the_way: deque[tuple[int, int]] = deque()
        self._relayed = threading.Condition()
        self._canceled = False
        self._patience = settings.stall_timeout if settings is not None else _STALL_SECONDS
        self._core = core
        self._gated = core is not None
        if self._gated:
            core.mda.events.frameReady.connect(self._admit)

    # ---- what pymmcore-plus calls -----------------------------------------------------------

    def sequenceStarted(self, sequence: Any, metadata: Mapping[str, Any] | None = None) -> None:
        """Plan the recording; the store is opened if the sequence tells everything."""
        start = metadata or {}
        try:
            self._cameras = start_cameras(start)
            summary = {key: start[key] for key in ("datetime", "system_info") if key in start}
            self._recorder.note("summary", plain(summary))
            infos: Sequence[Mapping[str, Any]] = start.get("image_infos") or ({},)
            self._recorder.expect(
                lambda builder: read_sequence(sequence, builder, self._channels, self._cameras),
                spec_of(start),
                {"PixelSizeUm": infos[0].get("pixel_size_um")},
            )
        except Exception as error:
            self._fail(error)

    def frameReady(self, image: Pixels, event: Any, metadata: Mapping[str, Any]) -> None:
        """Record one frame. Errors are kept, and cancel the acquisition."""
        try:
            if self._recorder.error is None:
                axes = named_axes(event, self._channels)
                if self._cameras:
                    axes["camera"] = str(metadata.get("camera_device"))
                self._recorder.put(ArrivedFrame(image, axes, frame_tags(metadata, event)))
        except Exception as error:
            self._fail(error)
        finally:
            if self._gated:
                self._handed_over(image)

    def sequenceFinished(self, sequence: Any) -> None:
        """Finish the store; an error is left to `close`."""
        self._let_go()
        self._recorder.finish(interrupted=self._canceled, raises=False)

    def sequenceCanceled(self, sequence: Any) -> None:
        """Note that the user ended the acquisition."""
        self._canceled = True

    def _admit(self, image: Pixels, *_: Any) -> None:
        """Let the acquisition wait while too many frames are on their way to `frameReady`."""
        with self._relayed:
            self._in_relay += image.nbytes
            self._on_the_way.append((id(image), image.nbytes))
            before, deadline = self._in_relay, time.monotonic() + self._patience
            while (
                self._in_relay > max(self._relay_memory, image.nbytes)
                and self._recorder.error is None
                and not self._recorder.is_finished
            ):
                self._relayed.wait(_GATE_SECONDS)
                if self._in_relay != before:
                    before, deadline = self._in_relay, time.monotonic() + self._patience
                elif time.monotonic() > deadline:
                    break
            else:
                return
        self._fail(
            aqz.StalledError(
                f"no frame was handed over for {self._patience:g} s while "
                f"{self._in_relay:,} bytes wait; another handler may have failed"
            )
        )

    def _handed_over(self, image: Pixels) -> None:
        """Forget a frame on its way, and those before it: another listener's error lost them."""
        with self._relayed:
            while self._on_the_way:
                identity, nbytes = self._on_the_way.popleft()
                self._in_relay -= nbytes
                if identity == id(image):
                    break
            self._relayed.notify_all()

    def _fail(self, error: BaseException) -> None:
        """Keep an error and cancel the acquisition."""
        self._recorder.fail(error)
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the acquisition."""
        core = self._core
        if core is None:
            from pymmcore_plus import CMMCorePlus

            core = CMMCorePlus.instance()
        core.mda.cancel()

    def _on_interrupt(self) -> bool:
        """Cancel on the first Ctrl+C; `__exit__` raises it. The second one is raised at once."""
        if self._interrupted:
            return False
        self._interrupted = True
        self._cancel()
        return True

    def _let_go(self) -> None:
        """Leave the core alone from now on."""
        if self._gated and self._core is not None:
            self._gated = False
            self._core.mda.events.frameReady.disconnect(self._admit)

    # ---- what the user calls ----------------------------------------------------------------

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the store and raise errors; Ctrl+C, which pymmcore-plus was kept from, as well."""
        super().__exit__(kind, error, traceback)
        if self._interrupted and error is None:
            raise KeyboardInterrupt
