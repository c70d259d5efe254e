"""Sources of frames for demonstrations and tests: simulated cells, and a real driver.

May import the vocabulary only.

The engine does not need this package and does not import it.
"""

from __future__ import annotations

from aqz_core.cli.cameras.camera import Camera, CameraError
from aqz_core.cli.cameras.micromanager import MicroManagerCamera, demo_camera
from aqz_core.cli.cameras.simulated import SimulatedCamera, frame_number

__all__ = [
    "Camera",
    "CameraError",
    "MicroManagerCamera",
    "SimulatedCamera",
    "demo_camera",
    "frame_number",
]
