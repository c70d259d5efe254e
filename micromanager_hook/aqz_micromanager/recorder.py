"""Records one acquisition: decides when a store is opened, and what becomes of the unexpected.

The five verbs that every acquisition engine's adapter is made of: ``expect`` what is known
beforehand, ``put`` each frame, ``note`` what is known of the whole, ``fail`` when the acquisition
broke, ``finish``. The adapters (`ZarrProcessor`, `MDAHandler`) only translate their engine's words.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import aqz_core as aqz
from aqz_micromanager.errors import (
    AcquisitionError,
    BackPressureError,
    FrameChangedError,
    UnknownCoordinateError,
)
from aqz_micromanager.frame_hold import ArrivedFrame, FrameHold
from aqz_micromanager.layout import store_layout
from aqz_micromanager.learning import learn_frame, learn_site
from aqz_micromanager.pixels import planes_of
from aqz_micromanager.recorder_options import RecorderOptions
from aqz_micromanager.routing import Router
from aqz_micromanager.run_plan import PlanBuilder, split_axes
from aqz_micromanager.run_statistics import RunStatistics
from aqz_micromanager.store_recording import RunState, StoreRecording
from aqz_micromanager.tags import number, pixel_size_um, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aqz_micromanager.pixels import FrameSpec
    from aqz_micromanager.routing import Place
    from aqz_micromanager.run_plan import RunPlan

__all__ = ["RunRecorder"]

_FULL = 0.97  # of the stream's memory: the next frame would wait
_LOOK_SECONDS = 0.005  # between looks at how full it is: many arrays take a while to sum up

_log = logging.getLogger("aqz.micromanager")


class RunRecorder:
    """Records one acquisition; safe to call from any thread.

    Parameters
    ----------
    store
        Path or URL.
    options
        What the user chose.
    _rest_of
        The recorder of what was planned, if this one takes the rest: they share the numbers of
        stores, the notes, and whom to tell that a store was opened.

    Attributes
    ----------
    store
        Path or URL.
    shown_store
        The same for messages, without a password.
    on_open
        Refers to what is called when a store was opened.
    """

    def __init__(
        self,
        store: str,
        options: RecorderOptions | None = None,
        *,
        _rest_of: RunRecorder | None = None,
    ) -> None:
        self.store = store
        self.shown_store = aqz.without_password(store)
        self.on_open: Callable[[], Callable[[], None] | None] = (
            _nothing if _rest_of is None else _rest_of.on_open
        )
        self._options = options or RecorderOptions()
        self._builder = PlanBuilder(self._options.axes)
        self._hold = FrameHold(self._options.learning_memory)
        self._stores: dict[FrameSpec, StoreRecording] = {}
        self._numbers: Iterator[int] = itertools.count(1) if _rest_of is None else _rest_of._numbers
        self._plan: RunPlan | None = None
        self._router: Router | None = None
        self._adds_positions = True
        self._rest: RunRecorder | None = None
        self._is_rest = _rest_of is not None
        self._notes: dict[str, Any] = {} if _rest_of is None else _rest_of._notes
        self._lock = threading.RLock()
        self._state: RunState = "waiting"
        self._looked = 0.0
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
            Tells it to the builder of the plan. Once there is a store, only sites are news.
        spec, tags
            What the frames will be, and their metadata as far as known: if the plan is complete,
            the store is opened at once.
        """
        with self._lock:
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
                _log.error("recording to %s failed: %s", self.shown_store, error, exc_info=error)

    def finish(self, *, interrupted: bool = False, raises: bool = True) -> None:
        """Finish every store; later calls do nothing more.

        Parameters
        ----------
        interrupted
            Whether the acquisition ended early.
        raises
            Whether to raise an error that was kept, or leave that to the next call.

        Raises
        ------
        AcquisitionError
            Something went wrong on the way; the first error is its cause.
        """
        with self._lock:
            if not self._finished:
                self._finish(interrupted=interrupted)
                self._finished = True
            if raises and self.error is not None and not self._raised:
                self._raised = True
                raise AcquisitionError(
                    f"the acquisition was not recorded whole to {self.shown_store}: {self.error}"
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
        stores = self._every_store()
        streams = [store.stream.statistics() for store in stores]
        fill = max((one.queue_fill for one in streams), default=0.0)
        return RunStatistics(
            state=self._state,
            frames=sum(store.frames for store in stores),
            held_frames=len(self._hold) + (len(self._rest._hold) if self._rest else 0),
            missing_frames=self._missing(),
            duplicate_frames=sum(store.duplicates for store in stores),
            queue_fill=fill,
            peak_queue_fill=max(fill, self._peak_fill),
            waited_seconds=self._waited,
            bytes_in=sum(one.bytes_in for one in streams),
            bytes_written=sum(one.bytes_written for one in streams),
            megabytes_per_second=sum(one.megabytes_per_second for one in streams),
            spilled=any(one.spilled for one in streams),
        )

    def _every_store(self) -> Sequence[StoreRecording]:
        """Return the stores of planned frames, then those of the others."""
        return [*self._stores.values(), *(self._rest._every_store() if self._rest else ())]

    def _missing(self) -> int:
        """Return how many planned frames lack, those in another one of the stores not counted."""
        stores = list(self._stores.values())
        expected = max((store.frames + store.missing for store in stores), default=0)
        return max(0, expected - sum(store.frames for store in stores))

    # ---- frames -----------------------------------------------------------------------------

    def _put(self, frame: ArrivedFrame) -> None:
        """Store a frame, or keep it until that is possible."""
        if self._router is None:
            learn_frame(frame, self._builder)
            enough = self._builder.has_whole_site and not self._hold.has_room_for(frame)
            if not enough and not self._builder.is_ready():
                self._hold.add(frame)
                return
            for held in self._hold.release():
                self._write(held)
        self._write(frame)

    def _write(self, frame: ArrivedFrame) -> None:
        """Store a frame whose place is known."""
        pixel_type = text(frame.tags, "PixelType")
        planes, spec = planes_of(frame.pixels, pixel_type, self._options.color_order)
        store = self._stores.get(spec) or self._open(spec, frame.tags)
        place = self._place(frame)
        if place is None:
            self._put_elsewhere(frame)
            return
        self._watch_queue(store)
        begun = time.perf_counter()
        store.write(place, planes, frame.tags)
        self._waited += time.perf_counter() - begun

    def _watch_queue(self, store: StoreRecording) -> None:
        """Note how full the stream's memory is; stop if that is the policy."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        statistics = store.stream.statistics()
        self._peak_fill = max(self._peak_fill, statistics.queue_fill)
        if self._options.back_pressure == "stop" and statistics.queue_fill >= _FULL:
            raise BackPressureError(
                f"frames come faster than they are stored: the stream's memory is "
                f"{statistics.queue_fill:.0%} full after {statistics.frames} frames, at "
                f"{statistics.megabytes_per_second:.0f} MB/s. Use a faster disk, a longer "
                "exposure, more max_memory, or back_pressure='block'"
            )

    # ---- places that were not planned -------------------------------------------------------

    def _place(self, frame: ArrivedFrame) -> Place | None:
        """Return where a frame goes; None if it was not planned and goes elsewhere."""
        assert self._router is not None
        if self._adds_positions and not self._router.knows_site(split_axes(frame.axes)[0]):
            self._add_site(frame)
        try:
            return self._router.place(frame.axes)
        except UnknownCoordinateError:
            if self._options.on_unplanned == "error":
                raise
            return None

    def _add_site(self, frame: ArrivedFrame) -> None:
        """Make a new position an image of every store, if their layout takes one more."""
        assert self._plan is not None
        assert self._router is not None
        learn_site(frame, self._builder)
        site = self._builder.site(split_axes(frame.axes)[0])
        plan = replace(self._plan, sites=(*self._plan.sites, site))
        stores = list(self._stores.values())
        layouts = [layout for store in stores if (layout := store.layout_with(plan)) is not None]
        if len(layouts) == len(stores):
            for store, layout in zip(stores, layouts, strict=True):
                store.extend(plan, layout)
            self._plan = plan
            self._router.add_site(site.key)

    def _put_elsewhere(self, frame: ArrivedFrame) -> None:
        """Hand a frame to the recorder of all that was not planned, which learns what comes."""
        if self._rest is None:
            self._rest = RunRecorder(self.store, replace(self._options, axes=None), _rest_of=self)
            _log.warning(
                "a frame came that was not planned, with axes %s; such frames go to a store beside "
                "%s",
                dict(frame.axes),
                self.shown_store,
            )
        self._rest.put(frame)

    # ---- stores -----------------------------------------------------------------------------

    def _open(self, spec: FrameSpec, tags: Mapping[str, Any]) -> StoreRecording:
        """Open the store for frames of one kind."""
        if self._stores and self._options.on_change == "error":
            before = ", ".join(map(str, self._stores))
            raise FrameChangedError(
                f"a frame is {spec}, but those before were {before}: binning, region of interest "
                "or pixel type were changed in mid-run. Keep them, or choose on_change='new_store'"
            )
        plan = self._plan or self._builder.plan()
        router = self._router or Router(plan, cameras_as_channels=self._options.cameras_as_channels)
        depth = number(tags, "BitDepth")
        store = StoreRecording(
            partial(
                store_layout,
                _numbered(self.store, next(self._numbers)),
                router=router,
                spec=spec,
                options=self._options.images,
                pixel_um=pixel_size_um(tags),
                bit_depth=int(depth) if depth else None,
                channel_name=text(tags, "Channel"),
            ),
            plan,
            router,
            components=spec.components,
            on_duplicate=self._options.on_duplicate,
            frame_metadata=self._options.frame_metadata,
            notes=self._notes,
            planned=not self._is_rest,
        )
        if self._plan is None:
            planned = self._builder.fix_axes()
            self._adds_positions = self._options.on_unplanned == "add" or not planned
        self._plan, self._router = plan, router
        self._stores[spec] = store
        if (opened := self.on_open()) is not None:
            opened()
        if self._state == "waiting":
            self._state = "recording"
        return store

    # ---- the end ----------------------------------------------------------------------------

    def _finish(self, *, interrupted: bool) -> None:
        """Store what still waits, then finish every store."""
        if len(self._hold):
            self._builder.complete = True
            with self._keeping_errors():
                for held in self._hold.release():
                    self._write(held)
        if self._rest is not None:
            self._rest.finish(interrupted=interrupted, raises=False)
            if self._rest.error is not None:
                self.fail(self._rest.error)
        if self.error is None:
            self._state = self._end_state(interrupted=interrupted)
        if not self._stores and self.error is None:
            _log.warning("no frame came; nothing was written to %s", self.shown_store)
        for store in self._stores.values():
            with self._keeping_errors():
                store.finish(self._state, self._notes)

    def _end_state(self, *, interrupted: bool) -> RunState:
        """Return how an acquisition without errors ended."""
        lacking = not self._stores or self._missing() > 0
        endless = self._router is None or None in self._router.shape
        if interrupted and (lacking or endless):
            return "interrupted"
        return "incomplete" if lacking else "complete"

    @contextlib.contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        """Keep an error instead of raising it."""
        try:
            yield
        except Exception as error:
            self.fail(error)


def _nothing() -> None:
    """Refer to nothing."""


def _numbered(store: str, number: int) -> str:
    """Return the name of the store, or of the second, third ... one beside it."""
    if number == 1:
        return store
    stem, ending = re.fullmatch(r"(.*?)((?:\.ome)?\.zarr)?/?", store, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{stem}_{number}{ending or ''}"
