"""Blosc: a fast compressor behind a byte or bit shuffle.

Owns the V3 and V2 metadata of the codec and its limits. The work is done by
numcodecs, which outside the main thread uses Blosc's context interface: no
global lock, no threads of its own, the GIL released. On the main thread it may
use Blosc's thread pool; what it writes decodes to the same bytes.

Metadata: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/blosc/
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, cast

from aqz_core.codecs.base import configuration_of, configured, require_integer
from aqz_core.errors import SettingsError, StorageError

if TYPE_CHECKING:
    import numpy as np

    from aqz_core.codecs.base import ChunkBuffer, NamedCompression

__all__ = ["SHUFFLES", "BloscCodec", "build_blosc"]

SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
"""V3 names of the shuffles; the position is the number in V2 and in the settings."""

_HEADER_NBYTES = 16
_MAX_NBYTES = 2**31 - 1 - _HEADER_NBYTES  # sizes in the header are signed 32-bit
_MAX_TYPESIZE = 255


@dataclasses.dataclass(frozen=True, slots=True)
class BloscCodec:
    """The Zarr codec ``blosc``.

    Parameters
    ----------
    typesize : int
        Size of one item in bytes, 1 to 255: the stride of the shuffle.
    cname : str
        Inner compressor: ``lz4``, ``lz4hc``, ``zstd``, ``zlib`` or ``blosclz``.
    clevel : int
        0 (store) to 9 (smallest).
    shuffle : str
        ``noshuffle``, ``shuffle`` (bytes) or ``bitshuffle``.
    blocksize : int
        Bytes per Blosc block; 0 lets Blosc choose.

    Raises
    ------
    SettingsError
        If a value is out of range, or this build of Blosc lacks the compressor.
    """

    name: ClassVar[str] = "blosc"

    typesize: int
    cname: str = "lz4"
    clevel: int = 1
    shuffle: str = "shuffle"
    blocksize: int = 0

    def __post_init__(self) -> None:
        """Check the fields, and so load the library before the first chunk needs it."""
        from numcodecs import blosc

        compressors = blosc.list_compressors()
        if self.cname not in compressors:
            raise SettingsError(
                f"blosc cname is {self.cname!r}; this build offers {', '.join(compressors)}"
            )
        if self.shuffle not in SHUFFLES:
            raise SettingsError(
                f"blosc shuffle is {self.shuffle!r}; it must be one of {', '.join(SHUFFLES)}"
            )
        require_integer("blosc", "clevel", self.clevel, 0, 9)
        require_integer("blosc", "typesize", self.typesize, 1, _MAX_TYPESIZE)
        require_integer("blosc", "blocksize", self.blocksize, 0, _MAX_NBYTES)

    def encode(self, data: ChunkBuffer) -> bytes:
        """Return `data` compressed, header first."""
        from numcodecs import blosc

        encoded = blosc.compress(
            data,
            self.cname.encode("ascii"),
            self.clevel,
            SHUFFLES.index(self.shuffle),
            self.blocksize,
            self.typesize,
        )
        return cast("bytes", encoded)

    def decode(self, data: bytes) -> bytes:
        """Return what was compressed.

        Raises
        ------
        StorageError
            If `data` is not exactly one Blosc buffer.
        """
        from numcodecs import blosc

        # Blosc trusts the size in the header, and would read past the end of a cut buffer.
        stated = int.from_bytes(data[12:_HEADER_NBYTES], "little")
        if len(data) < _HEADER_NBYTES or stated != len(data):
            raise StorageError(
                f"a blosc chunk of {len(data)} bytes says that it has {stated}; "
                "it is damaged or cut short"
            )
        return cast("bytes", blosc.decompress(data))

    def max_encoded_size(self, nbytes: int) -> int:
        """Return `nbytes` and the header: Blosc stores what it cannot compress.

        Raises
        ------
        SettingsError
            If a chunk of `nbytes` is more than Blosc can hold.
        """
        if nbytes > _MAX_NBYTES:
            raise SettingsError(
                f"a chunk has {nbytes} bytes, but blosc takes at most {_MAX_NBYTES}; "
                "make chunks smaller, or compress with zstd"
            )
        return nbytes + _HEADER_NBYTES

    def v3_metadata(self) -> dict[str, Any]:
        """Return the element of a V3 ``codecs`` list."""
        return {"name": self.name, "configuration": dataclasses.asdict(self)}

    def v2_metadata(self) -> dict[str, Any]:
        """Return the V2 ``compressor``; its shuffle is a number, its item size the dtype's."""
        return {
            "id": self.name,
            "cname": self.cname,
            "clevel": self.clevel,
            "shuffle": SHUFFLES.index(self.shuffle),
            "blocksize": self.blocksize,
        }


def build_blosc(compression: NamedCompression, dtype: np.dtype[Any]) -> BloscCodec:
    """Return the codec that `compression` asks for, shuffling items of `dtype`."""
    return configured(BloscCodec, configuration_of(compression), typesize=dtype.itemsize)
