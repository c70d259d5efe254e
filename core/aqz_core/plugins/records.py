"""What a plug-in hands over: typed records of callables.

A provider hook returns records, the engine resolves them once when a stream
opens and afterwards calls the plain functions inside. Fields may be added in
later releases with defaults; `HOOK_API` counts changes that a plug-in could
notice. A downsampler's record is `aqz_core.downsampling.methods.Downsampler`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from aqz_core.codecs.base import Codec, Compression
    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage import Sink
    from aqz_core.storage.lock import StoreLock

__all__ = [
    "HOOK_API",
    "CodecProvider",
    "FrameFunction",
    "FrameProcessor",
    "FrameSpec",
    "SinkProvider",
]

HOOK_API = 1
"""Version of the hooks and of these records."""

FrameFunction: TypeAlias = Callable[[npt.NDArray[Any], tuple[int, ...]], npt.NDArray[Any]]
"""``function(frame, index) -> frame``: a frame (Y, X) and its index on the axes before."""


def _require_name(kind: str, name: object) -> None:
    """Raise unless `name` can be the name of a record."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"the name of a {kind} must be a string that is not empty, not {name!r}")


def _require_callable(kind: str, field: str, value: object) -> None:
    """Raise unless `value` can be called."""
    if not callable(value):
        raise TypeError(f"{field} of a {kind} must be callable, not {value!r}")


@dataclass(frozen=True, slots=True)
class CodecProvider:
    """A codec that arrays can be compressed with.

    Parameters
    ----------
    name : str
        Name of the codec in Zarr V3 metadata, by which users ask for it too
        (``PluginCompression(name)``).
    build : callable
        ``build(compression, dtype) -> Codec``: the record for one array. `compression`
        is what the user set, `dtype` the array's numpy data type. Refuse what cannot
        be with `aqz_core.SettingsError`.
    """

    name: str
    build: Callable[[Compression, np.dtype[Any]], Codec]

    def __post_init__(self) -> None:
        """Check the types of the fields."""
        _require_name("codec", self.name)
        _require_callable("codec", "build", self.build)


@dataclass(frozen=True, slots=True)
class SinkProvider:
    """A place that stores can be written to, chosen by the scheme of the URL.

    Parameters
    ----------
    schemes : tuple of str
        URL schemes in lower case, without ``://``.
    open : callable
        ``open(url, settings) -> Sink``: the root of the store at `url`.
    storage : {"random", "parts", "whole"}
        How it takes shards: bytes at any place and any time, or from start to end and invisible
        until they are complete, in parts of some mebibytes or each as a whole object. Says how
        much memory is needed, before anything is opened. The sink's ``random_access`` is true for
        the first alone; the others have a method ``allow_memory(nbytes)`` as well.
    lock : callable, optional
        ``lock(url, settings) -> StoreLock or None``: taken before anything of a store is read that
        is going to be written, and released after its sink was closed.
    """

    schemes: tuple[str, ...]
    open: Callable[[str, StreamSettings], Sink]
    storage: Literal["random", "parts", "whole"] = "random"
    lock: Callable[[str, StreamSettings], StoreLock | None] | None = None

    def __post_init__(self) -> None:
        """Check the types of the fields."""
        schemes: object = self.schemes
        if not isinstance(schemes, tuple) or not schemes:
            raise TypeError(f"schemes of a sink must be a tuple of strings, not {schemes!r}")
        for scheme in schemes:
            if not isinstance(scheme, str) or scheme != scheme.lower() or ":" in scheme:
                raise ValueError(
                    f"a sink's scheme must be in lower case and without '://', not {scheme!r}"
                )
        _require_callable("sink", "open", self.open)
        if self.lock is not None:
            _require_callable("sink", "lock", self.lock)
        if self.storage not in ("random", "parts", "whole"):
            raise ValueError(
                f"storage of a sink must be 'random', 'parts' or 'whole', not {self.storage!r}"
            )


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """The frames of one array, as they are stored.

    Attributes
    ----------
    array_key : str
        The array's key in the store.
    shape : tuple of int
        Rows and columns (Y, X).
    dtype : numpy.dtype
        Data type, little endian.
    """

    array_key: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class FrameProcessor:
    """A step on each frame before it is stored: flat-field correction, masking, a stamp.

    Parameters
    ----------
    name : str
        Unique among processors; appears in error messages.
    prepare : callable
        ``prepare(spec) -> FrameFunction or None``, called once per array when the
        stream opens; None leaves the frames of that array alone. The function runs
        on the thread that appends, gets a frame it must not write to, and returns
        one of the same shape and data type.
    order : int
        Processors run in increasing order, those of equal order by name.
    """

    name: str
    prepare: Callable[[FrameSpec], FrameFunction | None]
    order: int = 0

    def __post_init__(self) -> None:
        """Check the types of the fields."""
        _require_name("frame processor", self.name)
        _require_callable("frame processor", "prepare", self.prepare)
        if not isinstance(self.order, int):
            raise TypeError(f"order of a frame processor must be an integer, not {self.order!r}")
