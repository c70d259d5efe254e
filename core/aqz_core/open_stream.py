"""One call that opens a stream, for those who do not want to fill in settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aqz_core.enums import (
    DataType,
    DimensionType,
    DownsamplingMethod,
    ZarrVersion,
)
from aqz_core.errors import SettingsError, SettingsTypeError
from aqz_core.planning.suggestion import AXIS_KINDS, suggest_layout
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.checks import (
    UINT32_MAX,
    Check,
    argument,
    check_plugins,
    list_of,
    optional,
    path_text,
    real_number,
    text,
    values_by_name,
    whole_number,
)
from aqz_core.settings.compression import COMPRESSION_NAMES, compression_settings
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.storage.names import NODES
from aqz_core.stream import ZarrStream

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import DTypeLike

    from aqz_core.settings.s3 import S3Settings

__all__ = ["open_stream"]


def _channel() -> Check:
    """Accept the name of a channel, or one with its colour."""

    def convert(value: object) -> Channel:
        if isinstance(value, Channel):
            return value
        return Channel(name=text().convert(value))

    return Check("a name or a Channel", convert)


_SIZES = list_of(f"integers from 0 to {UINT32_MAX}", whole_number(0, UINT32_MAX))
_STEPS = list_of(f"integers from 1 to {UINT32_MAX}", whole_number(1, UINT32_MAX))
_CHANNELS = list_of("names or Channels", _channel())


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
    s3: S3Settings | None = None,
    spill: str | os.PathLike[str] | None = None,
    plugins: Iterable[object] = (),
) -> ZarrStream:
    """Open a stream that records one OME-Zarr image at the root of a store.

    Parameters
    ----------
    store_path : str or os.PathLike
        Where the store goes: a path, whose parent directory must exist, or a URL.
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
        there is one, at its next frame: see `ZarrStream.resume`. It may be Zarr V2.
    overwrite : bool, default False
        Remove the store at `store_path` first; a directory without Zarr metadata is refused.
    max_memory : int, optional
        Bound in bytes on the memory for pixels.
    s3 : S3Settings, optional
        How to reach a bucket, if the environment and the URL do not say all. With it, `store_path`
        may be a path in the bucket.
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
        The arguments do not fit together; `SettingsTypeError` if one is of the wrong type.
    StoreExistsError
        There is an array already, and `overwrite` is not set.

    Examples
    --------
    >>> with open_stream("out.zarr", shape=(0, 512, 512), dtype="uint16") as stream:
    ...     stream.append(frame)  # doctest: +SKIP
    """
    store_path = argument("store_path", path_text(), store_path, 'for example "out.zarr"')
    sizes: list[int] = argument("shape", _SIZES, shape, "for example shape=(0, 512, 512)")
    names = _names(axes, sizes)
    try:
        data_type = DataType.of(dtype)
    except TypeError as error:
        raise SettingsTypeError(f"dtype: {error}") from error
    chunk = _per_axis("chunks", chunks, names)
    shard = _per_axis("shards", shards, names)
    if chunk is None or shard is None:
        target = "recording" if is_local(store_path, s3) else "object-store"
        layout = suggest_layout(
            sizes,
            data_type,
            names,
            target=target,
            chunk_shape=chunk,
            pyramid=pyramid is not None,
        )
        chunk = list(layout.chunk_shape)
        shard = list(layout.shard_chunks) if shard is None else shard
    scales = values_by_name("scale", real_number(), scale, 'for example scale={"x": 0.65}')
    unit_names = values_by_name("units", text(), units, 'for example units={"x": "micrometer"}')
    for what, values in (("scale", scales), ("units", unit_names)):
        if unknown := sorted(set(values) - set(names)):
            raise SettingsError(f"{what} names the axis {unknown[0]!r}; the axes are {names}")
    labels = argument("channels", _CHANNELS, channels, 'for example channels=["DAPI", "GFP"]')
    known = f"choose one of {', '.join(COMPRESSION_NAMES)}"
    compression = argument("compression", text(), compression, known)
    known = f"choose one of {', '.join(one.name.lower() for one in DownsamplingMethod)}"
    pyramid = argument("pyramid", optional(text()), pyramid, known)
    check_plugins(plugins)
    array = ArraySettings(
        dimensions=[
            Dimension(
                name=name,
                kind=AXIS_KINDS.get(name, DimensionType.OTHER),
                unit=unit_names.get(name),
                scale=scales.get(name, 1.0),
                array_size_px=size,
                chunk_size_px=pixels,
                shard_size_chunks=count,
            )
            for name, size, pixels, count in zip(names, sizes, chunk, shard, strict=True)
        ],
        data_type=data_type,
        compression=compression_settings(compression, data_type),
        downsampling_method=_method(pyramid),
        is_ngff=True,
        channels=labels,
    )
    settings = StreamSettings(
        store_path=store_path,
        arrays=[array],
        overwrite=overwrite,
        max_memory=max_memory,
        s3=s3,
        spill=spill,
    )
    if mode not in ("new", "append"):
        raise SettingsError(f"mode is {mode!r}; choose 'new' or 'append'")
    if mode == "append" and not overwrite and _is_there(settings):
        return ZarrStream.resume(settings.store_path, settings, plugins)
    return ZarrStream(settings, plugins)


def _names(axes: object, sizes: list[int]) -> list[str]:
    """Return the names of the axes: those given, or the usual ones."""
    if isinstance(axes, str):
        usual = "tyx" if len(sizes) == 3 else "tczyx"[-len(sizes) :]
        names = list(axes or usual)
    else:
        names = argument("axes", list_of("strings", text()), axes, "for example axes='tyx'")
        names = names or _names("", sizes)
    if len(names) != len(sizes) or len(sizes) < 2:
        raise SettingsError(
            f"shape {tuple(sizes)} and axes {names} must name the same axes, two at least; "
            "for example shape=(0, 512, 512), axes='tyx'"
        )
    return names


def _per_axis(what: str, sizes: object, names: list[str]) -> list[int] | None:
    """Return the sizes that were given, one for each axis; None where they are to be chosen."""
    if sizes is None:
        return None
    checked: list[int] = argument(
        what, _STEPS, sizes, f"give one for each of {names}, or leave {what} out"
    )
    if len(checked) != len(names):
        raise SettingsError(f"{what} {tuple(checked)} must have one size for each of {names}")
    return checked


def _is_there(settings: StreamSettings) -> bool:
    """Tell whether there is something to go on with where settings say; take its Zarr format."""
    from aqz_core.reading.files import open_files

    files = open_files(settings.store_path, settings.s3)
    try:
        found = [name for name in NODES if files.size(name) is not None]
    finally:
        files.close()
    if found and "zarr.json" not in found:
        settings.version = ZarrVersion.V2
    if is_local(settings.store_path, settings.s3):
        return local_path(settings.store_path).exists()
    return bool(found)


def _method(name: str | None) -> DownsamplingMethod | None:
    """Return the downsampling method of a name."""
    if name is None:
        return None
    try:
        return DownsamplingMethod[name.upper()]
    except KeyError:
        known = ", ".join(method.name.lower() for method in DownsamplingMethod)
        raise SettingsError(f"pyramid {name!r} is unknown; choose one of {known}") from None
