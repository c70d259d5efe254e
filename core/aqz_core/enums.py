"""Enumerations of the settings: what can be chosen, and under which number.

Members and integer values are those of acquire-zarr 0.10.0, so that stored integers and
comparisons with plain numbers keep their meaning; what aqz adds comes after acquire-zarr's last
value. (``DownsamplingMethod`` counted from 0 in acquire-zarr 0.5.1.)

Which codec goes with which compressor is a rule of `validation`; how a codec is written to
disk belongs to ``codecs``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "CompressionCodec",
    "Compressor",
    "DataType",
    "DimensionType",
    "DownsamplingMethod",
    "LogLevel",
    "ZarrVersion",
]


class _NamedInt(enum.IntEnum):
    """An integer that prints as ``Class.MEMBER``, in messages and in f-strings."""

    __str__ = enum.Enum.__str__
    __format__ = enum.Enum.__format__


class ZarrVersion(_NamedInt):
    """Version of the Zarr storage format."""

    V2 = 2
    V3 = 3


class DataType(_NamedInt):
    """Type of a pixel."""

    UINT8 = 0
    UINT16 = 1
    UINT32 = 2
    UINT64 = 3
    INT8 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    FLOAT32 = 8
    FLOAT64 = 9
    FLOAT16 = 10
    BOOL = 11

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type, little-endian as it is stored."""
        return np.dtype(self.name.lower()).newbyteorder("<")

    @classmethod
    def of(cls, value: DataType | DTypeLike) -> DataType:
        """Find the member for whatever numpy understands as a data type.

        Parameters
        ----------
        value : DataType, numpy.dtype, scalar type or str
            For example ``DataType.UINT16``, ``np.uint16``, ``"uint16"``, ``"<u2"``, ``float``.

        Returns
        -------
        DataType
            The member of the same kind and width.

        Raises
        ------
        TypeError
            If `value` is None, which numpy would read as float64.
        SettingsError
            If there is no such member, or the type is big-endian.
        """
        if isinstance(value, cls):
            return value
        if value is None:
            raise TypeError(f"a data type is needed, got None; {_choices()}")
        try:
            dtype = np.dtype(value)
        except (TypeError, ValueError, SyntaxError) as error:
            raise SettingsError(f"{value!r} is not a data type; {_choices()}") from error
        member = cls.__members__.get(dtype.name.upper())
        if member is None:
            raise SettingsError(f"pixels of type {dtype.name} cannot be stored; {_choices()}")
        if dtype.byteorder == ">":
            raise SettingsError(
                f"pixels are stored little-endian, got the big-endian type {dtype.str!r}; "
                f"use {dtype.name!r}, and frame.astype({dtype.newbyteorder('<').str!r}) turns "
                "a big-endian frame into it"
            )
        return member


def _choices() -> str:
    """End of a message: the data types there are."""
    return "use one of " + ", ".join(name.lower() for name in DataType.__members__)


class Compressor(_NamedInt):
    """Family of a codec, which decides what ``level`` and ``shuffle`` mean."""

    NONE = 0
    BLOSC1 = 1
    ZSTD = 2
    GZIP = 3


class CompressionCodec(_NamedInt):
    """Codec inside its family; the name says which family that is."""

    NONE = 0
    BLOSC_LZ4 = 1
    BLOSC_ZSTD = 2
    ZSTD = 3
    BLOSC_LZ4HC = 4
    BLOSC_ZLIB = 5
    BLOSC_BLOSCLZ = 6
    GZIP = 7


class DimensionType(_NamedInt):
    """What an axis counts; the ``type`` of an NGFF axis."""

    SPACE = 0
    CHANNEL = 1
    TIME = 2
    OTHER = 3


class DownsamplingMethod(_NamedInt):
    """How a 2 x 2 (or 2 x 2 x 2) neighbourhood becomes one pixel of the next pyramid level."""

    DECIMATE = 1
    MEAN = 2
    MIN = 3
    MAX = 4


class LogLevel(_NamedInt):
    """Least severe message that is logged."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    NONE = 4
