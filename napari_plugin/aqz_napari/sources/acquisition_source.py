"""Sources for multi-dimensional acquisitions of pymmcore-plus, as napari-micromanager runs them.

`acquisition_sources` makes one source for each position of a sequence, because an OME-NGFF image
has no axis for positions; each frame goes to its place by the index that the acquisition gives
it. `NextAcquisition` waits for whatever is run next, and makes those sources at its start, on
the thread of the acquisition and before its first frame.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_napari.sources.acquisition_sites import Site, sites_of
from aqz_napari.sources.camera_facts import (
    camera_channels,
    frame_axes,
    frame_dtype,
    listen,
    planes,
)
from aqz_napari.sources.frame_source import Axis, FrameSink, SourceError, SourceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["AcquisitionSource", "NextAcquisition", "acquisition_sources"]

_log = logging.getLogger("aqz.napari")

_KINDS = {"t": "time", "c": "channel", "z": "space"}
_KEPT = ("runner_time_ms", "exposure_ms", "position", "camera_device")
_JSON = (int, float, str, dict)


class AcquisitionSource:
    """Every frame of a multi-dimensional acquisition of pymmcore-plus, or of one of its sites.

    Parameters
    ----------
    core : CMMCorePlus
        Its ``mda`` runs the acquisition.
    sequence : useq.MDASequence, optional
        What will be run: gives the axes, and each frame its place on them. Without it frames
        are recorded one after the other, with their index as metadata.
    run : bool, default False
        Run `sequence` when the recording starts; otherwise wait for whoever runs it.
    site : Site, optional
        Record the frames of this site only; needed where the sequence has several. See
        `acquisition_sources`.
    """

    def __init__(
        self, core: Any, sequence: Any = None, *, run: bool = False, site: Site | None = None
    ) -> None:
        if run and sequence is None:
            raise ValueError("run=True needs the sequence to run")
        self._core = core
        self._sequence = sequence
        self._run_it = run
        self._site = site
        self._sink: FrameSink | None = None
        self._ending = ""
        self._cameras: list[str] = []
        self._taken: Counter[int] = Counter()

    def describe(self) -> SourceSpec:
        """Say which axes the acquisition has.

        Raises
        ------
        SourceError
            It has several positions, and this source is not for one of them.
        """
        rows_and_columns = frame_axes(self._core)
        sequence = self._sequence
        name, about = "acquisition", {}
        channels: tuple[tuple[str, str | None, tuple[float, float] | None], ...] = ()
        cameras = camera_channels(self._core)
        axes = [Axis("t", 0, "time", 1.0, None)]
        names: list[str] = []
        if sequence is not None:
            site = self._site = self._site or _only_site(sequence)
            axes = [self._axis(axis, size) for axis, size in site.sizes.items()]
            axes = axes or [Axis("t", 0, "time")]
            if "c" in site.sizes:
                given = [str(c.config) for c in sequence.channels]
                names = given if len(given) == site.sizes["c"] else []
            name = site.name or name
            about = {
                "sequence": sequence.model_dump(mode="json"),
                "site": dict(site.place),
                "stage": dict(site.stage),
            }
            rows_and_columns = tuple(_placed(axis, site.stage) for axis in rows_and_columns)
        if cameras:
            if len(rows_and_columns) > 2:
                raise SourceError("several colour cameras have no place in one image; use one")
            axes, names = _with_cameras(axes, names, cameras)
        if len(rows_and_columns) == 2:
            channels = tuple((channel, None, None) for channel in names)
        return SourceSpec(
            name,
            (*axes, *rows_and_columns),
            frame_dtype(self._core),
            update_ndim=len(rows_and_columns),
            channels=channels,
            metadata=about,
        )

    def start(self, sink: FrameSink) -> None:
        """Listen to the acquisition, and run it if asked to."""
        self._sink = sink
        self._cameras, self._taken = camera_channels(self._core), Counter()
        events = self._core.mda.events
        listen(events.frameReady, self._on_frame)
        listen(events.sequenceCanceled, self._on_cancelled)
        listen(events.sequenceFinished, self._on_finished)
        if self._run_it:
            self._core.run_mda(self._sequence)

    def stop(self) -> None:
        """Listen no more; an acquisition that was run from here is cancelled."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        events = self._core.mda.events
        events.frameReady.disconnect(self._on_frame)
        events.sequenceCanceled.disconnect(self._on_cancelled)
        events.sequenceFinished.disconnect(self._on_finished)
        if self._run_it and self._core.mda.is_running():
            self._core.mda.cancel()

    def _axis(self, name: str, size: int) -> Axis:
        """Return the axis of a letter of the sequence."""
        scale, unit, origin = 0.0, None, 0.0
        if name == "z":
            steps = list(self._sequence.z_plan or [])
            scale = abs(steps[1] - steps[0]) if len(steps) > 1 else 1.0
            unit = "micrometer"
            rising = len(steps) < 2 or steps[1] > steps[0]  # a scale cannot be negative
            origin = self._site.stage.get("z", 0.0) if self._site and rising else 0.0
        elif name == "t":
            interval = getattr(self._sequence.time_plan, "interval", None)
            scale = interval.total_seconds() if interval is not None else 0.0
            unit = "second" if scale else None  # as fast as it goes: the time stamps say how fast
        return Axis(name, size, _KINDS[name], scale or 1.0, unit, origin)

    def _on_frame(self, image: Any, event: Any, meta: Mapping[str, Any] | None = None) -> None:
        """Deliver a frame; runs on the thread of the acquisition."""
        sink = self._sink
        if sink is None:
            return
        index = {str(axis): int(number) for axis, number in event.index.items()}
        place = None
        if self._site is not None:
            place = self._site.index(index)
            if place is None:
                return
        cameras = self._cameras
        if cameras:
            place = self._of_camera(place, index.get("cam", 0))
        about: dict[str, Any] = {"index": index} | {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in (meta or {}).items()
            if name in _KEPT and isinstance(value, _JSON)
        }
        sink(planes(np.asarray(image)), index=place or None, metadata=about)

    def _of_camera(self, place: dict[str, int] | None, camera: int) -> dict[str, int]:
        """Return where the frame of one of several cameras goes: its channel, or the next t."""
        if place is None:
            self._taken[camera] += 1
            return {"t": self._taken[camera] - 1, "c": camera}
        channel = place.get("c", 0) * len(self._cameras) + camera
        return {**({} if place else {"t": 0}), **place, "c": channel}

    def _on_cancelled(self, *_: object) -> None:
        """Remember that it ends early."""
        self._ending = "the acquisition was cancelled"

    def _on_finished(self, *_: object) -> None:
        """End with the acquisition."""
        sink = self._sink
        if sink is not None and self._ending:
            sink.fail(self._ending)
        elif sink is not None:
            sink.end("the acquisition finished")


