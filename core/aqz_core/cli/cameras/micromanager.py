"""Cameras driven by Micro-Manager's device layer, through ``pymmcore``.

`MicroManagerCamera` records from whatever camera a configured core has;
`demo_camera` makes such a core with Micro-Manager's own DemoCamera, whose adapter
comes from the package ``mm-test-adapters``. No frame is lost silently: the core is
told to stop rather than to overwrite frames, and the numbers it gives to frames are
followed. Both packages (extra ``micromanager``) are imported only when needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import threading
import time
from importlib.metadata import version
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.cli.cameras.camera import CameraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pymmcore

__all__ = ["INSTALL", "MicroManagerCamera", "configured_camera", "demo_camera", "is_installed"]

_PIXEL_TYPES: dict[tuple[int, int], np.dtype[Any]] = {
    (1, 1): np.dtype("uint8"),
    (1, 2): np.dtype("uint16"),
    (1, 4): np.dtype("uint32"),
    (4, 4): np.dtype("uint8"),
    (4, 8): np.dtype("uint16"),
}
"""Data types by components and bytes of a pixel; of four components one is empty."""

_FIRST_FRAME_SECONDS = 10.0  # beyond a few exposures, a camera that has sent nothing is stuck
_POLL_SECONDS = 0.0005
_ENDLESS = 2**31 - 1  # the core has no endless sequence that also stops on overflow
_PARTING_SECONDS = 2.0
INSTALL = 'python -m pip install ".[micromanager]", in the folder that aqz was installed from'
"""How the packages are installed: there is no package of aqz on an index."""


class MicroManagerCamera:
    """The current camera of a Micro-Manager core.

    Parameters
    ----------
    core
        A configured core with a camera device that sends grey pixels of 8, 16 or 32
        bits, or colour of 8 or 16 bits for each component.
    name
        What to call the camera in messages; its device label when not given.

    Raises
    ------
    CameraError
        There is no camera, or its pixels are others.
    """

    def __init__(self, core: pymmcore.CMMCore, name: str | None = None) -> None:
        self._core = core
        label = core.getCameraDevice()
        if not label:
            raise CameraError(
                "the Micro-Manager core has no camera; call setCameraDevice, or name one in the "
                "configuration: Property,Core,Camera,LABEL"
            )
        self.name = name or label
        if self._pixel not in _PIXEL_TYPES:
            raise CameraError(
                f"camera {self.name!r} sends {core.getNumberOfComponents()} components in "
                f"{core.getBytesPerPixel()} bytes a pixel; set it to grey 8, 16 or 32 bit pixels, "
                "or to colour of 8 or 16 bits"
            )

    @property
    def _pixel(self) -> tuple[int, int]:
        """Components of a pixel, and its bytes."""
        return self._core.getNumberOfComponents(), self._core.getBytesPerPixel()

    @property
    def shape(self) -> tuple[int, int]:
        """Size of a frame, ``(Y, X)`` pixels: the camera's region of interest."""
        return self._core.getImageHeight(), self._core.getImageWidth()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of a pixel, or of one of its components."""
        return _PIXEL_TYPES[self._pixel]

    @property
    def components(self) -> int:
        """Values of a pixel: 1, or 3 in colour."""
        return 1 if self._pixel[0] == 1 else 3

    @property
    def pixel_size_um(self) -> float | None:
        """Edge of a pixel in the sample, micrometres; None when not calibrated."""
        return self._core.getPixelSizeUm() or None

    @property
    def exposure_ms(self) -> float:
        """Exposure of a frame, milliseconds: in a sequence also the time from one to the next."""
        return float(self._core.getExposure())

    def frames(
        self, count: int | None, interval: float | None = None
    ) -> Iterator[np.ndarray[Any, Any]]:
        """Run a camera sequence and yield its frames; see `Camera.frames`.

        The rate of a free-running camera is set by its exposure, so `interval` is
        made the exposure while the sequence runs. However the iterator ends, the
        sequence is stopped.

        Raises
        ------
        CameraError
            The sequence did not start, ended early, skipped a frame, filled the
            core's buffer, or sent nothing for ten seconds beyond a few exposures.
        """
        core = self._core
        exposure = core.getExposure()
        try:
            if interval is not None:
                core.setExposure(1000 * interval)
            core.startSequenceAcquisition(_ENDLESS if count is None else count, 0.0, True)
        except RuntimeError as error:
            core.setExposure(exposure)
            raise CameraError(f"camera {self.name!r} did not start: {error}") from error
        patience = _FIRST_FRAME_SECONDS + 3e-3 * core.getExposure()
        try:
            for number in count_from() if count is None else range(count):
                self._wait_for(number, patience)
                frame = self._take(number)
                yield frame if self.components == 1 else self._colors(frame)
        finally:
            # An error while stopping must not hide the one that ended the sequence.
            with contextlib.suppress(RuntimeError):
                if not core.isSequenceRunning():
                    _hold_for_a_while(core)
                core.stopSequenceAcquisition()
            core.setExposure(exposure)

    def _wait_for(self, number: int, patience: float) -> None:
        """Return when the core holds a frame, raise when it will not."""
        core = self._core
        deadline = time.monotonic() + patience
        while core.getRemainingImageCount() == 0:
            if core.isBufferOverflowed():
                raise CameraError(
                    f"the Micro-Manager buffer was full after frame {number - 1} was taken: "
                    f"frames of {self.name!r} came faster than they were stored; use a longer "
                    "exposure, a faster disk, or a larger buffer (aqz record --buffer, or "
                    "setCircularBufferMemoryFootprint)"
                )
            # A frame may come between the first look and the end of the sequence.
            if not core.isSequenceRunning() and core.getRemainingImageCount() == 0:
                raise CameraError(f"camera {self.name!r} stopped after {number} frames")
            if time.monotonic() > deadline:
                raise CameraError(
                    f"camera {self.name!r} sent no frame {number} within {patience:.1f} s"
                )
            time.sleep(_POLL_SECONDS)

    def _take(self, number: int) -> np.ndarray[Any, Any]:
        """Return the oldest frame of the core, which must have that number."""
        import pymmcore

        metadata = pymmcore.Metadata()
        try:
            frame: np.ndarray[Any, Any] = self._core.popNextImageMD(metadata)
        except RuntimeError as error:
            raise CameraError(f"frame {number} of {self.name!r} was lost: {error}") from error
        if metadata.HasTag("ImageNumber"):
            found = int(metadata.GetSingleTag("ImageNumber").GetValue())
            if found != number:
                raise CameraError(
                    f"camera {self.name!r} sent frame {found} where frame {number} was due"
                )
        return frame

    def _colors(self, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return red, green and blue of a frame, which the core packs in the opposite order."""
        packed = np.ascontiguousarray(frame).view(self.dtype).reshape(*self.shape, -1)
        return np.ascontiguousarray(np.moveaxis(packed[..., 2::-1], -1, 0))


