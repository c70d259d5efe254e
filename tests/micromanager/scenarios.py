"""Real acquisitions on Micro-Manager's demo devices: one function each, run by `subprocesses`.

``python -m tests.micromanager.scenarios NAME FOLDER JSON`` records into FOLDER and prints one line
``REPORT {...}``. Frames that the camera gave are told by their crc32c, so that the test can compare
them with those that are stored.
"""

from __future__ import annotations

import copy
import gc
import itertools
import json
import os
import sys
import threading
import time
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np

SCENARIOS = {}


def scenario(function):
    """Register a scenario by its name."""
    SCENARIOS[function.__name__] = function
    return function


# ---- pycro-manager ------------------------------------------------------------------------------


def start(buffer_mb=256, size=128, **properties):
    """Start the Python engine with the DemoCamera and return the core."""
    import mm_test_adapters
    from mmpycorex import Core
    from pycromanager import start_headless

    start_headless(
        mm_app_path=mm_test_adapters.device_adapter_path(),
        config_file="MMConfig_demo.cfg",
        python_backend=True,
        buffer_size_mb=buffer_mb,
    )
    core = Core()
    core.set_exposure(1.0)
    properties = {
        "OnCameraCCDXSize": str(size + 32),
        "OnCameraCCDYSize": str(size),
        "DisplayImageNumber": "1",
        **properties,
    }
    for name, value in properties.items():
        core.set_property("Camera", name, value)
    return core


def multi_d(t=2, z=2, c=("DAPI", "FITC"), **more):
    """Return the events of a multi-dimensional acquisition."""
    from pycromanager import multi_d_acquisition_events

    arguments: dict[str, Any] = {}
    if t:
        arguments["num_time_points"] = t
    if z:
        arguments |= {"z_start": 0.0, "z_end": 0.5 * (z - 1), "z_step": 0.5}
    if c:
        arguments |= {"channel_group": "Channel", "channels": list(c)}
    return multi_d_acquisition_events(**arguments, **more)


class Witness:
    """A processor that remembers which pixels came with which axes, and hands them on."""

    def __init__(self):
        self.seen = []

    def __call__(self, image, metadata):
        self.seen.append([dict(metadata["Axes"]), zlib.crc32(np.ascontiguousarray(image))])
        return image, metadata


def attempt(function):
    """Call a function and return the names and messages of the errors that came out."""
    try:
        function()
    except BaseException as error:
        chain, cause = [], error
        while cause is not None:
            chain.append([type(cause).__name__, str(cause)])
            cause = cause.__cause__
        return chain
    return []


def record(store, acquired, *, acquisition=None, **options):
    """Acquire events and record them; return the processor and what was raised."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    options.setdefault("events", acquired)
    options.setdefault("processor", Witness())
    made = []

    def run():
        with ZarrProcessor(store, **options) as zarr:
            made.append(zarr)
            with Acquisition(directory=None, image_process_fn=zarr, **(acquisition or {})) as acq:
                acq.acquire(acquired)

    raised = attempt(run)
    return made[0], raised


def report_of(zarr, raised=(), **more):
    """Return what a test wants to know."""
    statistics = zarr.statistics()
    return {
        "raised": list(raised),
        "state": zarr.state,
        "frames": statistics.frames,
        "missing": statistics.missing_frames,
        "duplicates": statistics.duplicate_frames,
        "peak_queue_fill": statistics.peak_queue_fill,
        "seen": getattr(getattr(zarr, "_processor", None), "seen", []),
        **more,
    }


@scenario
def positions(folder, known=True, wrap=False):
    """Time, two positions, two channels, a stack: planned, or learned from the first time point."""
    core = start()
    events = multi_d(
        xy_positions=np.array([[0, 0], [100, 50]]),
        time_interval_s=0.02,
        channel_exposures_ms=[1, 2],
    )
    if wrap:
        from aqz_micromanager import ZarrProcessor

        witness = Witness()
        zarr = ZarrProcessor(folder / "run.ome.zarr", processor=witness)
        from pycromanager import Acquisition

        with zarr, Acquisition(directory=None, image_process_fn=zarr) as acq:
            acq.acquire(zarr.watch(event for event in events))
        return report_of(zarr)
    options = {"core": core} if known else {"events": None}
    return report_of(*record(folder / "run.ome.zarr", events, **options))


@scenario
def burst(folder):
    """A camera sequence: numbers come as text, time has no end."""
    start()
    return report_of(*record(folder / "run.ome.zarr", multi_d(40, None, None), events=None))


@scenario
def well_labels(folder):
    """Labels of wells become a plate."""
    start()
    events = multi_d(
        1,
        None,
        xy_positions=np.array([[0, 0], [9000, 0], [9100, 0]]),
        position_labels=["A1-Site_0", "A2-Site_0", "A2-Site_1"],
    )
    return report_of(*record(folder / "run.ome.zarr", events))


@scenario
def custom_axes(folder):
    """Axes of the user's own, with numbers and text, some of them in no order."""
    start()
    events = [
        {"axes": {"time": t, "polarization": p}, "exposure": 1}
        for t in (2, 0, 1)
        for p in ("left", "right")
    ]
    return report_of(*record(folder / "run.ome.zarr", events))


