"""Where frames are taken: on the thread of whoever records, so that a frame is copied only once.

An exception can be raised there at any instruction. What is done is therefore one of three things:
copying pixels to where nothing is counted yet, which can be done again; *taking* the frame, one
call into C that appends its slot to those of its layer; or asking a thread of the recording's own
(`Delegates`) for the rest. Every count follows from the slots that were taken. What is left to do
for the frame taken last is done by `settle`, at the latest when the next call begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

from aqz_core.errors import StreamClosedError
from aqz_core.pipeline.delegation import Call
from aqz_core.pipeline.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.pipeline.layer import Layer
    from aqz_core.pipeline.level_writer import LevelWriter
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.planning.frame_order import FrameRouter
    from aqz_core.planning.layout import LayerKey

__all__ = ["Intake", "Run"]

Frame = npt.NDArray[Any]
LeadIndex = tuple[int, ...]

UNLIMITED = 2**63


class Run:
    """Frames that go to the following slots of one layer, in the order of arrival.

    Attributes
    ----------
    slots
        Those of the layer. Appending one takes the frame.
    stop
        How many slots are taken when the run is at its end; negative when the array was closed.
    shift
        What to add to the number of taken slots for the next slot.
    put, put_several
        Copy a frame, or a stack of them, of contiguous memory to a slot and those behind it.
    layer
        The layer that a frame was taken into last; None before the first.
    """

    __slots__ = ("_frames", "_recorded", "layer", "put", "put_several", "shift", "slots", "stop")

    def __init__(self, frames: int, recorded: int, layer: Layer | None = None) -> None:
        self._frames = frames
        self._recorded = recorded
        self.layer = layer
        self.slots: list[int] = []
        self.stop = 0
        self.shift = 0
        self.put: Callable[[Frame, int], None]
        self.put_several: Callable[[Frame, int], None]

    @property
    def frames(self) -> int:
        """Number of the next frame in the order of arrival."""
        return self._frames + len(self.slots)

    @property
    def recorded(self) -> int:
        """How many frames were recorded by this stream."""
        return self._recorded + len(self.slots)

    def ended(self) -> Run:
        """Return a run of no frames with the same counts."""
        return Run(self.frames, self.recorded, self.layer)

    def into(self, layer: Layer, slot: int, length: int) -> Run:
        """Return a run of as many frames from a slot on."""
        slots, taken = layer.slots, len(layer.slots)
        run = Run(self.frames - taken, self.recorded - taken, layer)
        run.slots = slots
        run.shift = slot - taken
        run.stop = taken + length
        run.put = layer.tiles[0].put if len(layer.tiles) == 1 else layer.scatter
        run.put_several = layer.scatter_several
        return run


class _Taken(NamedTuple):
    """A frame that is taken as soon as a layer has more slots than before, and what follows."""

    slots: list[int]
    before: int
    note: Callable[[], None] | None
    after: Run

    @property
    def is_true(self) -> bool:
        """Whether it was taken."""
        return len(self.slots) > self.before


class Intake:
    """Takes the frames of one array at full resolution.

    Parameters
    ----------
    writer
        Level 0 of the array.
    router
        The array's frame numbers.
    engine
        Threads and memory of the recording.
    frames
        Number of the next frame.

    Attributes
    ----------
    turn
        Held by whoever takes frames, or does anything for which none may be taken meanwhile.
    run
        Where the next frames go.
    closed
        Whether nothing is taken any more.
    """

    def __init__(
        self, writer: LevelWriter, router: FrameRouter, engine: Runtime, frames: int
    ) -> None:
        self.turn = Turn()
        self.run = Run(frames, 0)
        self.closed = False
        self._writer = writer
        self._router = router
        self._limit = UNLIMITED if router.limit is None else router.limit
        self._delegates = engine.delegates
        self._pending: _Taken | None = None
        self._opening: Call[Layer] | None = None
        self._ordered: Layer | None = None
        self._turning: Call[None] | None = None
        self._frames_ahead = writer.frames_ahead if router.in_order else 0
        self._opened = frames
        writer.holder = self
        engine.holders.append(self)

    @property
    def _counts(self) -> Run:
        """Return the run that says how many frames were taken."""
        pending = self._pending
        return pending.after if pending is not None and pending.is_true else self.run

    @property
    def frames(self) -> int:
        """Number of the next frame in the order of arrival."""
        return self._counts.frames

    @property
    def recorded(self) -> int:
        """How many frames were recorded by this stream."""
        return self._counts.recorded

    # ---- with the turn held, on the thread of whoever records ------------------------------

    def begin_run(self) -> Run:
        """Return where the next frames go, in the order of arrival; one at least fits."""
        self.settle()
        self.check_open()
        number = self.run.frames
        key, slot, length = self._writer.layout.place(self._router.lead(number))
        layer = self._layer(key)
        self.run = run = self.run.into(layer, slot, min(length, self._limit - number))
        self.check_open()  # a signal handler may have closed the stream meanwhile
        return run

    def take(self, frame: Frame, number: int, note: Callable[[], None] | None) -> None:
        """Take the frame of any number; `note` is called when it is taken, perhaps twice."""
        self.settle()
        self.check_open()
        self.run = self.run.ended()
        key, slot, _ = self._writer.layout.place(self._router.lead(number))
        layer = self._layer(key)
        layer.scatter(frame, slot)
        after = Run(max(self.run.frames, number + 1), self.run.recorded + 1, layer)
        self._pending = _Taken(layer.slots, len(layer.slots), note, after)
        layer.slots.append(slot)
        self.end_run()

    def settle(self) -> None:
        """Do what is left to do for the frame that was taken last, if anything."""
        pending = self._pending
        if pending is not None:
            if pending.is_true:
                if pending.note is not None:
                    pending.note()
                self.run = pending.after
            self._pending = None
        layer = self.run.layer
        if layer is not None and layer is not self._ordered and layer.complete:
            if self._turning is None or self._turning.begun:  # or it sees this layer, too
                turning = Call(self._turn_over)
                self._delegates.put(turning)
                self._turning = turning
            self._ordered = layer

    def end_run(self) -> None:
        """Do what is left to do, and see that the frame was taken in time."""
        self.settle()
        self.check_open()  # a signal handler may have closed the stream in the middle of a call

    def check_open(self) -> None:
        """Raise if nothing is taken any more."""
        if self.closed:
            raise StreamClosedError("The stream was closed meanwhile; open a new one.")

    def _layer(self, key: LayerKey) -> Layer:
        """Return the layer of a frame, with memory for it."""
        if self._opening is not None:  # who put it, or waited for it, was interrupted
            self._delegates.put(self._opening)
            self._delegates.wait(self._opening)
        layer = self._writer.layers.get(key)
        if layer is None or layer.complete:
            self._opening = Call(self._writer.open, key)
            self._delegates.put(self._opening)
            layer = self._delegates.outcome(self._opening)
        self._opening = None
        return layer

    # ---- on threads of the recording ---------------------------------------------------------

    def _turn_over(self) -> None:
        """Hand over what is complete, and open layers that the next frames go to.

        Whoever records then finds them, and need not wait for a thread with every few frames.
        """
        self._writer.hand_over_complete()
        number = self.frames
        stop = min(number + self._frames_ahead, self._limit)
        number = max(number, self._opened)
        while number < stop and not self.closed:
            key, _, length = self._writer.layout.place(self._router.lead(number))
            if not self._writer.open_ahead(key):
                return
            number += length
            self._opened = number

    # ---- with the turn held, on threads of the recording -----------------------------------

    def move_on(self, frames: int) -> None:
        """Count frames that are left out."""
        run = self.run
        self.run = Run(run.frames + frames, run.recorded, run.layer)

    def count_filled(self) -> None:
        """Count a frame that was taken where one was left out."""
        run = self.run
        self.run = Run(run.frames, run.recorded + 1, run.layer)

    def pause(self) -> None:
        """Have the next frame look anew where it goes: layers may be stored now."""
        self.settle()
        self.run = self.run.ended()

    def close(self) -> None:
        """Take nothing any more."""
        self.closed = True
        self.run.stop = -1
        self.pause()

    # ---- when memory is short ---------------------------------------------------------------

    def shelve(self) -> bool:
        """Store an incomplete layer to free its memory; return whether there was one."""
        return self._writer.shelve(self.run.layer)

    def try_shelve(self) -> bool:
        """As `shelve`, for the sake of another array; do not wait for anybody."""
        turn = self.turn
        if not turn.try_take():
            return False
        try:
            self.pause()
            return self._writer.try_shelve(self.run.layer)
        finally:
            turn.pop(0, None)

    def drop_layers(self) -> None:
        """Give back the memory of layers that a failed recording leaves."""
        self._writer.drop_layers()
