"""Errors of the Micro-Manager side.

Each is an `aqz_core.AqzError` too. ::

AcquisitionError (AqzError)
├── LayoutUnknownError (ValueError)       sizes of axes are missing and cannot be learned
├── UnknownCoordinateError (LookupError)  a frame from a place that was not planned
├── DuplicateFrameError (ValueError)      a second frame for the same place
├── FrameChangedError (ValueError)        another shape or data type in mid-run
└── BackPressureError                     frames come faster than they are stored
"""

from __future__ import annotations

import aqz_core as aqz

__all__ = [
    "AcquisitionError",
    "BackPressureError",
    "DuplicateFrameError",
    "FrameChangedError",
    "LayoutUnknownError",
    "UnknownCoordinateError",
]


class AcquisitionError(aqz.AqzError):
    """An acquisition could not be recorded; the cause is chained."""

    kind = "acquisition"


class LayoutUnknownError(AcquisitionError, ValueError):
    """The sizes of the axes are neither given nor can they be learned."""

    kind = "layout-unknown"


class UnknownCoordinateError(AcquisitionError, LookupError):
    """A frame has an axis, or a value on one, that the recording has no place for."""

    kind = "unknown-coordinate"


class DuplicateFrameError(AcquisitionError, ValueError):
    """A frame came for a place that has one already."""

    kind = "duplicate-frame"


class FrameChangedError(AcquisitionError, ValueError):
    """Frames changed their shape or data type while they were recorded."""

    kind = "frame-changed"


class BackPressureError(AcquisitionError):
    """The store is slower than the camera, and the policy is to stop rather than to wait."""

    kind = "back-pressure"
