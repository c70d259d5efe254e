"""The built-in codecs, sinks and downsamplers, offered as any plug-in would.

Importing this module loads none of them: each hook imports what it offers when
it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.codecs.base import CodecProvider
from aqz_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.storage.sink import SinkProvider

__all__: list[str] = []


@hookimpl
def aqz_codecs() -> tuple[CodecProvider, ...]:
    """Offer blosc, zstd, gzip and crc32c."""
    from aqz_core.codecs.blosc import build_blosc
    from aqz_core.codecs.crc32c import build_crc32c
    from aqz_core.codecs.gzip import build_gzip
    from aqz_core.codecs.zstd import build_zstd

    return (
        CodecProvider("blosc", build_blosc),
        CodecProvider("zstd", build_zstd),
        CodecProvider("gzip", build_gzip),
        CodecProvider("crc32c", build_crc32c),
    )


@hookimpl
def aqz_sinks() -> tuple[SinkProvider, ...]:
    """Offer the places that the engine itself can write to."""
    from aqz_core.storage.builtin import BUILTIN_SINKS

    return BUILTIN_SINKS


@hookimpl
def aqz_downsamplers() -> tuple[Downsampler, ...]:
    """Offer decimation, mean, minimum and maximum."""
    from aqz_core.downsampling.methods import BUILTIN_DOWNSAMPLERS

    return BUILTIN_DOWNSAMPLERS
