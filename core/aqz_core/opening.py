"""One call that opens a stream, for those who do not want to fill in settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.errors import SettingsError
from aqz_core.settings import (
    ArraySettings,
    Channel,
    CompressionSettings,
    Dimension,
    StreamSettings,
)
from aqz_core.store_path import local_path, url_scheme
from aqz_core.stream import ZarrStream
from aqz_core.suggestion import AXIS_KINDS, suggest_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import DTypeLike

__all__ = ["COMPRESSIONS", "open_stream"]

COMPRESSIONS = {
    "none": None,
    "blosc-lz4": (Compressor.BLOSC1, CompressionCodec.BLOSC_LZ4, 1, 1),
    "blosc-zstd": (Compressor.BLOSC1, CompressionCodec.BLOSC_ZSTD, 1, 1),
    "zstd": (Compressor.ZSTD, CompressionCodec.ZSTD, 3, 0),
    "gzip": (Compressor.GZIP, CompressionCodec.GZIP, 1, 0),
}
"""Short names of codecs: compressor, codec, level, shuffle."""


def open_stream(
    store_path: str | os.PathLike[str],
    *,
    shape: Sequence[int],
    dtype: DTypeLike | DataType,
    axes: str | Sequence[str] = "",
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    compression: str = "blosc-lz4",
    pyramid: str | None = None,
    scale: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    channels: Sequence[str | Channel] = (),
    overwrite: bool = False,
    mode: Literal["new", "append"] = "new",
    max_memory: int | None = None,
    spill: str | os.PathLike[str] | None = None,
    plugins: Iterable[object] = (),
) -> ZarrStream:
    """Open a stream that records one OME-Zarr image at the root of a store.

    Parameters
    ----------
    store_path : str or os.PathLike
        Where the store goes; its parent directory must exist.
    shape : sequence of int
        Size of each axis in pixels, the frame's (Y, X) last. 0 for the first of three or more
        axes: as many frames as come.
    dtype : data type
        Of the pixels, for example ``"uint16"``.
    axes : str or sequence of str
        Name of each axis: ``"tyx"``. The names t, c, z, y and x mean time, channel and space;
        others are custom axes. By default the last of ``"tczyx"`` that fit.
    chunks, shards : sequence of int, optional
        Pixels of a chunk, and chunks of a shard, on each axis. Chosen for the data, and for an
        object store if `store_path` is the URL of one, when left out: see `suggest_layout`.
    compression : {"blosc-lz4", "blosc-zstd", "zstd", "gzip", "none"}
        How chunks are compressed.
    pyramid : {"mean", "decimate", "min", "max"}, optional
        Record smaller versions of the image as well.
    scale : mapping of str to float, optional
        Pixel size, or time between frames, by axis name.
    units : mapping of str to str, optional
        Unit of `scale` by axis name: ``{"x": "micrometer", "t": "second"}``.
    channels : sequence of str or Channel, optional
        Names, or names and colours, for the axis c.
    mode : {"new", "append"}
        With ``"append"``, go on with the recording that is at `store_path`, a path or URL, if
        there is one, at its next frame: see `ZarrStream.resume`.
    overwrite : bool, default False
        Remove what is at `store_path` first.
    max_memory : int, optional
        Bound in bytes on the memory for pixels.
    spill : str or os.PathLike, optional
        Folder on this machine where the recording goes on when an object store fails.
    plugins : iterable of object
        As for `ZarrStream`.

    Returns
    -------
    ZarrStream
        Takes frames by ``append``; close it, or use it in a ``with`` statement.

    Raises
    ------
    SettingsError
        The arguments do not fit together.
    StoreExistsError
        There is an array already, and `overwrite` is not set.

    Examples
    --------
    >>> with open_stream("out.zarr", shape=(0, 512, 512), dtype="uint16") as stream:
    ...     stream.append(frame)  # doctest: +SKIP
    """
    names = list(axes) if axes else list("tczyx"[-len(shape) :] if len(shape) != 3 else "tyx")
    if len(names) != len(shape) or len(shape) < 2:
        raise SettingsError(
            f"shape {tuple(shape)} and axes {names} must name the same axes, two at least; "
            "for example shape=(0, 512, 512), axes='tyx'"
        )
    data_type = DataType.of(dtype)
    for what, sizes in (("chunks", chunks), ("shards", shards)):
        if sizes is not None and len(sizes) != len(shape):
            raise SettingsError(f"{what} {tuple(sizes)} must have one size for each of {names}")
    if chunks is None or shards is None:
        local = url_scheme(os.fspath(store_path)) in (None, "file")
        target = "recording" if local else "object-store"
        layout = suggest_layout(shape, data_type, names, target=target, chunk_shape=chunks)
        chunks = layout.chunk_shape
        shards = layout.shard_chunks if shards is None else shards
    per_axis = zip(names, shape, chunks, shards, strict=False)
    for what, values in (("scale", scale or {}), ("units", units or {})):
        if unknown := sorted(set(values) - set(names)):
            raise SettingsError(f"{what} names the axis {unknown[0]!r}; the axes are {names}")
    array = ArraySettings(
        dimensions=[
            Dimension(
                name=name,
                kind=AXIS_KINDS.get(name, DimensionType.OTHER),
                unit=(units or {}).get(name),
                scale=(scale or {}).get(name, 1.0),
                array_size_px=int(size),
                chunk_size_px=int(chunk),
                shard_size_chunks=int(shard),
            )
            for name, size, chunk, shard in per_axis
        ],
        data_type=data_type,
        compression=compression_settings(compression),
        downsampling_method=_method(pyramid),
        is_ngff=True,
        channels=[
            channel if isinstance(channel, Channel) else Channel(name=channel)
            for channel in channels
        ],
    )
    settings = StreamSettings(
        store_path=store_path,
        arrays=[array],
        overwrite=overwrite,
        max_memory=max_memory,
        spill=spill,
    )
    if mode not in ("new", "append"):
        raise SettingsError(f"mode is {mode!r}; choose 'new' or 'append'")
    if mode == "append" and not overwrite and _is_there(settings.store_path):
        return ZarrStream.resume(settings.store_path, settings, plugins)
    return ZarrStream(settings, plugins)


def _is_there(store_path: str) -> bool:
    """Tell whether there is something to go on with at a path or URL."""
    from aqz_core.recovery.stored_files import is_local, open_files

    if is_local(store_path):
        return local_path(store_path).exists()
    files = open_files(store_path)
    try:
        return files.size("zarr.json") is not None
    finally:
        files.close()


def compression_settings(name: str) -> CompressionSettings | None:
    """Return the settings that one of `COMPRESSIONS` stands for."""
    if name not in COMPRESSIONS:
        raise SettingsError(
            f"compression {name!r} is unknown; choose one of {', '.join(COMPRESSIONS)}"
        )
    given = COMPRESSIONS[name]
    if given is None:
        return None
    compressor, codec, level, shuffle = given
    return CompressionSettings(compressor=compressor, codec=codec, level=level, shuffle=shuffle)


def _method(name: str | None) -> DownsamplingMethod | None:
    """Return the downsampling method of a name."""
    if name is None:
        return None
    try:
        return DownsamplingMethod[name.upper()]
    except KeyError:
        known = ", ".join(method.name.lower() for method in DownsamplingMethod)
        raise SettingsError(f"pyramid {name!r} is unknown; choose one of {known}") from None
