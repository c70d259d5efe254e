"""What users see of a recording, whichever engine acquires: its state, its errors, its end.

`ZarrProcessor` and `MDAHandler` add what their engines call. The recording itself is a
`RunRecorder`.
"""

from __future__ import annotations

import logging
import os
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import aqz_core as aqz
from aqz_micromanager.destination import check_destination, is_in_bucket, numbered
from aqz_micromanager.interrupts import InterruptWatch
from aqz_micromanager.recorder import RunRecorder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from aqz_micromanager.pixels import Pixels
    from aqz_micromanager.recorder_options import RecorderOptions
    from aqz_micromanager.run_statistics import RunStatistics
    from aqz_micromanager.store_recording import RunState

__all__ = ["RunAdapter"]

_log = logging.getLogger("aqz.micromanager")


class RunAdapter(ABC):
    """A recording of one acquisition, as a context manager around it.

    Parameters
    ----------
    store
        Path or URL.
    options
        What the user chose.

    Raises
    ------
    SettingsError
        There is no store, or the settings name another one.
    """

    def __init__(self, store: str | os.PathLike[str], options: RecorderOptions) -> None:
        path = os.fspath(store)
        settings = options.images.settings
        if not path:
            raise aqz.SettingsError("store is empty; give a path or URL such as 'run1.ome.zarr'")
        if settings is not None and settings.store_path not in ("", path):
            named, given = map(aqz.without_password, (str(settings.store_path), path))
            raise aqz.SettingsError(
                f"settings have store_path {named!r}, but the store is {given!r}; leave store_path "
                "out"
            )
        path = numbered(path)
        if "://" not in path and not is_in_bucket(path, settings):
            check_destination(path, overwrite=settings is not None and settings.overwrite)
        self._recorder = RunRecorder(path, options)
        self._forgotten = weakref.finalize(self, _finish_forgotten, self._recorder)
        self._recorder.on_open = weakref.WeakMethod(self._finish_before_stream)
        self._interrupted = False
        self._interrupts = InterruptWatch(self._on_interrupt)

    def _finish_before_stream(self) -> None:
        """At exit the newest finalizer runs first: be newer than that of the stream."""
        if self._forgotten.detach():
            self._forgotten = weakref.finalize(self, _finish_forgotten, self._recorder)

    @abstractmethod
    def _on_interrupt(self) -> bool:
        """Make the engine stop after Ctrl+C; return whether nothing else shall happen."""

    @property
    def _ended_early(self) -> bool:
        """Whether the acquisition ended before all frames came, as far as the engine tells."""
        return self._interrupted

    @abstractmethod
    def _let_go(self) -> None:
        """Leave the engine alone, and wait for what it still does to the recording."""

    @property
    def store(self) -> str:
        """Where it is recorded: path or URL, with the number of the run if it has one."""
        return self._recorder.store

    @property
    def state(self) -> RunState:
        """How the recording stands; see `RunStatistics`."""
        return self._recorder.state

    @property
    def error(self) -> BaseException | None:
        """What went wrong first, if anything."""
        return self._recorder.error

    def statistics(self) -> RunStatistics:
        """Return how the recording is doing."""
        return self._recorder.statistics()

    def note(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Record metadata of the whole acquisition.

        They are stored with every image under the attribute ``micromanager``.

        Parameters
        ----------
        name
            For example ``"summary"``, for ``acq.get_dataset().summary_metadata``.
        metadata
            What JSON cannot hold becomes text.
        """
        self._recorder.note(name, metadata)

    def await_recorded(self, axes: Mapping[str, Any], timeout: float | None = None) -> bool:
        """Wait until a frame was taken by the recording: ``{"time": 3, "channel": "DAPI"}``.

        Parameters
        ----------
        axes
            All of its coordinates.
        timeout
            Seconds; None waits until the frame comes or the recording ends.

        Returns
        -------
        bool
            Whether it was taken.
        """
        return self._recorder.await_recorded(axes, timeout)

    def read_frame(self, axes: Mapping[str, Any]) -> Pixels:
        """Return a frame that was taken by the recording, while it goes on or afterwards.

        From the first call on the last 64 MiB of frames are kept in memory. Older ones are read
        from the store, if that is a folder of Zarr V3.

        Parameters
        ----------
        axes
            All of its coordinates, as for `await_recorded`.

        Returns
        -------
        ndarray
            (Y, X), or (Y, X, 3) in colour.

        Raises
        ------
        LookupError
            It did not come, or is in a bucket by now.
        """
        found = self._recorder.read(axes)
        if found is None:
            raise LookupError(
                f"no frame at {dict(axes)} can be read from {self._recorder.shown_store}: it did "
                "not come, or is not in memory any more and the store is not a folder of Zarr V3"
            )
        return found

    def close(self) -> None:
        """Finish the store; later calls do nothing.

        Raises
        ------
        AcquisitionError
            Something went wrong since this was made; the first error is its cause.
        """
        self._finish_recording(interrupted=False)

    def __enter__(self) -> Self:
        """Return the object itself; until the end of the block, Ctrl+C ends the acquisition."""
        self._interrupts.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the store. An error of the recording is raised, as it caused the one at hand."""
        self._let_go()  # Ctrl+C ends what is waited for here, too
        self._interrupts.stop()
        self._finish_recording(interrupted=error is not None)

    def _finish_recording(self, *, interrupted: bool) -> None:
        """Finish the store once the engine is let go; it may know that it ended early."""
        self._let_go()
        self._forgotten.detach()
        self._recorder.finish(interrupted=interrupted or self._ended_early)


def _finish_forgotten(recorder: RunRecorder) -> None:
    """Finish a recording that nobody closed."""
    if not recorder.is_finished:
        _log.warning(
            "the recording to %s was never closed; use a with statement, or call close()",
            recorder.shown_store,
        )
        recorder.finish(interrupted=True, raises=False)
