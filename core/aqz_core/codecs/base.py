"""What a bytes-to-bytes codec is, and how one is named in the settings.

A codec turns the bytes of one chunk into fewer (or checked) bytes and back. It
is an immutable record: two codecs with equal fields write equal metadata, and
one instance serves every worker thread at once. It knows nothing of arrays,
shards or files; what it needs of the data type (the item size, for a shuffle)
it is told when it is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


__all__ = [
    "BoundedCodec",
    "ChunkBuffer",
    "Codec",
    "CodecProvider",
    "NamedCompression",
    "PluginCompression",
    "configuration_of",
    "configured",
    "require_integer",
]

ChunkBuffer: TypeAlias = bytes | memoryview | npt.NDArray[Any]
"""What a codec encodes: any C-contiguous buffer, read in place."""


CodecT = TypeVar("CodecT")


@runtime_checkable
class Codec(Protocol):
    """A reversible step from bytes to bytes.

    Implementations are frozen, picklable, safe to share between threads, and
    release the GIL for the length of a chunk.
    """

    @property
    def name(self) -> str:
        """Name of the codec in Zarr V3 metadata."""

    def encode(self, data: ChunkBuffer) -> bytes:
        """Return the encoded bytes of one chunk; `data` is C-contiguous and only read."""

    def decode(self, data: bytes) -> bytes:
        """Return what was encoded; raise if `data` is damaged."""

    def max_encoded_size(self, nbytes: int) -> int:
        """Return the largest size that `nbytes` bytes of any content can encode to."""

    def v3_metadata(self) -> dict[str, Any]:
        """Return the element of a V3 ``codecs`` list."""

    def v2_metadata(self) -> dict[str, Any] | None:
        """Return the V2 ``compressor``, or None where V2 has no such codec."""


@runtime_checkable
class BoundedCodec(Codec, Protocol):
    """A codec that can be told how much memory it may take for a chunk.

    A few kilobytes of a store that is not to be trusted may decode to gigabytes. A codec that has
    this method is asked by it alone when a store is read.
    """

    def decode_at_most(self, data: bytes, nbytes: int) -> bytes:
        """Return what was encoded; raise before it takes more than `nbytes` bytes."""


@runtime_checkable
class NamedCompression(Protocol):
    """Any object that asks for a codec by the name of its provider."""

    @property
    def codec_name(self) -> str:
        """Name that a codec provider is registered under."""


@dataclasses.dataclass(frozen=True)
class PluginCompression:
    """Compression by any registered codec, named as in Zarr V3 metadata.

    Parameters
    ----------
    codec_name : str
        Name of the provider: a built-in one (``"blosc"``, ``"zstd"``, ``"gzip"``,
        ``"crc32c"``) or one that a plug-in offers.
    configuration : mapping of str to object
        What the codec is configured with, by the names of its V3 metadata; what is
        left out takes the codec's default.

    Examples
    --------
    >>> PluginCompression("blosc", {"cname": "lz4hc", "clevel": 9, "shuffle": "bitshuffle"})
    PluginCompression(codec_name='blosc', configuration={'cname': 'lz4hc', ...})
    """

    codec_name: str
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could not name a codec."""
        codec_name: object = self.codec_name
        if not isinstance(codec_name, str) or not codec_name:
            raise SettingsError(
                f"codec_name must be the name of a codec, such as 'zstd', not {self.codec_name!r}"
            )


def configuration_of(compression: NamedCompression) -> Mapping[str, Any]:
    """Return what a compression configures its codec with; nothing if it does not say."""
    configuration: Mapping[str, Any] = getattr(compression, "configuration", {})
    return configuration


def configured(
    build: Callable[..., CodecT], configuration: Mapping[str, Any], **defaults: Any
) -> CodecT:
    """Build a codec record from a V3 ``configuration``.

    Parameters
    ----------
    build : callable
        The dataclass of the codec.
    configuration : mapping of str to object
        Fields by name; wins over `defaults`.
    **defaults
        Fields that hold where `configuration` has none.

    Raises
    ------
    SettingsError
        If the codec has no such field, or refuses its value.
    """
    known = [field.name for field in dataclasses.fields(build) if field.init]  # type: ignore[arg-type]
    unknown = sorted(set(configuration) - set(known))
    if unknown:
        raise SettingsError(
            f"codec {getattr(build, 'name', build)!r} has no setting {', '.join(unknown)}; "
            f"it takes {', '.join(known) or 'none'}"
        )
    return build(**{**defaults, **configuration})


def require_integer(codec: str, field: str, value: object, low: int, high: int) -> None:
    """Raise `SettingsError` unless `value` is an integer in ``low..high``."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or not low <= cast("int", value) <= high:
        raise SettingsError(
            f"{codec} {field} is {value!r}; it must be an integer from {low} to {high}"
        )


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
        asks for the codec by its name and has its ``configuration``, by the names of its
        V3 metadata; `dtype` is the array's numpy data type. Refuse what cannot be with
        `aqz_core.SettingsError`.
    """

    name: str
    build: Callable[[NamedCompression, np.dtype[Any]], Codec]

    def __post_init__(self) -> None:
        """Check the types of the fields."""
        name: object = self.name
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a codec must be a string that is not empty, not {name!r}")
        if not callable(self.build):
            raise TypeError(f"build of a codec must be callable, not {self.build!r}")