def _hold_for_a_while(core: pymmcore.CMMCore) -> None:
    """Keep a core whose sequence ended by itself from being deleted at once.

    The thread of most cameras, the DemoCamera's too, says that it has stopped and then still uses
    the camera to tell the core so; nothing waits for that when the core is deleted.
    """
    timer = threading.Timer(_PARTING_SECONDS, id, (core,))
    timer.daemon = True
    timer.start()


def is_installed() -> bool:
    """Return whether the packages that `demo_camera` needs are there."""
    names = ("pymmcore", "mm_test_adapters")
    return all(importlib.util.find_spec(name) is not None for name in names)


def demo_camera(
    shape: tuple[int, int] = (512, 512), *, exposure_ms: float = 1.0, buffer_mb: int = 256
) -> MicroManagerCamera:
    """Return Micro-Manager's DemoCamera: moving waves of 16 bits, the frame's number on top.

    Parameters
    ----------
    shape
        Size of a frame, ``(Y, X)`` pixels.
    exposure_ms
        Exposure of a frame, milliseconds; the camera is no faster than that.
    buffer_mb
        Size of the buffer between camera and caller, MiB.

    Raises
    ------
    CameraError
        The packages are missing, do not belong together, or the camera refuses the
        shape.
    """
    if not is_installed():
        raise CameraError(f"pymmcore and mm-test-adapters are not installed; run: {INSTALL}")
    import mm_test_adapters
    import pymmcore

    core = pymmcore.CMMCore()
    _check_device_interface(core.getAPIVersionInfo(), version("mm-test-adapters"))
    folder = mm_test_adapters.device_adapter_path()
    properties = {
        "PixelType": "16bit",
        "BitDepth": "16",
        "DisplayImageNumber": "1",
        "OnCameraCCDXSize": str(shape[1]),
        "OnCameraCCDYSize": str(shape[0]),
    }
    try:
        core.setDeviceAdapterSearchPaths([folder])
        core.loadSystemConfiguration(str(Path(folder) / "MMConfig_demo.cfg"))
        for name, value in properties.items():
            core.setProperty(core.getCameraDevice(), name, value)
        core.setExposure(exposure_ms)
        core.setCircularBufferMemoryFootprint(buffer_mb)
    except RuntimeError as error:
        raise CameraError(f"the DemoCamera did not open: {error}") from error
    camera = MicroManagerCamera(core, "Micro-Manager DemoCamera")
    if camera.shape != shape:
        raise CameraError(f"the DemoCamera took shape {camera.shape} instead of {shape}")
    return camera


