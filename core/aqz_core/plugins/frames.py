"""The frame processors of one array as one function.

Owns what is promised around a processor: it is prepared once per array, gets a
frame that it cannot write to, and must return one of the shape and data type
that it was prepared for; an error names the processor. Where none applies there
is no function, and appending costs nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import AqzError, PluginError
from aqz_core.plugins.records import FrameSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from aqz_core.plugins.records import FrameFunction, FrameProcessor

__all__ = ["FrameSteps", "frame_function"]


def frame_function(processors: Iterable[FrameProcessor], spec: FrameSpec) -> FrameSteps | None:
    """Prepare `processors` for one array and chain them.

    Parameters
    ----------
    processors : iterable of FrameProcessor
        In the order they run, as ``Hooks.frame_processors()`` returns them.
    spec : FrameSpec
        The array's frames, as they are stored.

    Returns
    -------
    FrameSteps or None
        ``function(frame, index) -> frame`` for frames (Y, X); None if no processor applies
        to the array. It raises `PluginError` if a processor raises, or returns another
        shape or data type.

    Raises
    ------
    PluginError
        If a processor cannot be prepared.
    """
    steps: list[tuple[str, FrameSpec, FrameFunction]] = []
    # Backwards, because it is the end of the chain that the settings describe.
    for processor in reversed(tuple(processors)):
        function, taken = _prepared(processor, spec)
        if function is not None:
            steps.insert(0, (processor.name, spec, function))
            spec = taken
    return FrameSteps(spec, tuple(steps)) if steps else None


def _prepared(processor: FrameProcessor, spec: FrameSpec) -> tuple[FrameFunction | None, FrameSpec]:
    """Return the function that returns frames of `spec`, and the frames that it takes."""
    try:
        function = processor.prepare(spec)
        taken = spec if processor.takes is None else processor.takes(spec)
    except Exception as error:
        raise PluginError(
            f"frame processor {processor.name!r} cannot be prepared for array "
            f"{spec.array_key!r}: {error if isinstance(error, AqzError) else repr(error)}"
        ) from error
    if function is not None and not callable(function):
        raise PluginError(
            f"frame processor {processor.name!r} prepared {function!r} for array "
            f"{spec.array_key!r}; prepare must return a function or None"
        )
    if not isinstance(taken, FrameSpec):
        raise PluginError(
            f"frame processor {processor.name!r} takes {taken!r} for array "
            f"{spec.array_key!r}; takes must return a FrameSpec"
        )
    return function, taken


class FrameSteps:
    """The prepared processors of one array, run one after the other.

    Attributes
    ----------
    takes : FrameSpec
        The frames that the first of them takes.
    """

    __slots__ = ("_steps", "takes")

    def __init__(
        self, takes: FrameSpec, steps: tuple[tuple[str, FrameSpec, FrameFunction], ...]
    ) -> None:
        self.takes = takes
        self._steps = steps

    def __call__(self, frame: npt.NDArray[Any], index: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return `frame` after every processor."""
        for name, spec, function in self._steps:
            readable = frame.view()
            readable.flags.writeable = False  # the caller's frame may be his camera's buffer
            try:
                frame = np.asarray(function(readable, index))
            except Exception as error:
                raise PluginError(
                    f"frame processor {name!r} failed at index {index} of array "
                    f"{spec.array_key!r}: {error!r}"
                ) from error
            if frame.shape != spec.shape or frame.dtype != spec.dtype:
                raise PluginError(
                    f"frame processor {name!r} returned {frame.dtype} {frame.shape} at index "
                    f"{index} of array {spec.array_key!r}; it must return "
                    f"{spec.dtype} {spec.shape}"
                )
        return frame
