"""LZMA as a codec. Readers need a plug-in of their own for it."""

from __future__ import annotations

import dataclasses
import lzma
from typing import TYPE_CHECKING, Any, ClassVar

from aqz_core import CodecProvider, SettingsError

if TYPE_CHECKING:
    import numpy as np

NAME = "example.lzma"


@dataclasses.dataclass(frozen=True, slots=True)
class LzmaCodec:
    """The codec of one array: frozen, because all worker threads share it."""

    name: ClassVar[str] = NAME

    preset: int = 1

    def __post_init__(self) -> None:
        """Refuse a preset that LZMA does not have."""
        if self.preset not in range(10):
            raise SettingsError(f"preset of {NAME} is {self.preset!r}; it must be from 0 to 9")

    def encode(self, data: Any) -> bytes:
        """Return the chunk as an .xz stream."""
        return lzma.compress(data, preset=self.preset)

    def decode(self, data: bytes) -> bytes:
        """Return the chunk; raises LZMAError if it is damaged."""
        return lzma.decompress(data)

    def max_encoded_size(self, nbytes: int) -> int:
        """Return the bound of liblzma: stored blocks of 64 KiB, headers, and a checksum."""
        return nbytes + 3 * (nbytes // 65536 + 1) + 256

    def v3_metadata(self) -> dict[str, Any]:
        """Return what ``zarr.json`` says; it builds the codec again."""
        return {"name": NAME, "configuration": {"preset": self.preset}}

    def v2_metadata(self) -> None:
        """Return nothing: this codec is for Zarr V3."""


def build(compression: Any, dtype: np.dtype[Any]) -> LzmaCodec:
    """Return the codec that the settings of an array ask for."""
    unknown = set(compression.configuration) - {"preset"}
    if unknown:
        raise SettingsError(f"{NAME} has no setting {sorted(unknown)}; it takes preset")
    return LzmaCodec(**compression.configuration)


PROVIDER = CodecProvider(NAME, build)