@scenario
def many_axes(folder):
    """More axes than an OME-Zarr image can have."""
    start()
    events = [
        {"axes": {"time": t, "channel": c, "z": z, "repetition": r, "angle": a}}
        for t, c, z, r, a in itertools.product(range(2), ["x", "y"], range(2), range(2), (0, 90))
    ]
    return report_of(*record(folder / "run.ome.zarr", events))


@scenario
def notification(folder):
    """Closed by the engine's last notification, without a with statement."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(3, None)
    zarr = ZarrProcessor(folder / "run.ome.zarr", events, processor=Witness())
    with Acquisition(
        directory=None, image_process_fn=zarr, notification_callback_fn=zarr.on_notification
    ) as acq:
        acq.acquire(events)
    while zarr._closing is None:
        time.sleep(0.01)
    zarr._closing.join()
    return report_of(zarr, attempt(zarr.close))


@scenario
def passthrough(folder, on_disk=False):
    """Frames also reach the engine's own storage, in memory or as NDTiff files."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(2, 2)
    with (
        ZarrProcessor(folder / "run.ome.zarr", events, passthrough=True) as zarr,
        Acquisition(
            directory=str(folder) if on_disk else None, name="ndtiff", image_process_fn=zarr
        ) as acq,
    ):
        acq.acquire(events)
    dataset = acq.get_dataset()
    return report_of(
        zarr,
        engine=[
            [dict(axes), zlib.crc32(dataset.read_image(**axes))]
            for axes in dataset.get_image_coordinates_list()
        ],
    )


@scenario
def attached(folder):
    """The engine's dataset reads from the recording: callbacks, waiting, arrays."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(3, 2, xy_positions=np.array([[0, 0], [100, 50]]))
    witness, saved = Witness(), []

    def image_saved(axes, dataset):
        saved.append([axes, zlib.crc32(dataset.read_image(**axes))])
        assert dataset.read_metadata(**axes)["Axes"] == axes

    with (
        ZarrProcessor(folder / "run.ome.zarr", events, processor=witness) as zarr,
        Acquisition(directory=None, image_process_fn=zarr, image_saved_fn=image_saved) as acq,
    ):
        zarr.attach(acq)
        image = acq.acquire(events).await_image_saved(events[3]["axes"])
    dataset = acq.get_dataset()
    zarr._recorder._recent._frames.clear()  # as if the run had been longer than memory
    return report_of(
        zarr,
        saved=saved,
        awaited=zlib.crc32(image),
        kept=[[axes, zlib.crc32(dataset.read_image(**axes))] for axes, _ in witness.seen],
        array=list(dataset.as_array().shape),
        in_memory=sum(isinstance(one, np.ndarray) for one in vars(dataset.images).values()),
    )


@scenario
def nothing_piles_up(folder):
    """By default the engine's own storage gets nothing."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(5, None, None)
    with (
        ZarrProcessor(folder / "run.ome.zarr", events) as zarr,
        Acquisition(directory=None, image_process_fn=zarr) as acq,
    ):
        acq.acquire(events)
    return report_of(zarr, engine=len(list(acq.get_dataset().get_image_coordinates_list())))


