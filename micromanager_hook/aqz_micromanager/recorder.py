"""The five verbs that every acquisition engine's adapter is made of.

``expect`` what is known beforehand, ``put`` each frame, ``note`` what is known of the whole,
``fail`` when the acquisition broke, ``finish``. The adapters (`ZarrProcessor`, `MDAHandler`) only
translate their engine's words; when a store is opened, what happens to errors and what to do about
the unexpected is decided here, the same for all.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import aqz_core as aqz
from aqz_micromanager.errors import AcquisitionError, BackPressureError, FrameChangedError
from aqz_micromanager.frame_hold import ArrivedFrame, FrameHold
from aqz_micromanager.layout import ImageOptions, store_layout
from aqz_micromanager.pixels import ColorOrder, FrameSpec, planes_of
from aqz_micromanager.positions import well_of_label
from aqz_micromanager.routing import Router
from aqz_micromanager.run_plan import PlanBuilder, Site, split_axes
from aqz_micromanager.store_recording import OnDuplicate, RunState, StoreRecording
from aqz_micromanager.tags import FrameMetadata, number, pixel_size_um, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aqz_micromanager.run_plan import Value

__all__ = ["RecorderOptions", "RunRecorder", "RunSink", "RunStatistics"]

LEARNING_NBYTES = 256 << 20
"""Bound on the frames that wait until the sizes of the axes are known."""

_FULL = 0.97  # of the stream's memory: the next frame would wait

_log = logging.getLogger("aqz.micromanager")


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """How an acquisition is doing.

    Attributes
    ----------
    state
        ``"waiting"`` (no store yet), ``"recording"``, or how it ended: ``"complete"``,
        ``"incomplete"``, ``"aborted"``, ``"failed"``.
    frames
        Frames stored, or on their way.
    held_frames
        Frames that wait for the sizes of the axes to be known.
    missing_frames
        Frames that lack so far, of those that were planned or lie between others.
    duplicate_frames
        Frames that came for a place that had one.
    queue_fill, peak_queue_fill
        Share of the stream's memory in use, now and at most; at 1 the next frame waits.
    waited_seconds
        Time spent in handing frames to the stream, copying included.
    bytes_in, bytes_written
        Bytes of pixels taken, and stored.
    megabytes_per_second
        Mean rate of `bytes_in`.
    """

    state: RunState
    frames: int = 0
    held_frames: int = 0
    missing_frames: int = 0
    duplicate_frames: int = 0
    queue_fill: float = 0.0
    peak_queue_fill: float = 0.0
    waited_seconds: float = 0.0
    bytes_in: int = 0
    bytes_written: int = 0
    megabytes_per_second: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """What the user chose, whatever the engine.

    Attributes
    ----------
    axes
        Coordinates of axes, see `PlanBuilder`.
    images
        How images are stored.
    on_duplicate
        ``"error"``, ``"keep"`` the first frame, or ``"replace"`` it.
    on_change
        What a frame of another shape or data type is: an ``"error"``, or the first of a
        ``"new_store"`` beside the store.
    back_pressure
        Whether a frame that finds no memory shall wait (``"block"``) or end the acquisition
        (``"stop"``).
    frame_metadata
        ``"compact"``, ``"full"`` or None.
    cameras_as_channels
        Whether several cameras become channels, rather than an axis of their own.
    color_order
        Order of colour components in memory.
    learning_memory
        Bound in bytes on frames that wait for sizes of axes.
    """

    axes: Mapping[str, int | Iterable[Value] | None] | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    on_duplicate: OnDuplicate = "error"
    on_change: Literal["error", "new_store"] = "error"
    back_pressure: Literal["block", "stop"] = "block"
    frame_metadata: FrameMetadata = "compact"
    cameras_as_channels: bool = True
    color_order: ColorOrder = "bgr"
    learning_memory: int = LEARNING_NBYTES

    def __post_init__(self) -> None:
        """Refuse words that mean nothing."""
        for name, allowed in (
            ("on_duplicate", ("error", "keep", "replace")),
            ("on_change", ("error", "new_store")),
            ("back_pressure", ("block", "stop")),
            ("frame_metadata", ("compact", "full", None)),
            ("color_order", ("bgr", "rgb")),
        ):
            if getattr(self, name) not in allowed:
                raise aqz.SettingsError(
                    f"{name} is {getattr(self, name)!r}; use one of {', '.join(map(repr, allowed))}"
                )


class RunSink(Protocol):
    """What an adapter needs: five verbs."""

    def expect(
        self,
        describe: Callable[[PlanBuilder], None],
        spec: FrameSpec | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Take what is known before the frames come."""

    def put(self, frame: ArrivedFrame) -> None:
        """Take one frame."""

    def note(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Take metadata of the whole acquisition."""

    def fail(self, error: BaseException) -> None:
        """Keep an error; no more frames are taken."""

    def finish(self, *, aborted: bool = False, raises: bool = True) -> None:
        """Finish the store and raise the error that was kept."""


class RunRecorder:
    """Records one acquisition; safe to call from any thread.

    Parameters
    ----------
    store
        Path or URL.
    options
        What the user chose.
    """

    def __init__(self, store: str, options: RecorderOptions | None = None) -> None:
        self._store = store
        self._options = options or RecorderOptions()
        self._builder = PlanBuilder(self._options.axes)
        self._hold = FrameHold(self._options.learning_memory)
        self._stores: dict[FrameSpec, StoreRecording] = {}
        self._router: Router | None = None
        self._notes: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._state: RunState = "waiting"
        self._peak_fill = 0.0
        self._waited = 0.0
        self.error: BaseException | None = None
        self._raised = False
        self._finished = False

    # ---- the verbs --------------------------------------------------------------------------

    def expect(
        self,
        describe: Callable[[PlanBuilder], None],
        spec: FrameSpec | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Take what is known before the frames come.

        Parameters
        ----------
        describe
            Tells it to the builder of the plan.
        spec, tags
            What the frames will be, and their metadata as far as known: if the plan is complete,
            the store is opened at once.
        """
        with self._lock:
            if self._router is None:
                describe(self._builder)
            if spec is not None and self._builder.complete and not self._stores:
                self._open(spec, tags or {})

    def put(self, frame: ArrivedFrame) -> None:
        """Take one frame. After an error, or after the end, frames are ignored.

        Raises
        ------
        AqzError
            It could not be taken. The error is kept as well: `finish` raises it again.
        """
        with self._lock:
            if self.error is not None or self._finished:
                return
            try:
                self._put(frame)
            except BaseException as error:
                self.fail(error)
                raise

    def note(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Take metadata of the whole acquisition, stored with every image under `name`."""
        with self._lock:
            self._notes[name] = dict(metadata)

    def fail(self, error: BaseException) -> None:
        """Keep an error and log it; only the first one counts. No more frames are taken."""
        with self._lock:
            if self.error is None:
                self.error = error
                self._state = "failed"
                _log.error("recording to %s failed: %s", self._store, error, exc_info=error)

    def finish(self, *, aborted: bool = False, raises: bool = True) -> None:
        """Finish every store; later calls do nothing more.

        Parameters
        ----------
        aborted
            Whether the user ended the acquisition.
        raises
            Whether to raise an error that was kept, or leave that to the next call.

        Raises
        ------
        AcquisitionError
            Something went wrong on the way; the first error is its cause.
        """
        with self._lock:
            if not self._finished:
                self._finish(aborted=aborted)
                self._finished = True
            if raises and self.error is not None and not self._raised:
                self._raised = True
                raise AcquisitionError(
                    f"the acquisition was not recorded whole to {self._store}: {self.error}"
                ) from self.error

    # ---- looking at it ----------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called."""
        return self._finished

    @property
    def state(self) -> RunState:
        """How it stands; see `RunStatistics`."""
        return self._state

    def statistics(self) -> RunStatistics:
        """Return how it is doing."""
        stores = list(self._stores.values())
        streams = [store.stream.statistics() for store in stores]
        fill = max((one.queue_fill for one in streams), default=0.0)
        return RunStatistics(
            state=self._state,
            frames=sum(store.frames for store in stores),
            held_frames=len(self._hold),
            missing_frames=_missing(stores),
            duplicate_frames=sum(store.duplicates for store in stores),
            queue_fill=fill,
            peak_queue_fill=max(fill, self._peak_fill),
            waited_seconds=self._waited,
            bytes_in=sum(one.bytes_in for one in streams),
            bytes_written=sum(one.bytes_written for one in streams),
            megabytes_per_second=sum(one.megabytes_per_second for one in streams),
        )

    # ---- frames -----------------------------------------------------------------------------

    def _put(self, frame: ArrivedFrame) -> None:
        """Store a frame, or keep it until that is possible."""
        if self._router is None:
            self._learn(frame)
            if not self._builder.is_ready():
                self._hold.add(frame)
                return
            for held in self._hold.release():
                self._write(held)
        self._write(frame)

    def _learn(self, frame: ArrivedFrame) -> None:
        """Take note of what a frame says of the acquisition; events that said it win."""
        if self._builder.complete:
            return
        self._builder.add_frame(frame.axes)
        key, values = split_axes(frame.axes)
        tags = frame.tags
        name = text(tags, "PositionName")
        z_um = number(tags, "ZPosition_um_Intended", "ZPositionUm")
        well = well_of_label(name) if name and key else None
        self._builder.add_site(
            Site(
                key,
                name=name if key else None,
                x_um=number(tags, "XPosition_um_Intended", "XPositionUm"),
                y_um=number(tags, "YPosition_um_Intended", "YPositionUm"),
                well=well,
            )
        )
        if z_um is not None and "z" in values:
            self._builder.add_plane(key, values["z"], z_um)

    def _write(self, frame: ArrivedFrame) -> None:
        """Store a frame whose place is known."""
        pixel_type = text(frame.tags, "PixelType")
        planes, spec = planes_of(frame.pixels, pixel_type, self._options.color_order)
        store = self._stores.get(spec) or self._open(spec, frame.tags)
        assert self._router is not None
        place = self._router.place(frame.axes)
        self._watch_queue(store)
        begun = time.perf_counter()
        store.write(place, planes, frame.tags)
        self._waited += time.perf_counter() - begun

    def _watch_queue(self, store: StoreRecording) -> None:
        """Note how full the stream's memory is; stop if that is the policy."""
        statistics = store.stream.statistics()
        self._peak_fill = max(self._peak_fill, statistics.queue_fill)
        if self._options.back_pressure == "stop" and statistics.queue_fill >= _FULL:
            raise BackPressureError(
                f"frames come faster than they are stored: the stream's memory is "
                f"{statistics.queue_fill:.0%} full after {statistics.frames} frames, at "
                f"{statistics.megabytes_per_second:.0f} MB/s. Use a faster disk, a longer "
                "exposure, more max_memory, or back_pressure='block'"
            )

    def _open(self, spec: FrameSpec, tags: Mapping[str, Any]) -> StoreRecording:
        """Open the store for frames of one kind."""
        if self._stores and self._options.on_change == "error":
            before = ", ".join(map(str, self._stores))
            raise FrameChangedError(
                f"a frame is {spec}, but those before were {before}: binning, region of interest "
                "or pixel type were changed in mid-run. Keep them, or choose on_change='new_store'"
            )
        plan = self._builder.plan()
        router = self._router or Router(plan, cameras_as_channels=self._options.cameras_as_channels)
        depth = number(tags, "BitDepth")
        layout = store_layout(
            _numbered(self._store, len(self._stores) + 1),
            plan,
            router,
            spec,
            options=self._options.images,
            pixel_um=pixel_size_um(tags),
            bit_depth=int(depth) if depth else None,
            channel_name=text(tags, "Channel"),
        )
        store = StoreRecording(
            layout,
            plan,
            router,
            components=spec.components,
            on_duplicate=self._options.on_duplicate,
            frame_metadata=self._options.frame_metadata,
            notes=self._notes,
        )
        self._router = router
        self._stores[spec] = store
        if self._state == "waiting":
            self._state = "recording"
        return store

    # ---- the end ----------------------------------------------------------------------------

    def _finish(self, *, aborted: bool) -> None:
        """Store what still waits, then finish every store."""
        if len(self._hold):
            self._builder.complete = True
            with self._keeping_errors():
                for held in self._hold.release():
                    self._write(held)
        if self.error is None:
            missing = _missing(list(self._stores.values()))
            self._state = "aborted" if aborted else "incomplete" if missing else "complete"
        if not self._stores:
            self._state = "failed" if self.error else "incomplete"
            _log.warning("no frame came; nothing was written to %s", self._store)
        for store in self._stores.values():
            with self._keeping_errors():
                store.finish(self._state, self._notes)

    @contextlib.contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        """Keep an error instead of raising it."""
        try:
            yield
        except Exception as error:
            self.fail(error)


def _missing(stores: Sequence[StoreRecording]) -> int:
    """Return how many frames lack, those that are in another one of the stores not counted."""
    expected = max((store.frames + store.missing for store in stores), default=0)
    return max(0, expected - sum(store.frames for store in stores))


def _numbered(store: str, number: int) -> str:
    """Return the name of the store, or of the second, third ... one beside it."""
    if number == 1:
        return store
    stem, ending = re.fullmatch(r"(.*?)((?:\.ome)?\.zarr)?/?", store, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{stem}_{number}{ending or ''}"
