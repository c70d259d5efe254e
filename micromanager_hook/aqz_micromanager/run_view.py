"""A run of pymmcore-plus as one array, in its own axes and their order, while it is recorded.

This is what viewers of pymmcore-plus ask ``core.mda.get_view()`` for: they go by the index of
events. In the store positions are images of their own, and planes stand from the lowest up.
"""

from __future__ import annotations

import itertools
import time
import types
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aqz_micromanager.run_threads import is_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aqz_micromanager.pixels import FrameSpec, Pixels

__all__ = ["RunView", "lend_view"]

_PATIENCE = 1.0  # seconds: viewers ask at the start of a run, from another thread
_LOOK_SECONDS = 0.01


class RunView:
    """Frames by the index of their events; reads single ones, so ask for few at a time.

    Parameters
    ----------
    sizes
        Returns the axes of the run in front of y and x, and how long they are by now.
    names
        Returns names of coordinates, where an axis has any.
    spec
        What the frames are.
    read
        Returns the frame at an index, or None if it did not come.
    """

    def __init__(
        self,
        sizes: Callable[[], Mapping[str, int]],
        names: Callable[[], Mapping[str, Sequence[str]]],
        spec: FrameSpec,
        read: Callable[[Mapping[str, int]], Pixels | None],
    ) -> None:
        self._sizes = sizes
        self._names = names
        self._read = read
        self._frame = {"y": spec.shape[0], "x": spec.shape[1]}
        if spec.components > 1:
            self._frame["rgb"] = spec.components
        self.dtype = spec.dtype

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes, as events have them."""
        return (*self._sizes(), *self._frame)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each axis: as planned, or as far as frames came."""
        return (*self._sizes().values(), *self._frame.values())

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def coords(self) -> dict[str, Sequence[Any]]:
        """Coordinates of each axis: names of channels, numbers otherwise."""
        sizes = {name: range(size) for name, size in zip(self.dims, self.shape, strict=True)}
        named = {n: names for n, names in self._names().items() if len(names) == len(sizes[n])}
        return {**sizes, **named}

    def __len__(self) -> int:
        """Return the size of the first axis."""
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """Return the whole run, which may be large."""
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> Pixels:
        """Return a part by numbers and slices; frames that did not come are 0."""
        keys = _full_key(key, self.ndim)
        sizes, within = self._sizes(), keys[len(self._sizes()) :]
        chosen = [_indices(one, size) for one, size in zip(keys, sizes.values(), strict=False)]
        found = [self._one(dict(zip(sizes, i, strict=True))) for i in itertools.product(*chosen)]
        kept = tuple(len(c) for c, k in zip(chosen, keys, strict=False) if isinstance(k, slice))
        shape = tuple(self._frame.values())
        frames = np.array(found, self.dtype).reshape(*kept, *shape)
        return frames[(..., *within)]

    def _one(self, index: Mapping[str, int]) -> Pixels:
        """Return one frame."""
        found = self._read(index)
        return np.zeros(tuple(self._frame.values()), self.dtype) if found is None else found


class ViewedHandler(Protocol):
    """What is asked of a handler; `MDAHandler` is one."""

    def get_view(self) -> RunView | None:
        """Return the run as an array, or None if it has not begun."""


def lend_view(runner: Any, handler: ViewedHandler) -> None:
    """Let a runner of pymmcore-plus have a view where it has none of its own.

    The runner outlives its handlers, and each run has one of its own: it must not keep them.

    Parameters
    ----------
    runner
        The ``core.mda``.
    handler
        Has the view of the runs that feed it.
    """
    before = getattr(runner, "get_view", None)
    if before is None:
        return  # pymmcore-plus of before 0.18 has no views
    if (known := getattr(before, "aqz_handlers", None)) is not None:
        known.add(handler)
        return
    handlers = weakref.WeakSet([handler])

    def get_view(_: Any) -> Any:
        own = before()
        fed = next((one for one in list(handlers) if is_output(runner, one)), None)
        if own is not None or fed is None:
            return own
        until = time.monotonic() + _PATIENCE
        # The run may have begun, and the handler is going to hear of it on another thread.
        while fed.get_view() is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        return fed.get_view()

    get_view.aqz_handlers = handlers  # type: ignore[attr-defined]  # found by the next handler
    runner.get_view = types.MethodType(get_view, runner)


def _full_key(key: Any, ndim: int) -> tuple[Any, ...]:
    """Return an index with something for every axis."""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        rest = (slice(None),) * (ndim - len(keys) + 1)
        keys = (*keys[:at], *rest, *keys[at + 1 :])
    if len(keys) > ndim:
        raise IndexError(f"{len(keys)} indices for {ndim} axes")
    return keys + (slice(None),) * (ndim - len(keys))


def _indices(key: Any, size: int) -> Sequence[int]:
    """Return what a number or slice chooses of an axis."""
    if isinstance(key, slice):
        return range(*key.indices(size))
    index = int(key) + (size if key < 0 else 0)
    if not 0 <= index < size:
        raise IndexError(f"index {key} is outside of an axis of {size}")
    return (index,)