class NextAcquisition(AcquisitionSource):
    """The acquisition that someone starts next, with the axes and positions that it has then.

    Parameters
    ----------
    core : CMMCorePlus
        Its ``mda`` runs the acquisition.
    """

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._taking = threading.Lock()
        self._then: Callable[[list[AcquisitionSource]], None] | None = None

    def wait_for(self, then: Callable[[list[AcquisitionSource]], None]) -> None:
        """Call `then` when an acquisition starts, before its first frame and on its thread."""
        self._then = then
        listen(self._core.mda.events.sequenceStarted, self._on_started)

    def give_up(self) -> bool:
        """Wait no more; returns False if nothing is awaited, as the acquisition has begun."""
        return self._take_then() is not None

    def _take_then(self) -> Callable[[list[AcquisitionSource]], None] | None:
        """Return what is called at the start, to one caller only: the start, or who gives up."""
        with self._taking:
            then, self._then = self._then, None
        if then is not None:
            self._core.mda.events.sequenceStarted.disconnect(self._on_started)
        return then

    def _on_started(self, sequence: Any, *_: object) -> None:
        """Hand the sources over; one that is made while it runs is recorded along t."""
        then = self._take_then()
        if then is None:
            return
        try:
            sources = acquisition_sources(self._core, sequence)
        except Exception:  # events of an iterator have no plan that could be asked
            _log.info("the acquisition has no plan; frames are recorded along t", exc_info=True)
            sources = [AcquisitionSource(self._core)]
        then(sources)


def acquisition_sources(core: Any, sequence: Any, *, run: bool = False) -> list[AcquisitionSource]:
    """Return a source for each position, and for each tile of a grid, of a sequence.

    Parameters
    ----------
    core : CMMCorePlus
        Its ``mda`` runs the acquisition.
    sequence : useq.MDASequence
        What will be run.
    run : bool, default False
        Run it when the last of the sources is started.

    Returns
    -------
    list of AcquisitionSource
        At least one. Give each an array of its own.
    """
    sites = sites_of(sequence)
    return [
        AcquisitionSource(core, sequence, site=site, run=run and site is sites[-1])
        for site in sites
    ]


def _placed(axis: Axis, stage: Mapping[str, float]) -> Axis:
    """Return rows or columns where the stage has them: its position is the middle of the image."""
    if axis.unit is None or axis.name not in stage:
        return axis
    return replace(axis, origin=stage[axis.name] - (axis.size - 1) / 2 * axis.scale)


def _with_cameras(
    axes: list[Axis], names: list[str], cameras: list[str]
) -> tuple[list[Axis], list[str]]:
    """Return axes and channel names where each channel is taken by several cameras."""
    count = len(cameras)
    channels = [axis for axis in axes if axis.kind == "channel"]
    if not channels:
        place = 1 if axes[0].kind == "time" else 0
        return [*axes[:place], Axis("c", count, "channel"), *axes[place:]], cameras
    wider = [replace(a, size=a.size * count) if a.kind == "channel" else a for a in axes]
    return wider, [f"{name} {camera}" for name in names for camera in cameras]


def _only_site(sequence: Any) -> Site:
    """Return the site of a sequence that has one."""
    sites = sites_of(sequence)
    if len(sites) > 1:
        raise SourceError(
            f"the sequence has {len(sites)} positions, and an image holds one; use "
            "acquisition_sources(core, sequence), which makes a source for each"
        )
    return sites[0]
