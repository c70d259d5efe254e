"""The codecs of one array, in the order they are applied, as one encoder.

Owns the way from what the settings ask for (or what stored metadata says) to
codec records, by the providers that plug-ins registered, and the ``codecs``
list of V3 metadata. A chain of one codec encodes with that codec's own method:
nothing stands between a chunk and its compressor.
"""

from __future__ import annotations

import dataclasses
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, Any

from aqz_core.codecs.base import ChunkBuffer, Codec, NamedCompression, PluginCompression
from aqz_core.errors import AqzError, PluginError, SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from aqz_core.codecs.base import CodecProvider

__all__ = ["CodecChain", "chain_for", "chain_from_v3"]


def _encoder(codecs: tuple[Codec, ...]) -> Callable[[ChunkBuffer], bytes]:
    """Return the function that applies `codecs`; with none it copies the buffer to bytes."""
    if not codecs:
        return bytes
    if len(codecs) == 1:
        return _encode_of(codecs[0])
    return _Sequence(tuple(map(_encode_of, codecs)))


def _encode_of(codec: Codec) -> Callable[[ChunkBuffer], bytes]:
    """Return the method that encodes; of a plug-in's codec, one whose errors say whose they are."""
    is_ours = type(codec).__module__.startswith("aqz_core.")
    return codec.encode if is_ours else _PluginEncoder(codec)


@dataclasses.dataclass(frozen=True, slots=True)
class _PluginEncoder:
    """The encoder of a codec that a plug-in brought."""

    codec: Codec

    def __call__(self, data: ChunkBuffer) -> bytes:
        """Return the encoded chunk."""
        try:
            return _checked(self.codec, data, self.codec.encode(data))
        except MemoryError:
            raise
        except Exception as error:
            module = type(self.codec).__module__
            owners = packages_distributions().get(module.partition(".")[0], [])
            origin = f"distribution {', '.join(owners)}" if owners else f"module {module}"
            raise PluginError(
                f"The recording stopped: codec {self.codec.name!r} ({origin}) failed to encode a "
                f"chunk: {error!r}. Record with another codec, or repair the plug-in"
            ) from error


def _checked(codec: Codec, data: ChunkBuffer, encoded: bytes) -> bytes:
    """Return what a codec made of a chunk, if it is what its author promised."""
    if not isinstance(encoded, bytes | bytearray):
        raise TypeError(f"encode returned {type(encoded).__name__}, not bytes")
    nbytes = len(data) if isinstance(data, bytes) else data.nbytes
    if len(encoded) > (most := codec.max_encoded_size(nbytes)):
        raise ValueError(f"encode returned {len(encoded):,} bytes, max_encoded_size said {most:,}")
    return encoded


@dataclasses.dataclass(frozen=True, slots=True)
class _Sequence:
    """Apply one encoder after the other; a class, so that a chain can be pickled."""

    encoders: tuple[Callable[[ChunkBuffer], bytes], ...]

    def __call__(self, data: ChunkBuffer) -> bytes:
        """Return `data` after the last encoder."""
        first, *others = self.encoders
        encoded = first(data)
        for encode in others:
            encoded = encode(encoded)
        return encoded


