"""One call that opens a stream, for those who do not want to fill in settings."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, TypeAlias

from aqz_core.codecs.base import NamedCompression
from aqz_core.enums import (
    DataType,
    DimensionType,
    DownsamplingMethod,
    ZarrVersion,
)
from aqz_core.errors import SettingsError, SettingsTypeError
from aqz_core.planning.suggestion import AXIS_KINDS, check_frame_axes, suggest_layout
from aqz_core.recording.progress import ProgressDisplay
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.checks import (
    UINT32_MAX,
    Check,
    argument,
    check_plugins,
    flag,
    list_of,
    optional,
    path_text,
    real_number,
    text,
    values_by_name,
    whole_number,
)
from aqz_core.settings.compression import (
    COMPRESSION_NAMES,
    CompressionName,
    CompressionSettings,
    compression_settings,
)
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path
from aqz_core.settings.plate import field_arrays
from aqz_core.settings.positions import images_at, plate_of
from aqz_core.settings.stream import StreamSettings
from aqz_core.storage.names import NODES
from aqz_core.stream import ZarrStream

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import DTypeLike

    from aqz_core.settings.array import PyramidZ
    from aqz_core.settings.positions import Positions, Wells
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.settings.stream import Durability

__all__ = ["open_stream"]

Method: TypeAlias = Literal["mean", "decimate", "min", "max"]

_METHODS = {method.name.lower(): method for method in DownsamplingMethod}


def _channel() -> Check:
    """Accept the name of a channel, or one with its colour."""

    def convert(value: object) -> Channel:
        if isinstance(value, Channel):
            return value
        return Channel(name=text().convert(value))

    return Check("a name or a Channel", convert)


_SIZES = list_of(f"integers from 0 to {UINT32_MAX}", whole_number(0, UINT32_MAX))
_STEPS = list_of(f"integers from 1 to {UINT32_MAX}", whole_number(1, UINT32_MAX))
_NAMES = list_of("strings", text())
_CHANNELS = list_of("names or Channels", _channel())


def open_stream(
    store_path: str | os.PathLike[str],
    *,
    shape: Sequence[int],
    dtype: DTypeLike | DataType,
    axes: str | Sequence[str] = "",
    storage_order: str | Sequence[str] = (),
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    compression: CompressionName | CompressionSettings | NamedCompression = "blosc-lz4",
    pyramid: Method | None = None,
    pyramid_z: PyramidZ = "finer",
    max_levels: int = 0,
    scale: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    channels: Sequence[str | Channel] = (),
    positions: Positions | None = None,
    plate: Wells | None = None,
    fill_value: float = 0,
    checksum: bool = False,
    version: ZarrVersion | Literal[2, 3] = ZarrVersion.V3,
    overwrite: bool = False,
    mode: Literal["new", "append"] = "new",
    durability: Durability = "shard",
    live: bool = True,
    stall_timeout: float = 120.0,
    keep_free: int = 0,
    max_memory: int | None = None,
    s3: S3Settings | None = None,
    spill: str | os.PathLike[str] | None = None,
    plugins: Iterable[object] = (),
    progress: bool = False,
) -> ZarrStream:
    """Open a stream that records an OME-Zarr image, or one for each of several positions.

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
    storage_order : str or sequence of str, optional
        Order of the axes in the store, where frames come in another one: NGFF wants time, then
        channel, then space, ``"tczyx"``, also of frames that come as ``axes="tzcyx"``.
    chunks, shards : sequence of int, optional
        Pixels of a chunk, and chunks of a shard, on each axis. Chosen for the data, and for an
        object store if `store_path` is the URL of one, when left out: see `suggest_layout`.
    compression : {"blosc-lz4", "blosc-zstd", "zstd", "gzip", "none", ...} or settings
        How chunks are compressed: one of `COMPRESSION_NAMES`, see `compression_settings`;
        `CompressionSettings` for another level, `PluginCompression` for the codec of a plug-in.
    pyramid : {None, "mean", "decimate", "min", "max"}
        Record smaller versions of the image as well: rows and columns are halved until they are
        no larger than a chunk.
    pyramid_z : {"finer", "never", "chunks"}
        Whether z is halved with them: where it is no coarser than x and y by `scale`; never; or,
        as acquire-zarr does, by itself, until a stack is no deeper than a chunk.
    max_levels : int, default 0
        Most smaller versions; 0 is no limit.
    scale : mapping of str to float, optional
        Pixel size, or time between frames, by axis name.
    units : mapping of str to str, optional
        Unit of `scale` by axis name: ``{"x": "micrometer", "t": "second"}``.
    channels : sequence of str or Channel, optional
        Names, or names and colours, for the axis c.
    positions : int or sequence of str, optional
        Record an image for each of several places: so many, with the keys ``"0"``, ``"1"``, ..., or
        with these names as keys. Without it, one image is at the root of the store, and needs no
        key.
    plate : sequence of str, mapping or Plate, optional
        Record the wells of a plate: their names, ``["A1", "B12"]``, with as many images in each as
        `positions` say; names with the number or the names of the images, ``{"A1": 4}``; or a
        `Plate`, of which the array settings are filled in. The keys are ``"plate/A/1/0"`` and so
        on: see `ZarrStream.array_keys`.
    fill_value : int, float or bool, default 0
        Value of pixels that are never written.
    checksum : bool, default False
        Add a checksum to every chunk, by which readers notice a bit that has changed.
    version : {3, 2}
        Zarr format.
    mode : {"new", "append"}
        With ``"append"``, resume the recording that is at `store_path`, a path or URL, if
        there is one, at its next frame: see `ZarrStream.resume`. It may be Zarr V2.
    overwrite : bool, default False
        Remove the recording at `store_path` first; refused if anything else is in it.
    durability : {"shard", "flush", "none"}
        When data are forced to the disk: with each finished shard, at ``flush()`` and
        ``close()``, or when the operating system likes.
    live : bool, default True
        Keep the store readable while it is recorded.
    stall_timeout : float, default 120.0
        Seconds without any progress of the storage after which the stream fails.
    keep_free : int, default 0
        Bytes of the disk that stay free: no more frames are taken when it comes to that.
    max_memory : int, optional
        Bound in bytes on the memory for pixels.
    s3 : S3Settings, optional
        How to reach a bucket, if the environment and the URL do not say all. With it, `store_path`
        may be a path in the bucket.
    spill : str or os.PathLike, optional
        Folder on this machine where the recording goes on when an object store fails.
    plugins : iterable of object
        As for `ZarrStream`.
    progress : bool, default False
        Show frames and rates while recording: in the output of a notebook cell, or on a terminal's
        standard error.

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
    if mode not in ("new", "append"):
        raise SettingsError(f"mode is {mode!r}; choose 'new' or 'append'")
    if mode == "append" and overwrite is True:
        raise SettingsError(
            "mode='append' continues the recording that overwrite=True would remove; give one of "
            "the two"
        )
    check_plugins(plugins)
    if argument("progress", flag(), progress):
        plugins = (*plugins, ProgressDisplay())
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
        compression=compression
        if isinstance(compression, CompressionSettings | NamedCompression)
        else compression_settings(
            argument("compression", text(), compression, _choices(COMPRESSION_NAMES)), data_type
        ),
        downsampling_method=_method(
            argument("pyramid", optional(text()), pyramid, _choices(_METHODS))
        ),
        pyramid_z=argument("pyramid_z", text(), pyramid_z),
        max_levels=max_levels,
        storage_dimension_order=_stored_order(storage_order, names),
        is_ngff=True,
        channels=labels,
        fill_value=fill_value,
        checksum=checksum,
    )
    settings = StreamSettings(
        store_path=store_path,
        version=version,
        overwrite=overwrite,
        durability=durability,
        live=live,
        stall_timeout=stall_timeout,
        keep_free=keep_free,
        max_memory=max_memory,
        s3=s3,
        spill=spill,
    )
    if plate is not None:
        settings.hcs_plates = [plate_of(plate, positions, array)]
    elif positions is not None:
        settings.arrays = images_at(positions, array)
        settings.bioformats2raw = True
    else:
        settings.arrays = [array]
    if mode == "append" and _is_there(settings):
        _list_fields(settings)
        return ZarrStream.resume(settings.store_path, settings, plugins)
    return ZarrStream(settings, plugins)


