"""The real DemoCamera, and what happens when a camera misbehaves.

Misbehaviour that cannot be had from the DemoCamera is played by `FaultyCore`, which
stands in for the few calls of a core that a sequence needs.
"""

from __future__ import annotations

import itertools

import numpy as np
import pymmcore
import pytest

from aqz_core.cli.cameras import Camera, CameraError, MicroManagerCamera, demo_camera, micromanager
from aqz_core.cli.cameras.micromanager import _check_device_interface

pytestmark = pytest.mark.micromanager


def test_the_demo_camera_sends_every_frame_once():
    camera = demo_camera((64, 96))
    frames = list(camera.frames(30))

    assert isinstance(camera, Camera)
    assert camera.pixel_size_um == 1.0
    assert len(frames) == 30
    assert {(f.shape, f.dtype) for f in frames} == {(camera.shape, camera.dtype)}
    assert (camera.shape, camera.dtype) == ((64, 96), np.dtype("uint16"))
    assert len({f.tobytes() for f in frames}) == 30


def test_frames_stay_as_they_are_while_the_camera_goes_on():
    frames = demo_camera((64, 64)).frames(None)
    first = next(frames)
    kept = first.copy()
    for _ in itertools.islice(frames, 20):
        pass
    frames.close()

    np.testing.assert_array_equal(first, kept)


def test_an_abandoned_sequence_is_stopped_and_the_exposure_restored():
    camera = demo_camera((64, 64), exposure_ms=2.0)
    frames = camera.frames(None, interval=0.005)
    next(frames)
    assert camera._core.getExposure() == 5.0
    frames.close()

    assert not camera._core.isSequenceRunning()
    assert camera._core.getExposure() == 2.0
    assert len(list(camera.frames(3))) == 3


def test_a_full_buffer_is_an_error_and_keeps_what_came_before():
    camera = demo_camera((512, 512), exposure_ms=0.1, buffer_mb=1)
    frames = camera.frames(None)
    taken = [next(frames)]
    while camera._core.isSequenceRunning():  # nobody takes frames: the buffer fills
        pass

    with pytest.raises(CameraError, match="buffer was full"):
        taken.extend(frames)
    assert len(taken) >= 2
    assert not camera._core.isSequenceRunning()


@pytest.mark.parametrize(("pixels", "dtype"), [("32bitRGB", "uint8"), ("64bitRGB", "uint16")])
def test_colour_comes_as_red_green_and_blue(pixels, dtype):
    core = demo_camera((64, 96))._core
    core.setProperty("Camera", "PixelType", pixels)
    core.setProperty("Camera", "Mode", "Color Test Pattern")
    core.snapImage()
    packed = core.getImage().view(dtype).reshape(64, 96, 4)
    camera = MicroManagerCamera(core)
    (frame,) = camera.frames(1)

    assert (camera.components, frame.dtype, frame.shape) == (3, dtype, (3, 64, 96))
    if pixels == "64bitRGB":
        return  # the pattern moves
    assert len({plane.tobytes() for plane in frame}) == 3
    for plane, component in zip(frame[:, 32:], (2, 1, 0), strict=True):  # a number stands on top
        assert (plane == packed[32:, :, component]).all()


def test_a_core_without_camera_is_refused():
    with pytest.raises(CameraError, match="setCameraDevice"):
        MicroManagerCamera(pymmcore.CMMCore())


def test_adapters_for_another_device_interface_are_refused():
    _check_device_interface("Device API version 75, Module API version 10", "75.20261014.post1")
    with pytest.raises(CameraError, match="interface 74, but pymmcore has 75"):
        _check_device_interface("Device API version 75, Module API version 10", "74.20250101")


def test_missing_packages_say_what_to_install(monkeypatch):
    monkeypatch.setattr(micromanager, "is_installed", lambda: False)
    with pytest.raises(CameraError, match=r"pip install ..\[micromanager\]"):
        demo_camera()


class FaultyCore:
    """A core whose sequence sends the frames of those numbers, then nothing."""

    def __init__(self, numbers, *, running=True, start_error=None):
        self.numbers = list(numbers)
        self.running = running
        self.start_error = start_error
        self.stopped = False
        self.exposure = 1.0

    def getCameraDevice(self):
        return "Faulty"

    def getNumberOfComponents(self):
        return 1

    def getBytesPerPixel(self):
        return 1

    def getExposure(self):
        return self.exposure

    def setExposure(self, value):
        self.exposure = value

    def startSequenceAcquisition(self, count, interval, stop_on_overflow):
        assert stop_on_overflow
        if self.start_error:
            raise RuntimeError(self.start_error)

    def stopSequenceAcquisition(self):
        self.stopped = True

    def getRemainingImageCount(self):
        return len(self.numbers)

    def isBufferOverflowed(self):
        return False

    def isSequenceRunning(self):
        return self.running

    def popNextImageMD(self, metadata):
        number = self.numbers.pop(0)
        tag = pymmcore.MetadataSingleTag("ImageNumber", "_", True)
        tag.SetValue(str(number))
        metadata.SetTag(tag)
        return np.full((2, 2), number, "uint8")


def test_a_skipped_frame_is_an_error():
    core = FaultyCore([0, 1, 3])
    frames = MicroManagerCamera(core).frames(4)

    assert [int(next(frames)[0, 0]) for _ in range(2)] == [0, 1]
    with pytest.raises(CameraError, match="sent frame 3 where frame 2 was due"):
        next(frames)
    assert core.stopped


def test_a_sequence_that_ends_early_is_an_error():
    core = FaultyCore([0, 1], running=False)

    with pytest.raises(CameraError, match="stopped after 2 frames"):
        list(MicroManagerCamera(core).frames(3))
    assert core.stopped


def test_a_camera_that_hangs_is_an_error(monkeypatch):
    monkeypatch.setattr(micromanager, "_FIRST_FRAME_SECONDS", 0.01)
    core = FaultyCore([0])

    with pytest.raises(CameraError, match="sent no frame 1 within"):
        list(MicroManagerCamera(core).frames(2))
    assert core.stopped


def test_a_camera_that_does_not_start_keeps_its_exposure():
    core = FaultyCore([], start_error="shutter jammed")

    with pytest.raises(CameraError, match="did not start: shutter jammed"):
        list(MicroManagerCamera(core).frames(2, interval=0.5))
    assert core.exposure == 1.0