@dataclasses.dataclass(frozen=True, slots=True)
class CodecChain:
    """Bytes-to-bytes codecs, applied first to last.

    Parameters
    ----------
    codecs : tuple of Codec
        Empty for chunks stored as they are.

    Attributes
    ----------
    encode : callable
        ``encode(data) -> bytes`` for one C-contiguous, little-endian chunk. Safe on
        many threads at once.
    """

    codecs: tuple[Codec, ...] = ()
    encode: Callable[[ChunkBuffer], bytes] = dataclasses.field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Resolve the encoder once."""
        object.__setattr__(self, "encode", _encoder(self.codecs))

    @property
    def is_identity(self) -> bool:
        """Whether chunks are stored as they are."""
        return not self.codecs

    def decode(self, data: bytes) -> bytes:
        """Return the bytes of the chunk that `data` encodes.

        Raises
        ------
        StorageError
            If a codec cannot decode its input; names the codec, chains its error.
        """
        for codec in reversed(self.codecs):
            try:
                data = codec.decode(data)
            except AqzError:
                raise
            except Exception as error:
                raise StorageError(
                    f"a chunk of {len(data)} bytes cannot be decoded by {codec.name} ({error}); "
                    "it is damaged, or was written with other settings"
                ) from error
        return data

    def max_encoded_size(self, nbytes: int) -> int:
        """Return the largest size that a chunk of `nbytes` bytes can take once encoded.

        Raises
        ------
        SettingsError
            If a chunk of that size is more than a codec can take.
        """
        for codec in self.codecs:
            nbytes = codec.max_encoded_size(nbytes)
        return nbytes

    def v3_metadata(self) -> list[dict[str, Any]]:
        """Return the V3 ``codecs`` list, the little-endian ``bytes`` codec first."""
        serializer = {"name": "bytes", "configuration": {"endian": "little"}}
        return [serializer, *(codec.v3_metadata() for codec in self.codecs)]

    def v2_metadata(self) -> dict[str, Any] | None:
        """Return the V2 ``compressor``, None for chunks stored as they are.

        Raises
        ------
        SettingsError
            If V2 metadata cannot describe the chain.
        """
        if self.is_identity:
            return None
        metadata = self.codecs[0].v2_metadata() if len(self.codecs) == 1 else None
        if metadata is None:
            names = ", ".join(codec.name for codec in self.codecs)
            raise SettingsError(
                f"Zarr V2 cannot describe the compression {names}; "
                "choose blosc, zstd or gzip, or write Zarr V3"
            )
        return metadata


def chain_for(
    compression: NamedCompression | None,
    dtype: np.dtype[Any],
    registry: Mapping[str, CodecProvider],
) -> CodecChain:
    """Return the chain that the settings of an array ask for.

    Parameters
    ----------
    compression : NamedCompression or None
        Asks for a codec by the name of its provider; None stores chunks as they are.
    dtype : numpy.dtype
        Data type of the array; its item size is the stride of a shuffle.
    registry : mapping of str to CodecProvider
        Providers by name, as ``Hooks.codecs()`` returns them.

    Raises
    ------
    SettingsError
        If no provider has that name, or the codec refuses its configuration.
    PluginError
        If a provider fails, or builds something that is not a codec.
    """
    if compression is None:
        return CodecChain()
    return CodecChain((_built(compression, dtype, registry),))


def chain_from_v3(
    codecs: Sequence[Mapping[str, Any] | str],
    dtype: np.dtype[Any],
    registry: Mapping[str, CodecProvider],
) -> CodecChain:
    """Return the chain that a V3 ``codecs`` list of a stored array describes.

    Parameters
    ----------
    codecs : sequence
        The list of an unsharded array, or the inner one of the sharding codec:
        ``bytes`` first, then codecs in order.
    dtype : numpy.dtype
        Data type of the array.
    registry : mapping of str to CodecProvider
        Providers by name, as ``Hooks.codecs()`` returns them.

    Raises
    ------
    SettingsError
        If the list does not start with little-endian ``bytes``, or names a codec that
        no provider offers.
    """
    parts: list[tuple[str, Mapping[str, Any]]] = [
        (codec, {})
        if isinstance(codec, str)
        else (codec.get("name", ""), codec.get("configuration", {}))
        for codec in codecs
    ]
    if not parts or parts[0][0] != "bytes" or parts[0][1].get("endian", "little") != "little":
        raise SettingsError(
            f"the codecs {list(codecs)!r} do not start with little-endian 'bytes'; "
            "only arrays laid out like that can be read or continued here"
        )
    return CodecChain(
        tuple(
            _built(PluginCompression(name, configuration), dtype, registry)
            for name, configuration in parts[1:]
        )
    )


def _built(
    compression: NamedCompression,
    dtype: np.dtype[Any],
    registry: Mapping[str, CodecProvider],
) -> Codec:
    """Return the codec that the provider of that name builds, checked to be one."""
    name = compression.codec_name
    provider = registry.get(name)
    if provider is None:
        raise SettingsError(
            f"there is no codec {name!r}; available are {', '.join(sorted(registry))}. "
            "A plug-in that offers it must be installed, or passed in plugins="
        )
    try:
        codec = provider.build(compression, dtype)
    except AqzError:
        raise
    except Exception as error:
        raise PluginError(
            f"the provider of codec {name!r} failed to build it from {compression!r}: {error!r}"
        ) from error
    if not isinstance(codec, Codec):
        raise PluginError(
            f"the provider of codec {name!r} built {codec!r}, which is not a codec; it needs "
            "name, encode, decode, max_encoded_size, v3_metadata and v2_metadata"
        )
    return codec
