"""Which frames of an array were recorded, and which were left out: what a second `write` may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.planning.frame_order import FrameRouter, WrittenFrames

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.pipeline.intake import Intake
    from aqz_core.planning.resume_point import ResumePoint
    from aqz_core.recording.frame_log import FrameLog

__all__ = ["FrameRegister"]


class FrameRegister:
    """The frames of one array, by number, and their lines in the log.

    Frames that come in order are counted, no more; with the first one that comes by index, each is
    listed.

    Parameters
    ----------
    router
        Of the array.
    intake
        Counts the frames that come in order.
    log
        Lists the others.
    certain
        Returns how many of the frames that came in order readers can see.
    on_first_by_index
        Called when the count says no more which frames are stored.
    """

    def __init__(
        self,
        router: FrameRouter,
        intake: Intake,
        log: FrameLog,
        certain: Callable[[], int],
        on_first_by_index: Callable[[], None],
    ) -> None:
        self._router = router
        self._intake = intake
        self._log = log
        self._certain = certain
        self._on_first_by_index = on_first_by_index
        self._written: WrittenFrames | None = None
        self._skipped = WrittenFrames(router, 0)

    @property
    def is_by_index(self) -> bool:
        """Whether frames are listed."""
        return self._written is not None

    def resume_from(self, progress: ResumePoint) -> None:
        """Begin with the frames of an earlier recording."""
        if progress.forgets:
            self._log.add_resumed(progress.frames)
        if progress.written is None:
            return
        written = WrittenFrames(self._router, 0)
        for number in progress.written:
            written.add(number)
        self._list(written)
        # The log lists all frames before the metadata stop counting them.
        if progress.appended:
            self._log.add_appended(progress.appended)
        # Those that were flushed count as damaged, not as cut off: their other chunks are kept.
        for kept in (False, True):
            self._log.add_lost(n for n in progress.lost if progress.keeps[n] == kept)
            self._log.add_flushed()
        self._log.commit()

    def is_recorded(self, number: int) -> bool:
        """Return whether a frame was taken, and not skipped."""
        if number in self._skipped:
            return False
        return number < self._intake.frames if self._written is None else number in self._written

    def is_skipped(self, number: int) -> bool:
        """Return whether a frame was left out."""
        return number in self._skipped

    def skip(self, first: int, stop: int) -> None:
        """Note frames that are left out."""
        self._log.add_skipped(first, stop)
        self._skipped.add(first, stop)

    def fill(self, number: int) -> None:
        """Note that a frame that was left out came after all."""
        self._skipped.remove(number)

    def note(self, number: int, line: str) -> None:
        """Note a frame of an array whose frames come by index; twice does no harm."""
        if self._written is None:
            appended = self._intake.run.frames
            written = WrittenFrames(self._router, appended)
            written.remove_all(self._skipped)
            if appended:
                self._log.add_appended(appended, min(appended, self._certain()))
            self._list(written)
        assert self._written is not None
        self._written.add(number)
        self._log.add(line)

    def _list(self, written: WrittenFrames) -> None:
        """Do not count on the order of frames from now on."""
        self._on_first_by_index()
        self._written = written
