"""The frame processors of one array as one function.

Owns what is promised around a processor: it is prepared once per array, gets a
frame that it cannot write to, and must return one of the same shape and data
type; an error names the processor. Where none applies there is no function, and
appending costs nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from aqz_core.plugins.records import FrameFunction, FrameProcessor, FrameSpec

__all__ = ["frame_function"]


def frame_function(processors: Iterable[FrameProcessor], spec: FrameSpec) -> FrameFunction | None:
    """Prepare `processors` for one array and chain them.

    Parameters
    ----------
    processors : iterable of FrameProcessor
        In the order they run, as ``Hooks.frame_processors()`` returns them.
    spec : FrameSpec
        The array's frames.

    Returns
    -------
    callable or None
        ``function(frame, index) -> frame`` for frames (Y, X) of `spec`; None if no
        processor applies to the array. It raises `PluginError` if a processor raises,
        or returns another shape or data type.

    Raises
    ------
    PluginError
        If a processor cannot be prepared.
    """
    steps: list[tuple[str, FrameFunction]] = []
    for processor in processors:
        try:
            function = processor.prepare(spec)
        except Exception as error:
            raise PluginError(
                f"frame processor {processor.name!r} cannot be prepared for array "
                f"{spec.array_key!r}: {error!r}"
            ) from error
        if function is None:
            continue
        if not callable(function):
            raise PluginError(
                f"frame processor {processor.name!r} prepared {function!r} for array "
                f"{spec.array_key!r}; prepare must return a function or None"
            )
        steps.append((processor.name, function))
    return _Steps(spec, tuple(steps)) if steps else None


class _Steps:
    """The prepared processors of one array, run one after the other."""

    __slots__ = ("_spec", "_steps")

    def __init__(self, spec: FrameSpec, steps: tuple[tuple[str, FrameFunction], ...]) -> None:
        self._spec = spec
        self._steps = steps

    def __call__(self, frame: npt.NDArray[Any], index: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return `frame` after every processor."""
        for name, function in self._steps:
            readable = frame.view()
            readable.flags.writeable = False  # the caller's frame may be his camera's buffer
            try:
                frame = np.asarray(function(readable, index))
            except Exception as error:
                raise PluginError(
                    f"frame processor {name!r} failed at index {index} of array "
                    f"{self._spec.array_key!r}: {error!r}"
                ) from error
            if frame.shape != self._spec.shape or frame.dtype != self._spec.dtype:
                raise PluginError(
                    f"frame processor {name!r} returned {frame.dtype} {frame.shape} at index "
                    f"{index} of array {self._spec.array_key!r}; it must return "
                    f"{self._spec.dtype} {self._spec.shape}"
                )
        return frame
