"""A handler for pymmcore-plus that records to OME-Zarr.

pymmcore-plus calls handlers on a thread that it feeds from a queue without a bound, and stops
feeding one that raises, without a word; in a program with a window that queue hangs on the event
loop. So a handler that knows its core listens to the run itself, in the thread that acquires, and
ignores what the queue brings. Nothing is raised there: errors are kept, and cancel the run.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from aqz_micromanager.adapter import RunAdapter
from aqz_micromanager.core_facts import camera_labels, core_tags
from aqz_micromanager.errors import AcquisitionError
from aqz_micromanager.frame_hold import ArrivedFrame
from aqz_micromanager.image_options import ImageOptions
from aqz_micromanager.protocol import protocol_of_start
from aqz_micromanager.recorder_options import LEARNING_NBYTES, RecorderOptions
from aqz_micromanager.run_threads import (
    await_begin,
    connect_directly,
    is_output,
    is_relay,
    run_thread,
)
from aqz_micromanager.run_view import RunView, lend_view
from aqz_micromanager.sequences import (
    EventAxes,
    camera_count,
    camera_tags,
    frame_tags,
    read_sequence,
    spec_of,
)
from aqz_micromanager.tags import plain

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    import aqz_core as aqz
    from aqz_micromanager.pixels import FrameSpec, Pixels
    from aqz_micromanager.positions import PlateChoice
    from aqz_micromanager.run_plan import Value
    from aqz_micromanager.store_recording import OnDuplicate
    from aqz_micromanager.tags import FrameMetadata

__all__ = ["MDAHandler"]

_log = logging.getLogger("aqz.micromanager")

_LOOK_SECONDS = 0.1  # between looks at whether a run still goes on


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
    axes, settings, plate, colors, on_duplicate, on_change, on_unplanned, back_pressure, \
frame_metadata, cameras_as_channels, learning_memory, flush_seconds, on_frame
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
        flush_seconds: float | None = None,
        on_frame: Callable[[Mapping[str, Any]], None] | None = None,
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
            flush_seconds=flush_seconds,
        )
        super().__init__(store, options)
        self._recorder.on_frame = on_frame
        self._names = EventAxes()
        self._begun = False
        self._view: RunView | None = None
        self._refused: AcquisitionError | None = None
        self._raised_refusal = False
        self._canceled = False
        self._core = core
        self._own_run: Any = None
        self._listens = False
        if core is not None:
            events = core.mda.events
            connect_directly(events.sequenceStarted, self._on_started)
            connect_directly(events.frameReady, self._on_frame)
            connect_directly(events.sequenceCanceled, self._on_canceled)
            connect_directly(events.sequenceFinished, self._on_finished)
            lend_view(core.mda, self)

    # ---- what pymmcore-plus calls -----------------------------------------------------------

    def sequenceStarted(self, sequence: Any, metadata: Mapping[str, Any] | None = None) -> None:
        """Plan the recording; the store is opened if the sequence tells everything."""
        if sequence is not self._own_run:
            self._begin(sequence, metadata or {})

    def frameReady(self, image: Pixels, event: Any, metadata: Mapping[str, Any]) -> None:
        """Record one frame. Errors are kept, and cancel the acquisition."""
        if self._own_run is None:
            self._take(image, event, metadata)

    def sequenceFinished(self, sequence: Any) -> None:
        """Finish the store; an error is left to `close`."""
        if sequence is not self._own_run:
            self._end()

    def sequenceCanceled(self, sequence: Any) -> None:
        """Note that the user ended the acquisition."""
        if sequence is not self._own_run:
            self._canceled = self._canceled or self._refused is None

    # ---- what it hears of its own core ------------------------------------------------------

    def _on_started(self, sequence: Any, metadata: Mapping[str, Any] | None = None) -> None:
        """Record a run that has this handler for an output; refuse a second one."""
        if not is_output(self._core.mda, self):
            return
        if not self._begun and not self._recorder.is_finished:
            self._own_run, self._listens = sequence, True
            self._begin(sequence, metadata or {})
            return
        self._refuse()
        if not hasattr(self._core.mda.events, "signalsBlocked"):  # in a slot of Qt it ends programs
            assert self._refused is not None
            raise self._refused

    def _on_frame(self, image: Pixels, event: Any, metadata: Mapping[str, Any]) -> None:
        """Record a frame of the own run."""
        if self._listens:
            self._take(image, event, metadata)

    def _on_canceled(self, _: Any) -> None:
        """Note that the own run was canceled."""
        self._canceled = self._canceled or self._listens

    def _on_finished(self, _: Any) -> None:
        """Finish the store with the own run."""
        if self._listens:
            self._listens = False
            self._end()

    # ---- a run ------------------------------------------------------------------------------

    def _begin(self, sequence: Any, start: Mapping[str, Any]) -> None:
        """Plan the recording of a run."""
        if self._begun or self._recorder.is_finished:
            self._refuse()
            return
        self._begun = True
        try:
            self._names = EventAxes(self._camera_labels(start))
            tags = camera_tags(start)
            if self._core is not None:
                tags |= {key: value for key, value in core_tags(self._core).items() if value}
            summary = {key: start[key] for key in ("datetime", "system_info") if key in start}
            self._recorder.note("summary", plain(summary))
            self._recorder.keep_protocol("pymmcore_plus", protocol_of_start(sequence, start))
            self._recorder.expect(
                lambda builder: read_sequence(sequence, builder, self._names),
                spec_of(start),
                tags,
            )
            self._view = self._viewed(spec_of(start))
        except Exception as error:
            self._fail(error)

    def _take(self, image: Pixels, event: Any, metadata: Mapping[str, Any]) -> None:
        """Record one frame."""
        try:
            if self._recorder.is_finished or self._refused is not None:
                self._refuse()
            elif self._recorder.error is None:
                axes = self._names.named(event)
                self._recorder.put(ArrivedFrame(image, axes, frame_tags(metadata, event)))
        except Exception as error:
            self._fail(error)

    def _end(self) -> None:
        """Finish the store when the run is over."""
        if self._refused is None:
            broken = self._canceled or self._run_failed()
            self._recorder.finish(interrupted=broken, raises=False)

    def _viewed(self, spec: FrameSpec | None) -> RunView | None:
        """Return the run as an array, if it is known what frames are."""
        if spec is None:
            return None
        return RunView(
            self._names.sizes,
            lambda: {"c": self._names.channel_names()},
            spec,
            self._read_index,
        )

    def _read_index(self, index: Mapping[str, int]) -> Pixels | None:
        """Return the frame at an index; events lack axes that the whole run has."""
        absent = [name for name, at in index.items() if at == 0]
        for count in range(len(absent) + 1):
            for left_out in itertools.combinations(absent, count):
                some = {name: at for name, at in index.items() if name not in left_out}
                found = self._recorder.read(self._names.axes_of(some))
                if found is not None:
                    return found
        return None

    def _camera_labels(self, start: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the labels of the cameras that record at once; numbers if no core tells them."""
        count = camera_count(start)
        labels = camera_labels(self._core) if self._core is not None and count > 1 else ()
        if count > 1 and len(labels) != count:
            labels = tuple(f"Camera {number + 1}" for number in range(count))
        return labels

    def _run_failed(self) -> bool:
        """Return whether the engine itself ended the run early, as far as it tells."""
        runner = self._runner()
        reason = getattr(getattr(runner, "status", None), "finish_reason", None)
        return str(reason) in ("errored", "canceled")

    def _refuse(self) -> None:
        """Refuse a run that comes after the first one: loudly, for its frames would be lost."""
        if self._refused is None:
            self._refused = AcquisitionError(
                f"another run was given to a handler that has recorded one to "
                f"{self._recorder.shown_store}; none of its frames is recorded. Each run needs "
                "an MDAHandler of its own"
            )
            _log.error("%s", self._refused)
        self._cancel()

    def _fail(self, error: BaseException) -> None:
        """Keep an error and cancel the acquisition."""
        self._recorder.fail(error)
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the acquisition."""
        runner = self._runner()
        if runner is not None:
            runner.cancel()

    def _runner(self) -> Any:
        """Return what runs sequences; None if no core can be told."""
        if self._core is not None:
            return self._core.mda
        thread = run_thread(self)
        if thread is not None:
            return thread.runner
        plus = sys.modules.get("pymmcore_plus")
        return None if plus is None else plus.CMMCorePlus.instance().mda

    def _on_interrupt(self) -> bool:
        """Cancel on the first Ctrl+C; `__exit__` raises it. The second one is raised at once."""
        if self._interrupted:
            return False
        self._interrupted = True
        self._cancel()
        return True

    def _let_go(self) -> None:
        """Wait for a run on another thread."""
        self._await_run()

    def _await_run(self) -> None:
        """Wait until a run that was given this handler has handed over all its frames."""
        thread = run_thread(self)
        if thread is not None:
            thread.join()
        runner = self._runner()
        on_relay = is_relay(threading.current_thread())
        while not on_relay and self._runs_elsewhere(runner):
            time.sleep(_LOOK_SECONDS)

    def _runs_elsewhere(self, runner: Any) -> bool:
        """Return whether a run goes on that feeds this handler and that no thread tells of."""
        if self._recorder.is_finished or runner is None:
            return False
        return bool(runner.is_running()) and is_output(runner, self)

    # ---- what the user calls ----------------------------------------------------------------

    def get_view(self) -> RunView | None:
        """Return the run as an array that can be read while it is recorded.

        ``core.mda.get_view()`` returns it, too, if the handler was given `core`. Its axes are those
        of the events, in their order. From the first call on the last 64 MiB of frames are kept in
        memory; see `read_frame`.

        Returns
        -------
        RunView or None
            None before the run has begun.
        """
        self._recorder.watch_frames()
        return self._view

    def close(self) -> None:
        """Wait for a run on another thread, then finish the store; later calls do nothing.

        Raises
        ------
        AcquisitionError
            Something went wrong since this was made; the first error is its cause.
        """
        super().close()
        self._raise_refusal()

    def _raise_refusal(self) -> None:
        """Raise, once, that another run was refused."""
        if self._refused is not None and not self._raised_refusal:
            self._raised_refusal = True
            raise self._refused

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the store and raise errors; Ctrl+C, which pymmcore-plus was kept from, as well.

        A run that goes on elsewhere (``core.run_mda``) is waited for, or canceled if the block
        ends with an error.
        """
        if error is not None:
            self._cancel_own_run()
        super().__exit__(kind, error, traceback)
        if self._interrupted and error is None:
            raise KeyboardInterrupt
        if error is None:
            self._raise_refusal()

    def _cancel_own_run(self) -> None:
        """Cancel a run that feeds this handler, if there is one."""
        thread, runner = run_thread(self), self._runner()
        if thread is not None or self._runs_elsewhere(runner):
            self._canceled = True
            await_begin(thread)
            self._cancel()