def _list_fields(settings: StreamSettings) -> None:
    """Make arrays of the fields of a plate: to resume they are arrays of the store like others."""
    for key, array in field_arrays(settings.hcs_plates):
        image = copy.copy(array)
        image.output_key = key
        settings.arrays.append(image)
    settings.hcs_plates = []


def _stored_order(order: object, names: list[str]) -> list[str | int]:
    """Return the names of the axes in the order of the store; none where it is that of arrival."""
    letters = list(order) if isinstance(order, str) else order
    stored = argument("storage_order", _NAMES, letters, "for example storage_order='tczyx'")
    if stored and sorted(stored) != sorted(names):
        raise SettingsError(f"storage_order {stored} must name each of the axes {names} once")
    return [] if stored == names else stored


def _choices(names: Iterable[str]) -> str:
    """Say what can be chosen."""
    return f"choose one of {', '.join(names)}"


def _names(axes: object, sizes: list[int]) -> list[str]:
    """Return the names of the axes: those given, or the usual ones."""
    if isinstance(axes, str):
        usual = "tyx" if len(sizes) == 3 else "tczyx"[-len(sizes) :]
        names = list(axes or usual)
    else:
        names = argument("axes", _NAMES, axes, "for example axes='tyx'")
        names = names or _names("", sizes)
    if len(names) != len(sizes) or len(sizes) < 2:
        raise SettingsError(
            f"shape {tuple(sizes)} and axes {names} must name the same axes, two at least; "
            "for example shape=(0, 512, 512), axes='tyx'"
        )
    check_frame_axes(names)
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
    """Return whether there is a recording to continue; the settings get its Zarr format."""
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
    if name not in _METHODS:
        raise SettingsError(f"pyramid {name!r} is unknown; {_choices(_METHODS)}")
    return _METHODS[name]