@scenario
def user_processor(folder, result="none"):
    """A user's processor drops frames, adds an axis, or returns lists."""
    start()

    def split(image, metadata):
        if result == "none":
            return None if metadata["Axes"]["time"] == 1 else (image, metadata)
        pairs = []
        for half in range(2):
            one = copy.deepcopy(metadata)
            one["Axes"]["half"] = half
            part = image[:, half * 80 : (half + 1) * 80]
            pairs.append((part, one))
        return pairs

    axes = {"half": 2} if result == "list" else None
    events = multi_d(3, None, None)
    zarr, raised = record(folder / "run.ome.zarr", events, processor=split, axes=axes)
    return report_of(zarr, raised)


@scenario
def raising_processor(folder, wait=0.0):
    """A user's processor raises on the third frame; the engine may have finished when it does."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    calls = []

    def boom(image, metadata):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("boom")
        return image, metadata

    events = multi_d(20)
    made = []

    def run():
        with ZarrProcessor(folder / "run.ome.zarr", events, processor=boom) as zarr:
            made.append(zarr)
            with Acquisition(directory=None, image_process_fn=zarr) as acq:
                acq.acquire(events)
                time.sleep(wait)

    raised = attempt(run)
    return report_of(made[0], raised, calls=len(calls))


@scenario
def missing_frame(folder):
    """A frame is lost on the way."""
    start()
    witness = Witness()

    def lose(image, metadata):
        axes = metadata["Axes"]
        if (axes["time"], axes["channel"]) == (1, "FITC"):
            return None
        return witness(image, metadata)

    events = multi_d(3, None)
    zarr, raised = record(folder / "run.ome.zarr", events, processor=lose)
    return report_of(zarr, raised, seen=witness.seen)


@scenario
def duplicate(folder, on_duplicate="error"):
    """The same axes twice."""
    start()
    events = [{"axes": {"time": t}, "exposure": e} for t, e in ((0, 1), (1, 1), (1, 2), (2, 1))]
    store = folder / "run.ome.zarr"
    planned = [events[0], events[1], events[3]]  # a plan that repeats itself is refused at once
    return report_of(*record(store, events, events=planned, on_duplicate=on_duplicate))


@scenario
def unknown_position(folder):
    """A position comes that was not planned."""
    start()
    events = [{"axes": {"time": 0, "position": p}} for p in (0, 1)]
    return report_of(*record(folder / "run.ome.zarr", events, events=events[:1]))


@scenario
def roi_change(folder, on_change="error"):
    """The region of interest changes in mid-run."""
    core = start()

    def change(event):
        if event["axes"]["time"] == 2:
            core.set_roi(0, 0, 64, 32)
        return event

    events = [{"axes": {"time": t}, "exposure": 1 + t} for t in range(4)]
    return report_of(
        *record(
            folder / "run.ome.zarr",
            events,
            on_change=on_change,
            acquisition={"pre_hardware_hook_fn": change},
        )
    )


@scenario
def z_sequence(folder):
    """The stage steps through each stack by hardware, triggered by the camera."""
    core = start()
    core.set_property("Z", "UseSequences", "Yes")
    return report_of(*record(folder / "run.ome.zarr", multi_d(3, 5, None)))


@scenario
def error_in_body(folder):
    """The user's code inside the acquisition's block raises."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(5, None)
    made = []

    def run():
        with ZarrProcessor(folder / "run.ome.zarr", events, processor=Witness()) as zarr:
            made.append(zarr)
            with Acquisition(directory=None, image_process_fn=zarr) as acq:
                acq.acquire(events)
                raise KeyError("mine")

    raised = attempt(run)
    return report_of(made[0], raised)


