"""Codecs: how the bytes of a chunk are compressed, checked and described.

May import the vocabulary only.

One file per codec, each a frozen record; `chain` builds the codecs of an array
from its settings or from stored metadata, by the providers that
`aqz_core.plugins` collected. Nothing here loads a compression library before a
codec is built.
"""

from __future__ import annotations

from aqz_core.codecs.base import ChunkBuffer, Codec, NamedCompression, PluginCompression
from aqz_core.codecs.blosc import BloscCodec
from aqz_core.codecs.chain import CodecChain, chain_for, chain_from_v3
from aqz_core.codecs.crc32c import CRC32C_NBYTES, Crc32cCodec, crc32c
from aqz_core.codecs.gzip import GzipCodec
from aqz_core.codecs.zstd import ZstdCodec

__all__ = [
    "CRC32C_NBYTES",
    "BloscCodec",
    "ChunkBuffer",
    "Codec",
    "CodecChain",
    "Crc32cCodec",
    "GzipCodec",
    "NamedCompression",
    "PluginCompression",
    "ZstdCodec",
    "chain_for",
    "chain_from_v3",
    "crc32c",
]
