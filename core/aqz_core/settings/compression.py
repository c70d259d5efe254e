"""How chunks are compressed: the settings, and the names that stand for them everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import attrs

from aqz_core.codecs.base import NamedCompression, PluginCompression, require_integer
from aqz_core.codecs.blosc import SHUFFLES
from aqz_core.enums import CompressionCodec, Compressor, DataType
from aqz_core.errors import SettingsError
from aqz_core.settings import checks as check
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import UINT8_MAX, checked

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "COMPRESSION_NAMES",
    "CompressionName",
    "CompressionSettings",
    "compression_settings",
    "named_compression",
]


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class CompressionSettings(SettingsBase):
    """How chunks are compressed.

    Parameters
    ----------
    compressor : Compressor, default NONE
        Family of the codec; with NONE the other settings have no effect.
    codec : CompressionCodec, default NONE
        Codec of that family.
    level : int, default 1
        0..9 for BLOSC1 and GZIP, 0..22 for ZSTD; more is smaller and slower.
    shuffle : int, default 0
        Reordering before a BLOSC1 codec: 0 none, 1 bytes, 2 bits.
    """

    compressor: Compressor = attrs.field(
        default=Compressor.NONE, metadata=checked(check.member(Compressor), required=True)
    )
    codec: CompressionCodec = attrs.field(
        default=CompressionCodec.NONE,
        metadata=checked(check.member(CompressionCodec), required=True),
    )
    level: int = attrs.field(
        default=1, metadata=checked(check.whole_number(0, UINT8_MAX), always=True)
    )
    shuffle: int = attrs.field(
        default=0, metadata=checked(check.whole_number(0, UINT8_MAX), always=True)
    )


_BLOSC_CNAMES = {
    CompressionCodec.BLOSC_LZ4: "lz4",
    CompressionCodec.BLOSC_LZ4HC: "lz4hc",
    CompressionCodec.BLOSC_ZSTD: "zstd",
    CompressionCodec.BLOSC_ZLIB: "zlib",
    CompressionCodec.BLOSC_BLOSCLZ: "blosclz",
}

CompressionName: TypeAlias = Literal[
    "none",
    "blosc-lz4",
    "blosc-lz4hc",
    "blosc-zstd",
    "blosc-zlib",
    "blosc-blosclz",
    "zstd",
    "gzip",
]
"""The names of codecs in calls, commands and forms."""

COMPRESSION_NAMES: tuple[CompressionName, ...] = get_args(CompressionName)
"""What `compression_settings` takes."""


def compression_settings(
    name: CompressionName, data_type: DataType | DTypeLike, level: int = 1
) -> CompressionSettings | None:
    """Return the settings that the short name of a codec stands for, wherever it is used.

    Blosc shuffles as its own automatic choice does: bits of pixels of one byte, bytes of larger
    ones. On camera noise of 16 bits, LZ4 is twice as fast with bytes as with bits, and the result
    4 % larger; on 8 bits it compresses nothing unless bits are shuffled.

    Parameters
    ----------
    name : str
        One of `COMPRESSION_NAMES`.
    data_type : data type
        Of the pixels.
    level : int, default 1
        More is smaller and slower.

    Returns
    -------
    CompressionSettings or None
        None for ``"none"``.

    Raises
    ------
    SettingsError
        There is no such name.

    Examples
    --------
    >>> compression_settings("blosc-lz4", "uint16").shuffle
    1
    >>> compression_settings("blosc-lz4", "uint8").shuffle
    2
    """
    if name == "none":
        return None
    if name not in COMPRESSION_NAMES:
        raise SettingsError(
            f"compression {name!r} is unknown; choose one of {', '.join(COMPRESSION_NAMES)}"
        )
    codec = CompressionCodec[name.upper().replace("-", "_")]
    compressor = Compressor.BLOSC1 if codec in _BLOSC_CNAMES else Compressor[codec.name]
    shuffle = 0
    if compressor is Compressor.BLOSC1:
        shuffle = 2 if DataType.of(data_type).dtype.itemsize == 1 else 1
    return CompressionSettings(compressor=compressor, codec=codec, level=level, shuffle=shuffle)


def named_compression(
    compression: CompressionSettings | NamedCompression | None,
) -> NamedCompression | None:
    """Return a compression as codecs know it: a name, and what the codec is configured with.

    Parameters
    ----------
    compression : CompressionSettings, NamedCompression, or None
        ``ArraySettings.compression``.

    Returns
    -------
    NamedCompression or None
        None for chunks that are stored as they are.

    Raises
    ------
    SettingsError
        A compressor is set without one of its codecs, or the shuffle is none of Blosc's.
    """
    if not isinstance(compression, CompressionSettings):
        return compression
    if compression.compressor is Compressor.NONE:
        return None  # the codec is then ignored, as acquire-zarr does
    codec, level = compression.codec, compression.level
    if codec is CompressionCodec.NONE:
        raise SettingsError(
            f"compressor {compression.compressor.name} needs a codec, but codec is NONE; "
            "set codec, for example CompressionCodec.BLOSC_LZ4"
        )
    if codec is CompressionCodec.ZSTD:
        return PluginCompression("zstd", {"level": level})
    if codec is CompressionCodec.GZIP:
        return PluginCompression("gzip", {"level": level})
    require_integer("blosc", "shuffle", compression.shuffle, 0, len(SHUFFLES) - 1)
    shuffle = SHUFFLES[compression.shuffle]
    configuration = {"cname": _BLOSC_CNAMES[codec], "clevel": level, "shuffle": shuffle}
    return PluginCompression("blosc", configuration)
