"""An image processor for pycro-manager that records to OME-Zarr.

Works with the Python and the Java engine of pycro-manager, neither of which is imported here. The
engines count a processor's parameters, lose errors that it raises at the wrong moment, and keep in
memory whatever it returns; `ZarrProcessor` is made around that.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from inspect import Signature, signature
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import aqz_core as aqz
from aqz_micromanager.adapter import RunAdapter
from aqz_micromanager.core_facts import (
    camera_labels,
    camera_spec,
    core_summary,
    core_tags,
)
from aqz_micromanager.engine_dataset import attach_dataset
from aqz_micromanager.errors import AcquisitionError, UnknownCoordinateError
from aqz_micromanager.events import PlannedEnd, as_list, read_events, watch_events
from aqz_micromanager.frame_hold import ArrivedFrame
from aqz_micromanager.image_options import ImageOptions
from aqz_micromanager.protocol import protocol_of_core, protocol_of_events
from aqz_micromanager.recorder_options import LEARNING_NBYTES, RecorderOptions
from aqz_micromanager.tags import camera_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aqz_micromanager.events import Event
    from aqz_micromanager.pixels import ColorOrder, Pixels
    from aqz_micromanager.positions import PlateChoice
    from aqz_micromanager.run_plan import Value
    from aqz_micromanager.store_recording import OnDuplicate
    from aqz_micromanager.tags import FrameMetadata

__all__ = ["ZarrProcessor"]

Tagged: TypeAlias = "tuple[Pixels, dict[str, Any]]"


class ZarrProcessor(RunAdapter):
    """Records what a `pycromanager.Acquisition` acquires; give it as ``image_process_fn``.

    Frames are routed by their ``Axes`` only. Each position becomes an image of its own. Use it as a
    context manager around the acquisition, or call `close` afterwards: that is where errors are
    raised that the engine may have lost. One processor records one acquisition.

    Parameters
    ----------
    store : str or os.PathLike
        Where to record: a path or URL.
    events : list of dict, optional
        The events that will be acquired: they tell sizes, order, scales and positions before the
        first frame. Wrap a generator with `watch` instead.
    axes : mapping, optional
        Coordinates of axes that the events do not tell: a number of them, a list, or None for an
        axis without an end. ``{"time": None, "channel": ["DAPI", "FITC"], "z": 5}``.
    settings : StreamSettings, optional
        Everything about the stream but its arrays. The first array, if there is one, is a template:
        its compression, checksum, pyramid, fill value, and the chunks and shards of axes of the
        same name.
    core : optional
        The Micro-Manager core. With complete `events` the store is opened at once, not on the
        first frame, and the devices' names are recorded.
    processor : callable, optional
        Called before with image and metadata, and the engine's event queue if it takes three
        parameters; returns what to record: an image and its metadata, a list of such pairs, or
        None.
    passthrough : bool, default False
        Hand frames on to the engine's own storage as well; see also `attach`.
    cameras : sequence of str, optional
        Labels of the cameras that record at once. Their frames have the same ``Axes`` in the
        Python engine, which also deals out time by arrival in bursts: time is then counted for
        each camera.
    cameras_as_channels : bool, default True
        Whether cameras are stored as channels, or as an axis ``camera``.
    plate : {"auto", True, False}
        Whether positions become fields of a plate; "auto": if all labels are like "A1-Site_0".
    colors : mapping of str to str, optional
        Colours of channels: six hexadecimal digits.
    on_duplicate : {"error", "keep", "replace"}
        What to do with a second frame for the same place.
    on_change : {"error", "new_store"}
        What to do with a frame of another shape or data type.
    on_unplanned : {"error", "add"}
        What to do with a frame from a place that `events` and `axes` do not have: a position, or
        another set of axes, becomes one more image of the store; a channel or plane makes its
        axis longer. What nobody told of is always added.
    back_pressure : {"block", "stop"}
        What to do when frames come faster than they can be stored: let the engine wait, and then
        the camera's buffer fill, or end the acquisition.
    frame_metadata : {"compact", "full", None}
        What to keep of every frame's metadata.
    color_order : {"bgr", "rgb"}
        Order of colour components in memory; "bgr" is Micro-Manager's.
    learning_memory : int
        Bytes of frames that may wait until the sizes of axes are known.
    flush_seconds : float, optional
        After how long a frame is stored for certain and can be read, however slowly others come;
        10 if left out. 0 leaves it to full shards.
    on_frame : callable, optional
        Called with the axes of each frame that was taken; see also `await_recorded`.

    Raises
    ------
    AqzError
        The settings make no sense or, if it is opened at once, the store cannot be made.

    Examples
    --------
    >>> with ZarrProcessor("run1.ome.zarr", events=events) as zarr:  # doctest: +SKIP
    ...     with Acquisition(directory=None, image_process_fn=zarr) as acq:
    ...         acq.acquire(events)
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        events: Event | Iterable[Event] | None = None,
        *,
        axes: Mapping[str, int | Iterable[Value] | None] | None = None,
        settings: aqz.StreamSettings | None = None,
        core: Any = None,
        processor: Callable[[Pixels, dict[str, Any]], Any] | None = None,
        passthrough: bool = False,
        cameras: Sequence[str] = (),
        cameras_as_channels: bool = True,
        plate: PlateChoice = "auto",
        colors: Mapping[str, str] | None = None,
        on_duplicate: OnDuplicate = "error",
        on_change: Literal["error", "new_store"] = "error",
        on_unplanned: Literal["error", "add"] = "error",
        back_pressure: Literal["block", "stop"] = "block",
        frame_metadata: FrameMetadata = "compact",
        color_order: ColorOrder = "bgr",
        learning_memory: int = LEARNING_NBYTES,
        flush_seconds: float | None = None,
        on_frame: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        if processor is not None and not callable(processor):
            raise aqz.SettingsError(f"processor is {processor!r}; give a function, or leave it out")
        self._processor = processor
        takes_queue = processor is not None and len(signature(processor).parameters) == 3
        own = list(signature(type(self).__call__).parameters.values())[1:]
        self.__signature__ = Signature(own if takes_queue else own[:2])
        self._passthrough = passthrough
        self._cameras = tuple(cameras)
        self._taken_by_camera: Counter[tuple[object, ...]] = Counter()
        self._closing: threading.Thread | None = None
        self._refused = False
        self._end = PlannedEnd()
        if isinstance(cameras, str):
            raise aqz.SettingsError(
                f"cameras is {cameras!r}; give a list of labels, such as [{cameras!r}]"
            )
        if core is not None and not self._cameras:
            self._cameras = camera_labels(core)
        declared = dict(axes or {})
        if self._cameras:
            declared["camera"] = self._cameras
        options = RecorderOptions(
            axes=declared,
            images=ImageOptions(settings, dict(colors or {}), plate),
            on_duplicate=on_duplicate,
            on_change=on_change,
            on_unplanned=on_unplanned,
            back_pressure=back_pressure,
            frame_metadata=frame_metadata,
            cameras_as_channels=cameras_as_channels,
            color_order=color_order,
            learning_memory=learning_memory,
            flush_seconds=flush_seconds,
        )
        super().__init__(store, options)
        self._recorder.on_frame = on_frame
        if core is not None:
            self._recorder.note("summary", core_summary(core))
            self._recorder.keep_protocol("micromanager", protocol_of_core(core))
        if events is not None:
            planned = as_list(events)
            self._end.plan(planned)
            self._recorder.keep_protocol("acquisition", protocol_of_events(planned))
            self._recorder.expect(
                lambda builder: read_events(planned, builder),
                camera_spec(core) if core is not None else None,
                core_tags(core) if core is not None else None,
            )

    # ---- what the engine calls --------------------------------------------------------------

    # The engine looks at `__signature__`: it hands over its event queue where there is a third one.
    def __call__(self, image: Pixels, metadata: dict[str, Any], queue: Any = None) -> Tagged | None:
        """Record one image.

        Raises
        ------
        Exception
            The first error only, which makes the engine abort the acquisition. It is kept as well;
            later images are ignored. With ``passthrough`` it is kept only: whoever waits for an
            image in the engine's storage would wait for ever if the engine were stopped. A run
            that the processor steers by the event queue is ended through it.
        """
        if self._recorder.error is not None:
            return (image, metadata) if self._passthrough else None
        if self._recorder.is_finished or self._interrupted:
            self._refuse()
            return None
        try:
            self._end.see(metadata.get("Axes") or {})
            results = self._processed(image, metadata, queue)
            for pixels, tags in results:
                self._recorder.put(ArrivedFrame(pixels, self._axes(tags), tags))
        except BaseException as error:
            self._recorder.fail(error)
            if not isinstance(error, Exception) or (queue is None and not self._passthrough):
                raise
            if queue is not None:  # an abort would empty it, and the run never end
                queue.put(None)
            return (image, metadata) if self._passthrough else None
        return results[0] if self._passthrough and results else None

    def on_notification(self, notification: Any) -> None:
        """Close when the engine has nothing more to hand over; for ``notification_callback_fn``.

        The engine waits for this call to return and loses errors raised in it, so the work is done
        on a thread of its own. `close` waits for that thread.
        """
        if str(notification.milestone) == "data_sink_finished" and self._closing is None:
            self._closing = threading.Thread(target=self._close_quietly, name="aqz-close")
            self._closing.start()

    def _processed(self, image: Pixels, metadata: dict[str, Any], queue: Any) -> list[Tagged]:
        """Return what the user's processor makes of an image."""
        if self._processor is None:
            return [(image, metadata)]
        more = () if queue is None else (queue,)
        result = self._processor(image, metadata, *more)
        if result is None:
            return []
        results = list(result) if isinstance(result, list) else [result]
        for one in results:
            if not (isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], Mapping)):
                raise AcquisitionError(
                    f"processor returned {type(one).__name__}; return (image, metadata), a list of "
                    "such pairs, or None to drop the image"
                )
        return results

    def _axes(self, tags: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the coordinates of a frame, its camera among them if there are several."""
        axes: Mapping[str, Any] | None = tags.get("Axes")
        if axes is None:
            raise UnknownCoordinateError(
                f"a frame has no 'Axes' among its metadata {sorted(tags)[:10]}; if a processor of "
                "yours made them, hand on those that it was given"
            )
        if not self._cameras or "camera" in axes:
            return axes
        camera = camera_of(tags, self._cameras)
        if camera is None:
            raise UnknownCoordinateError(
                f"a frame came from camera {tags.get('Camera')!r}, which is none of {self._cameras}"
            )
        taken = {**axes, "camera": camera}
        if "time" in taken:
            others = tuple(sorted((k, v) for k, v in taken.items() if k != "time"))
            taken["time"] = self._taken_by_camera[others]
            self._taken_by_camera[others] += 1
        return taken

    def _on_interrupt(self) -> bool:
        """End the acquisition with the next image, for its end would wait for all of them."""
        self._interrupted = True
        return False

    def _refuse(self) -> None:
        """Make the engine stop, once, after Ctrl+C or if it goes on after the store was closed."""
        if self._refused:
            return
        self._refused = True
        raise AcquisitionError(
            "the recording was closed or interrupted and takes no more images; another acquisition "
            "needs another ZarrProcessor"
        )

    # ---- what the user calls ----------------------------------------------------------------

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """Return a generator of the same events, which are noted on their way to the engine.

        Parameters
        ----------
        events
            A generator, which may be endless.
        """
        return self._end.watch(watch_events(events, self._recorder.expect))

    def attach(self, acquisition: Any) -> None:
        """Make the dataset of an acquisition read from the recording; call it before `acquire`.

        ``napari_viewer=``, ``image_saved_fn=``, ``await_image_saved`` and ``get_dataset()`` then
        have every image, and none is kept in memory by the engine. See `read_frame` for what can
        be read.

        Parameters
        ----------
        acquisition : pycromanager.Acquisition
            Of the Python engine, with ``directory=None``.

        Raises
        ------
        SettingsError
            Its dataset keeps images by itself, or has some already.
        """
        attach_dataset(acquisition, self.read_frame)
        self._recorder.watch_frames()
        self._passthrough = True

    @property
    def _ended_early(self) -> bool:
        """Whether the last image that was planned never came."""
        return self._interrupted or not self._end.is_reached

    def _let_go(self) -> None:
        """Wait for the end that `on_notification` began."""
        if self._closing is not None and self._closing is not threading.current_thread():
            self._closing.join()

    def _close_quietly(self) -> None:
        """Close, and leave an error to be raised by `close`."""
        self._recorder.finish(interrupted=self._ended_early, raises=False)