@scenario
def aborted(folder):
    """The user aborts a long acquisition."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(200, 2, None, time_interval_s=0.05)
    witness, enough = Witness(), threading.Event()

    def count(image, metadata):
        if len(witness.seen) == 6:
            enough.set()
        return witness(image, metadata)

    zarr = ZarrProcessor(folder / "run.ome.zarr", events, processor=count)
    with zarr:
        acq = Acquisition(directory=None, image_process_fn=zarr)
        acq.acquire(events)
        enough.wait(20)
        acq.abort()
        acq.mark_finished()
        acq.await_completion()
    return report_of(zarr, seen=witness.seen)


@scenario
def adaptive(folder, fails=False):
    """Each image is waited for and answered to, as in pycro-manager's own adaptive example."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    witness, calls = Witness(), []

    def broken(image, metadata):
        calls.append(1)
        if fails and len(calls) == 3:
            raise ValueError("boom")
        return witness(image, metadata)

    made = []

    def run():
        zarr = ZarrProcessor(folder / "run.ome.zarr", passthrough=True, processor=broken)
        made.append(zarr)
        with zarr, Acquisition(directory=None, image_process_fn=zarr) as acq:
            for loop in range(4):
                first = acq.acquire({"axes": {"loop_index": loop}})
                first.await_image_saved({"loop_index": loop}, return_image=True)
                events = [{"axes": {"time": t, "loop_index": loop}} for t in range(3)]
                acq.acquire(events).await_image_saved([event["axes"] for event in events])

    raised = attempt(run)
    return report_of(made[0], raised, seen=witness.seen)


@scenario
def tutorial(folder, plan):
    """Plans that pycro-manager's tutorials have: retold, with the hook for their processor."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    core = start()
    witness, stack, options = Witness(), [], {}

    def project(image, metadata):
        witness(image, metadata)
        stack.append(image)
        if metadata["Axes"]["z"] < 2:
            return image, metadata
        highest = np.max(stack, axis=0)
        stack.clear()
        about = copy.deepcopy(metadata)
        about["Axes"].pop("z")
        return [(image, metadata), witness(highest, about)]

    if plan == "max projection":
        events = multi_d(2, 3, None)
        options = {"processor": project}
    elif plan == "intermittent z":  # a stack at every third time point, one plane at the others
        events = [
            {"axes": {"time": t, "z": z}, "z": 0.5 * z}
            for t in range(6)
            for z in (range(3) if t % 3 == 0 else [1])
        ]
        options = {"processor": witness, "events": events}
    elif plan == "tiled":
        events = [
            {"axes": {"row": r, "column": c, "channel": "DAPI"}, "x": 90.0 * c, "y": 90.0 * r}
            for r in range(2)
            for c in range(2)
        ]
        options = {"processor": witness, "events": events}
    else:  # hardware triggered: the camera steps the stage
        core.set_property("Z", "UseSequences", "Yes")
        events = multi_d(None, 4, None, time_interval_s=0)
        options = {"processor": witness, "events": events}
    with (
        ZarrProcessor(folder / "run.ome.zarr", **options) as zarr,
        Acquisition(directory=None, image_process_fn=zarr) as acq,
    ):
        acq.acquire(events)
    return report_of(zarr, seen=witness.seen)


@scenario
def queue_driven(folder, fails=False):
    """A processor with the engine's event queue asks for the next image, or ends the run."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    witness, made = Witness(), []

    def answer(image, metadata, queue):
        time = metadata["Axes"]["time"]
        if fails and time == 2:
            raise ValueError("boom")
        queue.put({"axes": {"time": time + 1}} if time < 4 else None)
        return witness(image, metadata)

    def run():
        zarr = ZarrProcessor(folder / "run.ome.zarr", processor=answer)
        made.append(zarr)
        with zarr:
            acq = Acquisition(directory=None, image_process_fn=zarr)
            acq.acquire({"axes": {"time": 0}})
            acq.await_completion()

    raised = attempt(run)
    return report_of(made[0], raised, seen=witness.seen)


@scenario
def interrupted(folder):
    """Waits for SIGINT in the middle of an acquisition; the test sends it."""
    from pycromanager import Acquisition

    from aqz_micromanager import ZarrProcessor

    start()
    events = multi_d(2000, None, None, time_interval_s=0.05)
    witness = Witness()

    def tell(image, metadata):
        if len(witness.seen) == 4:
            print("READY", flush=True)
        return witness(image, metadata)

    made = []

    def run():
        with ZarrProcessor(folder / "run.ome.zarr", events, processor=tell) as zarr:
            made.append(zarr)
            with Acquisition(directory=None, image_process_fn=zarr) as acq:
                acq.acquire(events)

    raised = attempt(run)
    return report_of(made[0], raised, seen=witness.seen)


