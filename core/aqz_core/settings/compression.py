"""How chunks are compressed: the settings, and the names that stand for them everywhere."""

from __future__ import annotations

import attrs

from aqz_core.enums import (
    CompressionCodec,
    Compressor,
)
from aqz_core.settings import checks as check
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import UINT8_MAX, checked

__all__ = ["CompressionSettings"]


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
        default=Compressor.NONE, metadata=checked(check.member(Compressor))
    )
    codec: CompressionCodec = attrs.field(
        default=CompressionCodec.NONE, metadata=checked(check.member(CompressionCodec))
    )
    level: int = attrs.field(default=1, metadata=checked(check.whole_number(0, UINT8_MAX)))
    shuffle: int = attrs.field(default=0, metadata=checked(check.whole_number(0, UINT8_MAX)))
