"""The Java engine's side of an image processor, without Java.

pycro-manager's own receiver runs here, fed over real sockets with the messages that the Java engine
sends: JSON with the metadata, then pixels as raw bytes, colour as blue, green, red and a fourth
component.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

import numpy as np
import pytest
import zmq

from aqz_micromanager import AcquisitionError, ZarrProcessor
from tests.micromanager.stored import attributes, image

pytestmark = [
    pytest.mark.micromanager,
    # pycro-manager leaves its sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

JAVA_TYPES = {"uint8": "byte-array", "uint16": "short-array", "float32": "float-array"}


def tags(height, width, pixel_type, **axes):
    """Return metadata as the Java engine sends them: numbers are numbers."""
    return {
        "Axes": axes,
        "Width": width,
        "Height": height,
        "PixelType": pixel_type,
        "PixelSizeUm": 0.5,
        "BitDepth": 12,
        "Channel": "Default",
        "Frame": 0,
        "Core-Focus": "Z",
        "Camera-Gain": "0",
        "ElapsedTime-ms": 1.5,
    }


def drive(processor, frames):
    """Send frames to a processor through pycro-manager's receiver; return the error it reported."""
    from pycromanager.acquisition.acquisition_superclass import Acquisition, EventQueue
    from pycromanager.acquisition.java_backend_acquisitions import _run_image_processor

    class Stub:
        """What the receiver touches of an acquisition."""

        _call_image_process_fn = Acquisition._call_image_process_fn
        _event_queue = EventQueue()
        error = None

        def abort(self, error=None):
            self.error = error

    context = zmq.Context()
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    port = push.bind_to_random_port("tcp://127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        back = free.getsockname()[1]
    stub, ready = Stub(), threading.Event()
    arguments = (stub, back, port, ready, processor, stub._event_queue, False)
    receiver = threading.Thread(target=_run_image_processor, args=arguments, daemon=True)
    receiver.start()
    assert ready.wait(10)
    pull.connect(f"tcp://127.0.0.1:{back}")
    for metadata, pixels in frames:
        java_type = JAVA_TYPES[str(pixels.dtype)]
        message = {"metadata": metadata, "pixels": {"type": java_type, "value": "@1234abc"}}
        push.send_multipart(
            [
                json.dumps(message).encode("iso-8859-1"),
                (0x1234ABC).to_bytes(4, sys.byteorder),
                pixels.tobytes(),
            ]
        )
    push.send_multipart([json.dumps({"special": "finished"}).encode()])
    returned = 0
    while pull.poll(20_000):
        if json.loads(pull.recv_multipart()[0]).get("special") == "finished":
            break
        returned += 1
    receiver.join(10)
    context.destroy(linger=0)
    return stub.error, returned


@pytest.fixture
def store(tmp_path):
    return tmp_path / "run.ome.zarr"


def planes(count, dtype="uint16"):
    return (np.arange(count * 32 * 48).reshape(count, 32, 48) % 200).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "pixel_type"), [("uint8", "GRAY8"), ("uint16", "GRAY16"), ("float32", "GRAY32")]
)
def test_grey_frames(store, dtype, pixel_type):
    pixels = planes(6, dtype)
    with ZarrProcessor(store) as zarr:
        error, returned = drive(
            zarr, [(tags(32, 48, pixel_type, time=t), pixels[t]) for t in (0, 2, 1, 3, 5, 4)]
        )

    assert (error, returned, zarr.state) == (None, 0, "complete")
    np.testing.assert_array_equal(image(store), pixels)
    transforms = attributes(store)["ome"]["multiscales"][0]["datasets"][0]
    assert transforms["coordinateTransformations"][0]["scale"] == [1.0, 0.5, 0.5]


def test_bit_depth_is_the_display_range(store):
    with ZarrProcessor(store) as zarr:
        drive(zarr, [(tags(32, 48, "GRAY16", time=0), planes(1)[0])])

    channel = attributes(store)["ome"]["omero"]["channels"][0]
    assert channel["window"] == {"min": 0, "max": 65535, "start": 0, "end": 4095}
    assert channel["label"] == "Default"


def test_colour_frames_become_channels(store):
    pixels = np.random.default_rng(1).integers(0, 255, (2, 32, 48, 4), "uint8")
    with ZarrProcessor(store) as zarr:
        error, _ = drive(zarr, [(tags(32, 48, "RGB32", time=t), pixels[t]) for t in range(2)])

    assert error is None
    np.testing.assert_array_equal(image(store), np.moveaxis(pixels[..., [2, 1, 0]], -1, 1))


def test_cameras_of_the_java_engine_are_an_axis(store):
    pixels = planes(4)
    frames = [
        (tags(32, 48, "GRAY16", time=t, camera=name), pixels[2 * t + n])
        for t in range(2)
        for n, name in enumerate(("left", "right"))
    ]
    with ZarrProcessor(store) as zarr:
        assert drive(zarr, frames) == (None, 0)

    np.testing.assert_array_equal(image(store), pixels.reshape(2, 2, 32, 48))
    labels = [c["label"] for c in attributes(store)["ome"]["omero"]["channels"]]
    assert labels == ["left", "right"]


def test_passthrough_sends_frames_back(store):
    with ZarrProcessor(store, passthrough=True) as zarr:
        frames = [(tags(32, 48, "GRAY16", time=t), plane) for t, plane in enumerate(planes(3))]
        assert drive(zarr, frames) == (None, 3)

    np.testing.assert_array_equal(image(store), planes(3))


def test_an_error_aborts_once_and_is_raised_by_close(store):
    frames = [(tags(32, 48, "GRAY16", time=t), planes(1)[0]) for t in (0, 0, 1, 2)]
    zarr = ZarrProcessor(store)
    error, _ = drive(zarr, frames)

    assert "second frame" in str(error)
    with pytest.raises(AcquisitionError, match="second frame"):
        zarr.close()
    assert image(store).shape[0] == 1