@scenario
def rgb(folder):
    """Colour of 64 bits a pixel, which the engine leaves packed."""
    start(PixelType="64bitRGB")
    raw = []

    def keep(image, metadata):
        raw.append(image.copy())
        return image, metadata

    zarr, raised = record(folder / "run.ome.zarr", multi_d(2, None, None), processor=keep)
    np.save(folder / "raw.npy", np.stack(raw))
    return report_of(zarr, raised)


@scenario
def pixel_types(folder, pixel_type="8bit"):
    """Grey pixels of another size."""
    start(PixelType=pixel_type)
    return report_of(*record(folder / "run.ome.zarr", multi_d(2, None, None)))


@scenario
def multi_camera(folder, t=1, named=True, as_channels=True):
    """Two cameras whose frames have the same axes."""
    core = start()
    core.load_device("Camera2", "DemoCamera", "DCam")
    core.initialize_device("Camera2")
    for name in ("PixelType", "OnCameraCCDXSize", "OnCameraCCDYSize", "DisplayImageNumber"):
        core.set_property("Camera2", name, core.get_property("Camera", name))
    core.load_device("MultiCam", "Utilities", "Multi Camera")
    core.initialize_device("MultiCam")
    core.set_property("MultiCam", "Physical Camera 1", "Camera")
    core.set_property("MultiCam", "Physical Camera 2", "Camera2")
    core.set_camera_device("MultiCam")
    core.snap_image()
    tags = []

    def keep(image, metadata):
        camera = metadata.get("CameraChannelIndex", metadata["Camera"])
        tags.append([str(camera), metadata["Axes"]["time"], zlib.crc32(image)])
        return image, metadata

    zarr, raised = record(
        folder / "run.ome.zarr",
        multi_d(t, None, None),
        processor=keep,
        cameras=["Camera", "Camera2"] if named else (),
        cameras_as_channels=as_channels,
    )
    return report_of(zarr, raised, tags=tags)


@scenario
def slow_store(folder, back_pressure="block"):
    """The store is slower than the camera."""
    import aqz_core as aqz
    from aqz_core.codecs import chain

    core = start(buffer_mb=64, size=512)
    encoder = chain._encoder

    def slow_encoder(codecs):
        encode = encoder(codecs)

        def slow(data):
            time.sleep(0.04)
            return encode(data)

        return slow

    chain._encoder = slow_encoder
    settings = aqz.StreamSettings(max_memory=32 << 20)
    zarr, raised = record(
        folder / "run.ome.zarr",
        multi_d(80, None, None),
        settings=settings,
        back_pressure=back_pressure,
    )
    return report_of(zarr, raised, left=core.get_remaining_image_count())


@scenario
def overflow(folder):
    """The camera's buffer overflows because nobody takes frames."""
    start(buffer_mb=4, size=512)

    def slow(image, metadata):
        time.sleep(0.1)
        return image, metadata

    events = multi_d(300, None, None)
    return report_of(*record(folder / "run.ome.zarr", events, processor=slow))


@scenario
def sequence_tester(folder, t=200, z=None):
    """A camera whose pixels hold a serial number and the position of the stage."""
    import mm_test_adapters
    from mmpycorex import Core
    from pycromanager import start_headless

    start_headless(
        mm_app_path=mm_test_adapters.device_adapter_path(),
        config_file=None,
        python_backend=True,
        buffer_size_mb=64,
    )
    core = Core()
    core.load_device("THub", "SequenceTester", "THub")
    core.initialize_device("THub")
    for label, device in (("TCamera", "TCamera-0"), ("TZ", "TZStage-0")):
        core.load_device(label, "SequenceTester", device)
        core.set_parent_label(label, "THub")
    for name, value in (
        ("ImageMode", "MachineReadable"),
        ("ImageWidth", "128"),
        ("ImageHeight", "128"),
    ):
        core.set_property("TCamera", name, value)
    core.initialize_device("TCamera")
    core.initialize_device("TZ")
    core.set_camera_device("TCamera")
    core.set_focus_device("TZ")
    core.set_exposure(1)
    return report_of(*record(folder / "run.ome.zarr", multi_d(t, z, None), processor=None))


