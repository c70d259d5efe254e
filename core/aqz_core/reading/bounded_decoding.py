"""Undoing codecs without giving them more memory than a chunk can need.

The bytes of a chunk say themselves how large they become, and a few kilobytes can become gigabytes.
So each codec gets a limit. A codec of a plug-in gets it if it is a `BoundedCodec`; what others give
is checked when it is too late.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import google_crc32c

from aqz_core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUILTIN_DECODERS", "largest_encoded", "too_large"]

_BLOSC_HEADER_NBYTES = 16
_GZIP = 16 + zlib.MAX_WBITS


def largest_encoded(nbytes: int) -> int:
    """Return how many bytes a chunk can have once it is encoded, whatever the codecs are."""
    return 2 * nbytes + (64 << 10)


def too_large(name: str, limit: int) -> StorageError:
    """Return the error of a chunk that claims more bytes than it can have."""
    return StorageError(f"a {name} chunk is larger than {limit:,} bytes, which it cannot be")


def _decode_blosc(data: bytes, limit: int) -> bytes:
    """Decode one blosc buffer; its header is laid out as README_CHUNK_FORMAT of c-blosc 1 says."""
    if len(data) < _BLOSC_HEADER_NBYTES:
        raise StorageError(f"a blosc chunk of {len(data)} bytes is shorter than its header")
    nbytes = int.from_bytes(data[4:8], "little")
    stored = int.from_bytes(data[12:16], "little")
    if stored != len(data):
        raise StorageError(f"a blosc chunk of {len(data)} bytes says that it has {stored}")
    if nbytes > limit:
        raise too_large("blosc", limit)
    return bytes(_numcodec("blosc").decode(data))


def _decode_zstd(data: bytes, limit: int) -> bytes:
    """Decode zstd; where the frame does not say how large it is, it must have `limit` bytes."""
    stated = _zstd_content_size(data)
    if stated is not None and stated > limit:
        raise too_large("zstd", limit)
    out = bytearray(limit if stated is None else stated)
    return bytes(_numcodec("zstd").decode(data, out)) if out or data else b""


def _zstd_content_size(data: bytes) -> int | None:
    """Return the size that a frame's header states; RFC 8878, section 3.1.1.1."""
    if len(data) < 6 or data[:4] != b"\x28\xb5\x2f\xfd":
        raise StorageError("a chunk does not begin as zstd does")
    descriptor = data[4]
    single = bool(descriptor & 0x20)
    width = {0: 1 if single else 0, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
    if not width:
        return None
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(data[start : start + width], "little")
    return size + 256 if width == 2 else size


def _decode_gzip(data: bytes, limit: int) -> bytes:
    """Decode gzip, of which several members may follow each other."""
    out = bytearray()
    while data:
        member = zlib.decompressobj(_GZIP)
        out += member.decompress(data, limit + 1 - len(out))
        if len(out) > limit:
            raise too_large("gzip", limit)
        if not member.eof:
            raise StorageError("a gzip chunk is cut short")
        data = member.unused_data.lstrip(b"\0")
    return bytes(out)


def _decode_crc32c(data: bytes, limit: int) -> bytes:
    """Return the bytes that a checksum follows."""
    content, checksum = data[:-4], data[-4:]
    if google_crc32c.value(content) != int.from_bytes(checksum, "little"):
        raise StorageError("a chunk does not match its crc32c checksum")
    return content


@cache
def _numcodec(name: str) -> Any:
    """Return a decoder of numcodecs, which is slow to import, so only here."""
    import numcodecs

    return {"blosc": numcodecs.Blosc, "zstd": numcodecs.Zstd}[name]()


BUILTIN_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "blosc": _decode_blosc,
    "zstd": _decode_zstd,
    "gzip": _decode_gzip,
    "crc32c": _decode_crc32c,
}
"""Functions of bytes and a limit, by the name of the codec; they raise whatever the codec does."""
