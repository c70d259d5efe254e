"""Zstandard, without a shuffle.

Owns the V3 and V2 metadata of the codec and its size bound; numcodecs does the
work, with the GIL released.

Metadata: the ``zstd`` codec of the Zarr extension registry
(https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/zstd).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, cast

from aqz_core.codecs.base import configuration_of, configured, require_integer
from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np

    from aqz_core.codecs.base import ChunkBuffer, NamedCompression

__all__ = ["ZstdCodec", "build_zstd"]

_MIN_LEVEL = -131072  # negative levels trade ratio for speed
_CHECKSUM_NBYTES = 4
_SMALL_NBYTES = 128 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class ZstdCodec:
    """The Zarr codec ``zstd``.

    Parameters
    ----------
    level : int
        -131072 (fastest) to 22 (smallest); 0 is the library's default.
    checksum : bool
        Whether each chunk ends in a checksum of its content.

    Raises
    ------
    SettingsError
        If a value is out of range.
    """

    name: ClassVar[str] = "zstd"

    level: int = 1
    checksum: bool = False

    def __post_init__(self) -> None:
        """Check the fields, and so load the library before the first chunk needs it."""
        from numcodecs import zstd

        require_integer("zstd", "level", self.level, _MIN_LEVEL, zstd.MAX_CLEVEL)
        if not isinstance(self.checksum, bool):
            raise SettingsError(f"zstd checksum is {self.checksum!r}; it must be true or false")

    def encode(self, data: ChunkBuffer) -> bytes:
        """Return `data` as one Zstandard frame that states its size."""
        from numcodecs import zstd

        return cast("bytes", zstd.compress(data, self.level, self.checksum))

    def decode(self, data: bytes) -> bytes:
        """Return what was compressed."""
        from numcodecs import zstd

        return cast("bytes", zstd.decompress(data))

    def max_encoded_size(self, nbytes: int) -> int:
        """Return the bound of ``ZSTD_COMPRESSBOUND`` (zstd.h), with room for the checksum."""
        small = max(0, _SMALL_NBYTES - nbytes) >> 11
        return nbytes + (nbytes >> 8) + small + _CHECKSUM_NBYTES * self.checksum

    def v3_metadata(self) -> dict[str, Any]:
        """Return the element of a V3 ``codecs`` list."""
        return {"name": self.name, "configuration": dataclasses.asdict(self)}

    def v2_metadata(self) -> dict[str, Any]:
        """Return the V2 ``compressor``; the checksum, which V2 readers need not know, if set."""
        metadata: dict[str, Any] = {"id": self.name, "level": self.level}
        return metadata | {"checksum": True} if self.checksum else metadata


def build_zstd(compression: NamedCompression, dtype: np.dtype[Any]) -> ZstdCodec:
    """Return the codec that `compression` asks for; the data type does not matter."""
    return configured(ZstdCodec, configuration_of(compression))