def bucket_settings(endpoint, bucket_name, key, secret, **others):
    """Return settings for a bucket, with small shards."""
    import aqz_core as aqz

    s3 = aqz.S3Settings(
        endpoint=endpoint,
        bucket_name=bucket_name,
        key=key,
        secret=secret,
        region="us-east-1",
        retry_timeout=4.0,
    )
    time = aqz.Dimension(
        name="t",
        kind=aqz.DimensionType.TIME,
        array_size_px=0,
        chunk_size_px=1,
        shard_size_chunks=4,
    )
    template = aqz.ArraySettings(dimensions=[time])
    return aqz.StreamSettings(s3=s3, arrays=[template], **others)


@scenario
def to_bucket(folder, labels=None, **bucket):
    """Two positions, or two wells, go to an object store."""
    start()
    places = {"position_labels": labels} if labels else {}
    events = multi_d(2, None, xy_positions=np.array([[0, 0], [100, 50]]), **places)
    return report_of(*record("run.ome.zarr", events, settings=bucket_settings(**bucket)))


@scenario
def lost_bucket(folder, store, spill=None, **bucket):
    """The object store ends in the middle of an acquisition; the test ends it."""
    start()
    witness, calls = Witness(), []

    def tell(image, metadata):
        calls.append(1)
        if len(calls) == 6:
            print("READY", flush=True)
        return witness(image, metadata)

    begun = time.monotonic()
    zarr, raised = record(
        store,
        multi_d(300 if spill is None else 120, None, None, time_interval_s=0.05),
        processor=tell,
        settings=bucket_settings(**bucket, spill=spill),
    )
    report = report_of(zarr, raised, seen=witness.seen, calls=len(calls))
    return {**report, "spilled": zarr.statistics().spilled, "seconds": time.monotonic() - begun}


# ---- pymmcore-plus ------------------------------------------------------------------------------


def plus_core(size=128, shared=False):
    """Return a pymmcore-plus core with the DemoCamera; `shared`: the one that is found unasked."""
    import mm_test_adapters
    from pymmcore_plus import CMMCorePlus

    folder = mm_test_adapters.device_adapter_path()
    core = CMMCorePlus.instance() if shared else CMMCorePlus()
    core.setDeviceAdapterSearchPaths([folder])
    core.loadSystemConfiguration(str(Path(folder) / "MMConfig_demo.cfg"))
    core.setProperty("Camera", "OnCameraCCDXSize", str(size))
    core.setProperty("Camera", "OnCameraCCDYSize", str(size))
    core.setExposure(1)
    return core


def add_second_camera(core):
    """Load a second DemoCamera, and a Multi Camera of both that can be made the active one."""
    core.loadDevice("Camera2", "DemoCamera", "DCam")
    core.initializeDevice("Camera2")
    for name in ("PixelType", "OnCameraCCDXSize", "OnCameraCCDYSize"):
        core.setProperty("Camera2", name, core.getProperty("Camera", name))
    core.loadDevice("Multi", "Utilities", "Multi Camera")
    core.initializeDevice("Multi")
    core.setProperty("Multi", "Physical Camera 1", "Camera")
    core.setProperty("Multi", "Physical Camera 2", "Camera2")


class PlusWitness:
    """Remembers what pymmcore-plus emitted."""

    def __init__(self, core):
        self.seen = []
        core.mda.events.frameReady.connect(self.frame)

    def frame(self, image, event, metadata):
        index = {str(getattr(k, "value", k)): v for k, v in event.index.items()}
        self.seen.append([index, zlib.crc32(np.ascontiguousarray(image))])


