"""The stream settings of ``aqz demo``: one image with axes t, y, x at the store's root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.settings.array import ArraySettings, Dimension
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.stream import StreamSettings

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

__all__ = ["COMPRESSIONS", "settings_for_demo"]

# Camera noise fills the low bits: shuffling bits, not bytes, is what makes it smaller.
COMPRESSIONS: dict[str, tuple[Compressor, CompressionCodec, int, int]] = {
    # name: family, codec, level, shuffle
    "none": (Compressor.NONE, CompressionCodec.NONE, 0, 0),
    "blosc-lz4": (Compressor.BLOSC1, CompressionCodec.BLOSC_LZ4, 1, 2),
    "blosc-zstd": (Compressor.BLOSC1, CompressionCodec.BLOSC_ZSTD, 1, 2),
    "zstd": (Compressor.ZSTD, CompressionCodec.ZSTD, 1, 0),
    "gzip": (Compressor.GZIP, CompressionCodec.GZIP, 1, 0),
}
_SHARD_BYTES = 64 << 20  # of pixels
_MOST_FRAMES_PER_SHARD = 64
_CHUNK_EDGES = (32, 512)  # pixels, least and most


def settings_for_demo(
    output: Path | str,
    *,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    pixel_size_um: float | None,
    codec: str,
    pyramid: bool,
    overwrite: bool,
) -> StreamSettings:
    """Return settings that record any number of such frames.

    A chunk is a part of one frame, so that each frame can be seen as soon as it is
    stored; a shard gathers whole frames of up to 64 MiB.

    Parameters
    ----------
    output
        Path or URL of the store.
    shape
        Size of a frame, ``(Y, X)`` pixels.
    dtype
        Data type of a pixel.
    pixel_size_um
        Edge of a pixel in the sample, micrometres; None leaves the axes without a unit.
    codec
        A key of `COMPRESSIONS`.
    pyramid
        Whether smaller versions are stored, too.
    overwrite
        Whether a store at `output` is replaced.
    """
    frame_bytes = shape[0] * shape[1] * dtype.itemsize
    frames_per_shard = max(1, min(_MOST_FRAMES_PER_SHARD, _SHARD_BYTES // frame_bytes))
    time = Dimension(
        name="t",
        kind=DimensionType.TIME,
        array_size_px=0,
        chunk_size_px=1,
        shard_size_chunks=frames_per_shard,
    )
    plane = [_plane_axis(name, size, pixel_size_um) for name, size in zip("yx", shape, strict=True)]
    family, name, level, shuffle = COMPRESSIONS[codec]
    image = ArraySettings(
        dimensions=[time, *plane],
        data_type=DataType.of(dtype),
        compression=CompressionSettings(
            compressor=family, codec=name, level=level, shuffle=shuffle
        ),
        downsampling_method=DownsamplingMethod.MEAN if pyramid else None,
        is_ngff=True,
    )
    return StreamSettings(store_path=output, arrays=[image], overwrite=overwrite)


def _plane_axis(name: str, size: int, pixel_size_um: float | None) -> Dimension:
    """Return an axis of the frame: at least two chunks where that is not too small."""
    least, most = _CHUNK_EDGES
    half = least * -(-size // (2 * least))  # rounded up to a multiple of the least
    chunk = min(most, max(least, half))
    return Dimension(
        name=name,
        kind=DimensionType.SPACE,
        unit=None if pixel_size_um is None else "micrometer",
        scale=1.0 if pixel_size_um is None else pixel_size_um,
        array_size_px=size,
        chunk_size_px=chunk,
        shard_size_chunks=-(-size // chunk),
    )
