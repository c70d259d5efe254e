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
from typing import TYPE_CHECKING, Any

import aqz_core as aqz
from aqz_micromanager.camera_facts import facts_of
from aqz_micromanager.errors import (
    AcquisitionError,
    BackPressureError,
    DuplicateFrameError,
    FrameChangedError,
)
from aqz_micromanager.frame_hold import ArrivedFrame, FrameHold
from aqz_micromanager.layout import StoreArranger
from aqz_micromanager.learning import image_like_others, learn_frame, learn_site
from aqz_micromanager.pixels import planes_of
from aqz_micromanager.plan_builder import PlanBuilder
from aqz_micromanager.recent_frames import RecentFrames, joined
from aqz_micromanager.recorder_options import RecorderOptions
from aqz_micromanager.routing import Router
from aqz_micromanager.run_statistics import RunStatistics
from aqz_micromanager.store_recording import RunState, StoreRecording
from aqz_micromanager.tags import text
from aqz_micromanager.unplanned import Admission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aqz_micromanager.pixels import FrameSpec, Pixels
    from aqz_micromanager.routing import Place
    from aqz_micromanager.run_plan import ImageKey, RunPlan

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

    Attributes
    ----------
    store
        Path or URL.
    shown_store
        The same for messages, without a password.
    on_open
        Refers to what is called when a store was opened.
    on_frame
        Called with the axes of each frame when the stream has taken it.
    """

    def __init__(
        self,
        store: str,
        options: RecorderOptions | None = None,
    ) -> None:
        self.store = store
        self.shown_store = aqz.without_password(store)
        self.on_open: Callable[[], Callable[[], None] | None] = _nothing
        self.on_frame: Callable[[Mapping[str, Any]], None] | None = None
        self._options = options or RecorderOptions()
        self._builder = PlanBuilder(self._options.axes)
        self._hold = FrameHold(self._options.learning_memory)
        self._stores: dict[FrameSpec, StoreRecording] = {}
        self._numbers = itertools.count(1)
        self._plan: RunPlan | None = None
        self._router: Router | None = None
        self._admission = Admission()
        self._ends = False
        self._notes: dict[str, Any] = {}
        self._protocol: dict[str, Any] = {}
        self._camera_tags: dict[str, Any] = {}
        self._recent = RecentFrames()
        self._lock = threading.RLock()
        self._news = threading.Condition()
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
            self._camera_tags.update(tags or {})
            repeated, waits = self._builder.repeated, not self._stores and not len(self._hold)
            if (
                self._builder.complete
                and repeated
                and waits
                and self._options.on_duplicate == "error"
            ):
                raise DuplicateFrameError(
                    f"two frames are planned for {dict(repeated)}; give each its own coordinates "
                    "or labels, or choose on_duplicate='keep' or 'replace'"
                )
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

    def keep_protocol(self, name: str, what: Any) -> None:
        """Take what was to be done, or with what; stored once, with the first image."""
        with self._lock:
            self._protocol[name] = what

    def fail(self, error: BaseException) -> None:
        """Keep an error and log it; only the first one counts. No more frames are taken."""
        with self._lock:
            if self.error is None:
                self.error = error
                self._state = "failed"
                self._wake()
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
                self._wake()
            if raises and self.error is not None and not self._raised:
                self._raised = True
                frames = self.statistics().frames
                raise AcquisitionError(
                    f"the acquisition was not recorded whole to {self.shown_store}: {self.error} "
                    f"({frames} frames are stored there)"
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
            if not self._builder.is_ready() and self._hold.has_room_for(frame):
                self._hold.add(frame)
                self._tell(frame)
                return
            for held in self._hold.release():
                self._write(held)
        self._write(frame)
        self._tell(frame)

    def _write(self, frame: ArrivedFrame) -> None:
        """Store a frame whose place is known, or found on the way."""
        planes, spec = self._planes(frame)
        store = self._stores.get(spec) or self._open(spec, frame.tags)
        place = self._place(frame)
        self._watch_queue(store)
        begun = time.perf_counter()
        store.write(place, planes, frame.tags)
        self._waited += time.perf_counter() - begun

    def _planes(self, frame: ArrivedFrame) -> tuple[tuple[Pixels, ...], FrameSpec]:
        """Return the planes of a frame, and what they are."""
        pixel_type = text(frame.tags, "PixelType")
        return planes_of(frame.pixels, pixel_type, self._options.color_order)

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

    def _place(self, frame: ArrivedFrame) -> Place:
        """Return where a frame goes, whose image or coordinates may be new."""
        assert self._router is not None
        key = self._router.key(frame.axes)
        if key not in self._router.images:
            self._add_image(frame, key)
        new = self._router.unknown(frame.axes)
        for name, value in new.items():
            self._admission.check_coordinate(name, value, self._router.images[key])
            self._router.images[key].add(name, value)
        if new:
            for store in self._stores.values():
                store.grow(key)
        return self._router.place(frame.axes)

    def _add_image(self, frame: ArrivedFrame, key: ImageKey) -> None:
        """Make an image of a site, or of a set of axes, that frames did not have before."""
        assert self._plan is not None
        assert self._router is not None
        self._admission.check_image(frame, key, self._router.images)
        learn_site(frame, self._builder)
        site = self._builder.image(key).site
        image = image_like_others(frame, key, site, self._plan.images)
        plan = replace(self._plan, images=(*self._plan.images, image))
        self._router.add_image(image)
        for store in self._stores.values():
            store.extend(plan, image)
        self._plan = plan
        _log.info("%s: an image with axes %s is added", self.shown_store, sorted(key[1]))

    # ---- stores -----------------------------------------------------------------------------

    def _open(self, spec: FrameSpec, tags: Mapping[str, Any]) -> StoreRecording:
        """Open the store for frames of one kind."""
        if self._stores and self._options.on_change == "error":
            before = ", ".join(map(str, self._stores))
            raise FrameChangedError(
                f"a frame is {spec}, but those before were {before}: binning, region of interest "
                "or pixel type were changed in mid-run, or cameras differ. Keep them, or choose "
                "on_change='new_store'"
            )
        plan = self._plan or self._builder.plan()
        router = self._router or Router(
            plan.images,
            implied=self._builder.implied,
            cameras_as_channels=self._options.cameras_as_channels,
        )
        facts = facts_of({**tags, **self._camera_tags})
        arranger = StoreArranger(
            _numbered(self.store, next(self._numbers)),
            router,
            spec,
            self._options.images,
            facts,
            flush_seconds=self._options.flush_seconds,
            replaceable=self._options.on_duplicate == "replace",
        )
        store = StoreRecording(
            arranger,
            plan,
            on_duplicate=self._options.on_duplicate,
            frame_metadata=self._options.frame_metadata,
            notes=self._notes,
            protocol=self._protocol,
            recent=self._recent,
        )
        if self._plan is None:
            self._admission = Admission(
                adds_all=self._options.on_unplanned == "add",
                told=self._builder.complete and not self._ends,
                sites_told=self._builder.sites_are_told,
                declared=self._builder.declared,
            )
        self._plan, self._router = plan, router
        self._stores[spec] = store
        if (opened := self.on_open()) is not None:
            opened()
        if self._state == "waiting":
            self._state = "recording"
        return store

    # ---- while it goes on -------------------------------------------------------------------

    def await_recorded(self, axes: Mapping[str, Any], timeout: float | None = None) -> bool:
        """Wait until a frame is taken; return whether it was, or the recording is over."""
        with self._news:
            return self._news.wait_for(lambda: self._is_taken(axes) or self._is_over, timeout) and (
                self._is_taken(axes)
            )

    def watch_frames(self) -> None:
        """Keep the last frames in memory from now on: somebody looks on."""
        self._recent.is_wanted = True

    def read(self, axes: Mapping[str, Any]) -> Pixels | None:
        """Return a frame that came, or None; see `StoreRecording.read`."""
        self.watch_frames()
        held = self._hold.get(axes)
        if held is not None:
            return joined(self._planes(held)[0])
        place = None if self._router is None else self._router.find(axes)
        if place is None:
            return None
        found = (store.read(place) for store in list(self._stores.values()) if store.has(place))
        return next(found, None)

    def _wake(self) -> None:
        """Let whoever waits for a frame look again."""
        with self._news:
            self._news.notify_all()

    @property
    def _is_over(self) -> bool:
        """Whether no more frames are taken."""
        return self._finished or self.error is not None

    def _is_taken(self, axes: Mapping[str, Any]) -> bool:
        """Return whether a frame is stored, or waits for the sizes of axes to be known."""
        place = None if self._router is None else self._router.find(axes)
        stored = place is not None and any(store.has(place) for store in self._stores.values())
        return stored or self._hold.get(axes) is not None

    def _tell(self, frame: ArrivedFrame) -> None:
        """Tell whoever waits that a frame is taken."""
        with self._news:
            self._news.notify_all()
        if self.on_frame is not None:
            self.on_frame(dict(frame.axes))

    # ---- the end ----------------------------------------------------------------------------

    def _finish(self, *, interrupted: bool) -> None:
        """Store what still waits, then finish every store."""
        if len(self._hold):
            self._builder.complete = self._ends = True
            with self._keeping_errors():
                for held in self._hold.release():
                    self._write(held)
        if self.error is None:
            self._state = self._end_state(interrupted=interrupted)
        if not self._stores and self.error is None:
            _log.warning("no frame came; nothing was written to %s", self.shown_store)
        for store in self._stores.values():
            with self._keeping_errors():
                store.finish(self._state, self._notes, self._protocol)

    def _end_state(self, *, interrupted: bool) -> RunState:
        """Return how an acquisition without errors ended."""
        lacking = not self._stores or self._missing() > 0
        endless = (
            self._router is None
            or not (self._admission.told or self._builder.declared)
            or any(None in axes.shape for axes in self._router.images.values())
        )
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