@scenario
def mda(folder, with_core=True):
    """A sequence with time, positions, channels and a stack."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core(shared=True)
    witness = PlusWitness(core)
    sequence = useq.MDASequence(
        time_plan={"interval": 0.02, "loops": 2},
        channels=["DAPI", "FITC"],
        z_plan={"range": 2, "step": 1},
        stage_positions=[{"x": 0, "y": 0, "z": 0, "name": "left"}, (100, 50, 0)],
        axis_order="tpcz",
    )
    with MDAHandler(folder / "run.ome.zarr", core=core if with_core else None) as handler:
        core.mda.run(sequence, output=handler)
    return report_of(handler, seen=witness.seen)


@scenario
def mda_view(folder, window=False):
    """``core.mda.get_view()`` is read while a thread runs, also in a program with a window."""
    import useq

    from aqz_micromanager import MDAHandler

    app = None
    if window:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        from qtpy.QtWidgets import QApplication

        app = QApplication([])
    core = plus_core(64, shared=True)
    sequence = useq.MDASequence(
        time_plan={"interval": 0, "loops": 2},
        channels=[{"config": "DAPI", "exposure": 1}, {"config": "FITC", "exposure": 5}],
        stage_positions=[
            {"x": 0, "y": 0, "z": 5},
            {"x": 9, "y": 9, "sequence": {"z_plan": {"top": 4, "bottom": 0, "step": 2}}},
        ],
        axis_order="tpcz",
    )
    earlier = weakref.ref(MDAHandler(folder / "earlier.ome.zarr", core=core))
    gc.collect()
    handler = MDAHandler(folder / "run.ome.zarr", core=core)
    witness, views = PlusWitness(core), []
    core.mda.events.frameReady.connect(lambda *_: views.append(core.mda.get_view().shape))
    thread = core.run_mda(sequence, output=handler)
    while thread.is_alive():
        if app is not None:
            app.processEvents()
        time.sleep(0.01)
    if app is not None:
        app.processEvents()
    view = core.mda.get_view()

    def crcs():
        found = []
        for index, _ in witness.seen:
            at = tuple(index.get(name, 0) for name in view.dims[:-2])
            found.append(zlib.crc32(np.ascontiguousarray(view[at])))
        return found

    recent = crcs()
    handler._recorder._recent._frames.clear()
    return report_of(
        handler,
        attempt(handler.close),
        seen=witness.seen,
        recent=recent,
        stored=crcs(),
        dims=view.dims,
        shapes=views,
        absent=int(view[0, 0, 0, 2].max()),
        forgotten=earlier() is None,
        channels=list(view.coords["c"]),
    )


@scenario
def mda_wells(folder):
    """A well plate of useq, two points in each well."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    plan = useq.WellPlatePlan(
        plate="96-well",
        a1_center_xy=(0, 0),
        selected_wells=([0, 1], [0, 1]),
        well_points_plan=useq.GridRowsColumns(rows=1, columns=2),
    )
    with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
        core.mda.run(useq.MDASequence(stage_positions=plan, channels=["DAPI"]), output=handler)
    return report_of(handler)


@scenario
def mda_error(folder):
    """The region of interest changes: the acquisition ends, and close raises."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    sequence = useq.MDASequence(time_plan={"interval": 0.02, "loops": 500}, channels=["DAPI"])
    made = []

    def run():
        with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
            made.append(handler)

            def change(image, event, metadata):
                if event.index["t"] == 3:
                    core.setROI(0, 0, 64, 32)

            core.mda.events.frameReady.connect(change)
            core.mda.run(sequence, output=handler)

    begun = time.monotonic()
    raised = attempt(run)
    return report_of(made[0], raised, seconds=time.monotonic() - begun)


@scenario
def mda_beside_a_failing_slot(folder):
    """Somebody else's slot of ``frameReady``, connected earlier, fails once."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    sequence = useq.MDASequence(time_plan={"interval": 0, "loops": 5}, channels=["DAPI"])

    def fail_once(image, event, metadata):
        if event.index["t"] == 2:
            raise ValueError("not of this run")

    core.mda.events.frameReady.connect(fail_once)
    with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
        raised = attempt(lambda: core.mda.run(sequence, output=handler))
    return report_of(handler, raised)


@scenario
def mda_canceled(folder):
    """The user cancels."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    witness = PlusWitness(core)

    def cancel(image, event, metadata):
        if event.index["t"] == 3:
            core.mda.cancel()

    core.mda.events.frameReady.connect(cancel)
    sequence = useq.MDASequence(time_plan={"interval": 0.02, "loops": 500}, channels=["DAPI"])
    with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
        core.mda.run(sequence, output=handler)
    return report_of(handler, seen=witness.seen)


@scenario
def mda_interrupted(folder):
    """Waits for SIGINT in the middle of a sequence; the test sends it."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()

    def tell(image, event, metadata):
        if event.index["t"] == 3:
            print("READY", flush=True)

    core.mda.events.frameReady.connect(tell)
    sequence = useq.MDASequence(time_plan={"interval": 0.05, "loops": 2000}, channels=["DAPI"])
    made = []

    def run():
        with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
            made.append(handler)
            core.mda.run(sequence, output=handler)

    raised = attempt(run)
    return report_of(made[0], raised)


