"""Gzip, for readers that know nothing newer.

Owns the V3 and V2 metadata of the codec and its size bound. Encoding goes
straight to zlib: one call, no file object, and no time stamp in the header, so
that equal chunks give equal bytes.

Metadata: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/gzip/
"""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from typing import TYPE_CHECKING, Any, ClassVar, cast

from aqz_core.codecs.base import configuration_of, configured, require_integer
from aqz_core.errors import StorageError

if TYPE_CHECKING:
    import numpy as np

    from aqz_core.codecs.base import ChunkBuffer, NamedCompression

__all__ = ["GzipCodec", "build_gzip"]

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # 16 asks zlib for the gzip container


@dataclasses.dataclass(frozen=True, slots=True)
class GzipCodec:
    """The Zarr codec ``gzip``.

    Parameters
    ----------
    level : int
        0 (store) to 9 (smallest).

    Raises
    ------
    SettingsError
        If the level is out of range.
    """

    name: ClassVar[str] = "gzip"

    level: int = 1

    def __post_init__(self) -> None:
        """Check the level."""
        require_integer("gzip", "level", self.level, 0, 9)

    def encode(self, data: ChunkBuffer) -> bytes:
        """Return `data` as one gzip member."""
        # To type checkers an array is a buffer from Python 3.12 on only.
        return zlib.compress(cast("bytes", data), self.level, wbits=_GZIP_WINDOW)

    def decode(self, data: bytes) -> bytes:
        """Return the content of all members of `data`.

        Raises
        ------
        StorageError
            If there is no member.
        """
        if not data:  # Python takes this for the compression of nothing
            raise StorageError("a gzip chunk has no bytes; it is damaged or cut short")
        return gzip.decompress(data)

    def max_encoded_size(self, nbytes: int) -> int:
        """Return a bound that holds for zlib and for zlib-ng.

        zlib itself adds less than 0.1 %; the quick strategy of zlib-ng, which some
        Python builds link, may spend nine bits on a byte.
        """
        return nbytes + (nbytes + 7) // 8 + 64

    def v3_metadata(self) -> dict[str, Any]:
        """Return the element of a V3 ``codecs`` list."""
        return {"name": self.name, "configuration": dataclasses.asdict(self)}

    def v2_metadata(self) -> dict[str, Any]:
        """Return the V2 ``compressor``."""
        return {"id": self.name, "level": self.level}


def build_gzip(compression: NamedCompression, dtype: np.dtype[Any]) -> GzipCodec:
    """Return the codec that `compression` asks for; the data type does not matter."""
    return configured(GzipCodec, configuration_of(compression))