def configured_camera(
    config: Path,
    *,
    adapters: Path | None = None,
    exposure_ms: float | None = None,
    buffer_mb: int = 256,
) -> MicroManagerCamera:
    """Return the camera that a Micro-Manager configuration file sets up.

    Parameters
    ----------
    config
        The file, usually ``MMConfig_....cfg``.
    adapters
        Folder of the device adapters that it names; that of mm-test-adapters when not given.
    exposure_ms
        Exposure of a frame, milliseconds; None leaves that of the configuration.
    buffer_mb
        Size of the buffer between camera and caller, MiB.

    Raises
    ------
    CameraError
        Packages are missing, or the configuration cannot be loaded, or its camera is unfit.
    """
    if importlib.util.find_spec("pymmcore") is None or (adapters is None and not is_installed()):
        raise CameraError(f"pymmcore and mm-test-adapters are not installed; run: {INSTALL}")
    import pymmcore

    core = pymmcore.CMMCore()
    if adapters is None:
        import mm_test_adapters

        _check_device_interface(core.getAPIVersionInfo(), version("mm-test-adapters"))
        adapters = Path(mm_test_adapters.device_adapter_path())
    try:
        core.setDeviceAdapterSearchPaths([str(adapters)])
        core.loadSystemConfiguration(str(config))
        if exposure_ms is not None:
            core.setExposure(exposure_ms)
        core.setCircularBufferMemoryFootprint(buffer_mb)
    except (RuntimeError, OSError) as error:
        raise CameraError(f"{config} could not be loaded: {str(error).strip()}") from error
    return MicroManagerCamera(core)


def _check_device_interface(core_versions: str, adapters: str) -> None:
    """Raise unless core and adapters were built for the same device interface.

    `core_versions` is the core's own sentence, ``"Device API version 75, ..."``; the
    version of ``mm-test-adapters`` begins with the same number.
    """
    found = re.search(r"Device API version (\d+)", core_versions)
    wanted = adapters.partition(".")[0]
    if found is None or found[1] != wanted:
        raise CameraError(
            f"mm-test-adapters {adapters} has device interface {wanted}, but pymmcore has "
            f"{found[1] if found else core_versions}; install two that match: {INSTALL}"
        )