@scenario
def mda_iterator(folder):
    """Events that are made while the acquisition runs."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    witness = PlusWitness(core)
    events = (
        useq.MDAEvent(index={"t": t, "c": c}, channel=name, exposure=1)
        for t in range(4)
        for c, name in enumerate(["DAPI", "FITC"])
    )
    with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
        core.mda.run(events, output=handler)
    return report_of(handler, seen=witness.seen)


@scenario
def mda_on_a_thread(folder, fails=False, with_core=True):
    """``run_mda`` returns at once; the block is left while the sequence runs, or by an error."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core(shared=True)
    loops = 1000 if fails else 10
    sequence = useq.MDASequence(time_plan={"interval": 0.02, "loops": loops})
    made = []

    def run():
        with MDAHandler(folder / "run.ome.zarr", core=core if with_core else None) as handler:
            made.append(handler)
            core.run_mda(sequence, output=handler)
            if fails:
                raise KeyError("mine")

    raised = attempt(run)
    return report_of(made[0], raised, running=core.mda.is_running())


@scenario
def mda_twice(folder, with_core=True, after_the_end=False):
    """A second run is given to a handler that has recorded one."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core(shared=True)
    made = []

    def run():
        with MDAHandler(folder / "run.ome.zarr", core=core if with_core else None) as handler:
            made.append(handler)
            for loops in (2, 500)[: 1 if after_the_end else 2]:
                sequence = useq.MDASequence(time_plan={"interval": 0.02, "loops": loops})
                core.mda.run(sequence, output=handler)
        if after_the_end:
            sequence = useq.MDASequence(time_plan={"interval": 0.02, "loops": 500})
            core.mda.run(sequence, output=handler)
            handler.close()

    begun = time.monotonic()
    raised = attempt(run)
    return report_of(made[0], raised, seconds=time.monotonic() - begun)


@scenario
def mda_cameras(folder, cameras=2, as_channels=True, burst=False):
    """A Multi Camera, or a second camera that is loaded and not in use."""
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    add_second_camera(core)
    if cameras == 2:
        core.setCameraDevice("Multi")
    core.mda.engine.use_hardware_sequencing = burst
    witness = PlusWitness(core)
    sequence = useq.MDASequence(channels=["DAPI"], time_plan={"interval": 0, "loops": 4})
    with MDAHandler(folder / "run.ome.zarr", core=core, cameras_as_channels=as_channels) as handler:
        core.mda.run(sequence, output=handler)
    return report_of(handler, seen=witness.seen)


@scenario
def mda_protocol(folder, bits=12):
    """A camera that fills 12 bits, a Latin-1 label, metadata of sequence and events."""
    import mm_test_adapters
    import useq

    from aqz_micromanager import MDAHandler

    core = plus_core()
    adapters = Path(mm_test_adapters.device_adapter_path())
    text = (adapters / "MMConfig_demo.cfg").read_text()
    config = folder / "latin1.cfg"
    config.write_bytes(text.replace("Nikon 10X S Fluor", "10X 5\xb5m").encode("latin-1"))
    core.loadSystemConfiguration(str(config))
    core.setProperty("Camera", "PixelType", "16bit")
    core.setProperty("Camera", "BitDepth", str(bits))
    core.setROI(100, 50, 64, 32)
    label = core.getProperty("Objective", "Label")
    sequence = useq.MDASequence(
        channels=["DAPI"],
        stage_positions=[useq.Position(x=5, y=7, name=label)],
        metadata={"sample": "mouse 3"},
    )
    with MDAHandler(folder / "run.ome.zarr", core=core) as handler:
        core.mda.run(sequence, output=handler)
    return report_of(handler)


def main() -> None:
    """Run the scenario that the command line names."""
    name, folder, arguments = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    try:
        report = SCENARIOS[name](folder, **arguments)
        print("REPORT", json.dumps(report), flush=True)
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a failed acquisition leaves threads behind that never end


if __name__ == "__main__":
    main()
