"""CRC32C: four bytes after the data that return whether it was damaged.

Owns the checksum of chunks and of shard indexes, which the Zarr sharding codec
ends in the same way. google-crc32c does the work, with the GIL released.

Metadata: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, cast

import google_crc32c
import numpy as np

from aqz_core.codecs.base import configuration_of, configured
from aqz_core.errors import StorageError

if TYPE_CHECKING:
    from aqz_core.codecs.base import ChunkBuffer, NamedCompression

__all__ = ["CRC32C_NBYTES", "Crc32cCodec", "build_crc32c", "crc32c"]

CRC32C_NBYTES = 4


def crc32c(data: ChunkBuffer) -> bytes:
    """Return the CRC-32C (RFC 3720) of contiguous `data`: four bytes, little endian."""
    # A memoryview is refused by google-crc32c, an array over the same bytes is not.
    readable = np.frombuffer(data, np.uint8) if isinstance(data, memoryview) else data
    return int(google_crc32c.value(readable)).to_bytes(CRC32C_NBYTES, "little")


@dataclasses.dataclass(frozen=True, slots=True)
class Crc32cCodec:
    """The Zarr codec ``crc32c``; it has no settings."""

    name: ClassVar[str] = "crc32c"

    def encode(self, data: ChunkBuffer) -> bytes:
        """Return `data` with its checksum behind it."""
        # To type checkers an array is a buffer from Python 3.12 on only.
        return b"".join((cast("bytes", data), crc32c(data)))

    def decode(self, data: bytes) -> bytes:
        """Return the data in front of the checksum.

        Raises
        ------
        StorageError
            If the checksum is missing or another.
        """
        if len(data) < CRC32C_NBYTES:
            raise StorageError(f"{len(data)} bytes are too few to end in a crc32c checksum")
        content, stored = data[:-CRC32C_NBYTES], data[-CRC32C_NBYTES:]
        computed = crc32c(content)
        if computed != stored:
            raise StorageError(
                f"the crc32c checksum of {len(content)} bytes is {computed.hex()}, but "
                f"{stored.hex()} is stored; the bytes are damaged or were being rewritten"
            )
        return content

    def max_encoded_size(self, nbytes: int) -> int:
        """Return `nbytes` and the checksum; this size is exact."""
        return nbytes + CRC32C_NBYTES

    def v3_metadata(self) -> dict[str, Any]:
        """Return the element of a V3 ``codecs`` list."""
        return {"name": self.name}

    def v2_metadata(self) -> None:
        """Return None: V2 metadata cannot name this codec."""


def build_crc32c(compression: NamedCompression, dtype: np.dtype[Any]) -> Crc32cCodec:
    """Return the codec that `compression` asks for; the data type does not matter."""
    return configured(Crc32cCodec, configuration_of(compression))
