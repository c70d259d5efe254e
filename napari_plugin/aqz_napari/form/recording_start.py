"""Getting a recording going without holding up a window. No Qt, no napari.

Finding a free name in a bucket and opening a store take seconds; an acquisition may be awaited
for hours. Both happen on other threads; the widget looks now and then how far it is.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from aqz_napari.form.destination import exists_locally, is_remote
from aqz_napari.form.plan_problems import store_path_of
from aqz_napari.form.recording_plan import array_keys, array_plan, for_sites
from aqz_napari.form.remote_place import names_beside
from aqz_napari.form.said_axes import merge_axes
from aqz_napari.form.user_metadata import UserMetadata
from aqz_napari.recorder.recorder import Recorder
from aqz_napari.sources.acquisition_source import NextAcquisition
from aqz_napari.sources.layer_source import LayerSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_napari.form.recording_plan import ArrayPlan, RecordingPlan
    from aqz_napari.sources.acquisition_source import AcquisitionSource
    from aqz_napari.sources.frame_source import FrameSource, SourceSpec

__all__ = ["RecordingStart"]


class RecordingStart:
    """One attempt to start a recording.

    Parameters
    ----------
    plan : RecordingPlan
        What to record. The sources of an acquisition replace its array when it begins.
    sources : sequence of (FrameSource, SourceSpec)
        One for each array of the plan, with what it described when the form was filled in.
    publish_every : float or None
        As for `Recorder`.

    Attributes
    ----------
    plan : RecordingPlan
        What is recorded; final once it is not busy.
    recorder : Recorder or None
        Started, unless there was an error.
    error : BaseException or None
        Why there is no recording.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        sources: Sequence[tuple[FrameSource, SourceSpec]],
        publish_every: float | None,
    ) -> None:
        self.plan = plan
        self.recorder: Recorder | None = None
        self.error: BaseException | None = None
        self._publish_every = publish_every
        self._sources = list(sources)
        self._path_plan = plan
        self._awaited = next((s for s, _ in sources if isinstance(s, NextAcquisition)), None)
        self._waiting = self._awaited is not None
        self._done = threading.Event()

    @property
    def is_waiting(self) -> bool:
        """Whether an acquisition has to begin first."""
        return self._waiting

    @property
    def is_busy(self) -> bool:
        """Whether it is neither started nor failed nor given up."""
        return not self._done.is_set()

    def begin(self) -> None:
        """Open the store on another thread, or wait for the acquisition; returns at once."""
        if self._awaited is not None:
            self._awaited.wait_for(self._acquisition_began)
        else:
            threading.Thread(target=self._open, name="aqz start", daemon=True).start()

    def give_up(self) -> None:
        """Wait no longer for an acquisition; without effect once it has begun."""
        if self._awaited is not None and self._awaited.give_up():
            self._waiting = False
            self._done.set()

    def _acquisition_began(self, sites: list[AcquisitionSource]) -> None:
        """Open the store; on the thread of the acquisition, which waits for it meanwhile."""
        self._waiting = False
        try:
            self._replace_awaited(sites)
        except Exception as error:  # must not reach the acquisition
            self.error = error
            self._done.set()
            return
        self._open()

    def _replace_awaited(self, sites: list[AcquisitionSource]) -> None:
        """Put the sources of the sites, and their arrays, where the acquisition was."""
        arrays: list[ArrayPlan] = []
        sources: list[tuple[FrameSource, SourceSpec]] = []
        for array, (source, spec) in zip(self.plan.arrays, self._sources, strict=True):
            if source is self._awaited:
                specs = [site.describe() for site in sites]
                arrays.extend(for_sites(array, spec, specs))
                sources.extend(zip(sites, specs, strict=True))
            else:
                arrays.append(array)
                sources.append((source, spec))
        keys = array_keys([array.title for array in arrays])
        named = tuple(replace(a, key=key) for a, key in zip(arrays, keys, strict=True))
        self.plan, self._sources = replace(self.plan, arrays=named), sources

    def _open(self) -> None:
        """Find a free name, open the store, start the sources."""
        recorder = None
        try:
            self._prepare_sources()
            path = store_path_of(self._path_plan, self._exists)
            recorder = Recorder(
                self.plan.settings(path),
                {
                    array.key: source
                    for array, (source, _) in zip(self.plan.arrays, self._sources, strict=True)
                },
                stop_rule=self.plan.stop,
                publish_every=self._publish_every,
                take_rule=self.plan.take,
                plugins=[UserMetadata(self.plan.notes, self.plan.metadata)],
            )
            recorder.start()
            if self.plan.is_snapshot:
                self._deliver_now()
        except Exception as error:
            self.error = error
        if recorder is not None and (recorder.state.is_running or recorder.state.is_over):
            self.recorder = recorder
        else:
            self._stop_sources()
        self._done.set()

    def _deliver_now(self) -> None:
        """Record what layers show: nobody may change them while a snapshot waits for a frame."""
        for source, _ in self._sources:
            if isinstance(source, LayerSource):
                source.deliver_now()

    def _prepare_sources(self) -> None:
        """Let sources that can begin at once, and take over what is known only then.

        Frames wait in the camera's buffer until the store is open: for a store across a network,
        which may take seconds, the buffer could be too small.
        """
        if is_remote(self.plan.destination):
            return
        for position, (source, spec) in enumerate(self._sources):
            prepare = getattr(source, "prepare", None)
            if prepare is None:
                continue
            array, now = self.plan.arrays[position], prepare()
            axes = merge_axes(array.axes, array_plan("", spec).axes, array_plan("", now).axes)
            self.plan = self.plan.with_array(replace(array, axes=axes))
            self._sources[position] = (source, now)

    def _stop_sources(self) -> None:
        """Stop what was prepared for a recording that does not come about."""
        for source, _ in self._sources:
            if hasattr(source, "prepare"):
                with contextlib.suppress(Exception):
                    source.stop()

    def _exists(self, path: str) -> bool:
        """Return whether a name is taken, waiting for the network if need be."""
        if not is_remote(path):
            return exists_locally(path)
        try:
            taken = names_beside(path, self.plan.endpoint)
        except OSError:
            return False  # opening the store says better what is wrong
        return path.rstrip("/").rpartition("/")[2] in taken
