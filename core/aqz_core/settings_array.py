"""Settings of one array: its dimensions, pixels, compression and channels.

Field names and defaults are those of acquire-zarr 0.10.0, with a few fields of our own.
Types are checked at once; whether the values fit together is checked by `validation` when the
stream opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

from aqz_core import field_checks as check
from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.field_checks import UINT8_MAX, UINT32_MAX, checked
from aqz_core.settings_base import SettingsBase

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from aqz_core.codecs.base import NamedCompression

__all__ = ["ArraySettings", "Channel", "CompressionSettings", "Dimension"]

_SIZE = check.whole_number(0, UINT32_MAX)


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


@attrs.define(init=False, kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Dimension(SettingsBase):
    """One axis of an array, and how it is cut into chunks and shards.

    Parameters
    ----------
    name : str
        Name of the axis, unique in its array.
    kind : DimensionType, default SPACE
        What the axis counts. May also be given, read and set as ``type``.
    unit : str, optional
        For example ``"micrometer"`` or ``"second"``.
    scale : float, default 1.0
        Size of one pixel, or time between frames, in `unit`; 0 means 1.
    array_size_px : int, default 0
        Size in pixels; 0 means unlimited and is for the first of three or more axes.
    chunk_size_px : int
        Size of a chunk in pixels, at least 1.
    shard_size_chunks : int or None, default 1
        Size of a shard in chunks, at least 1; None on every axis of the array means one file
        for each chunk.
    origin : float, default 0.0
        Position of the first pixel, in `unit`; written as a translation (NGFF) if any axis of
        the image has one.

    Raises
    ------
    TypeError
        For a wrong type, an integer outside 0..2**32-1, or `kind` and `type` that differ.
    """

    name: str = attrs.field(default="", metadata=checked(check.text()))
    kind: DimensionType = attrs.field(
        default=DimensionType.SPACE, metadata=checked(check.member(DimensionType))
    )
    unit: str | None = attrs.field(default=None, metadata=checked(check.optional(check.text())))
    scale: float = attrs.field(default=1.0, metadata=checked(check.real_number()))
    array_size_px: int = attrs.field(default=0, metadata=checked(_SIZE))
    chunk_size_px: int = attrs.field(default=0, metadata=checked(_SIZE))
    shard_size_chunks: int | None = attrs.field(default=1, metadata=checked(check.optional(_SIZE)))
    origin: float = attrs.field(default=0.0, metadata=checked(check.real_number()))

    def __init__(
        self,
        *,
        name: str = "",
        kind: DimensionType | None = None,
        unit: str | None = None,
        scale: float = 1.0,
        array_size_px: int = 0,
        chunk_size_px: int = 0,
        shard_size_chunks: int | None = 1,
        origin: float = 0.0,
        type: DimensionType | None = None,
    ) -> None:
        if kind is not None and type is not None and kind != type:
            raise TypeError(
                f"Dimension: kind={kind} and its alias type={type} differ; give one of them"
            )
        given = type if kind is None else kind
        self.__attrs_init__(
            name=name,
            kind=DimensionType.SPACE if given is None else given,
            unit=unit,
            scale=scale,
            array_size_px=array_size_px,
            chunk_size_px=chunk_size_px,
            shard_size_chunks=shard_size_chunks,
            origin=origin,
        )

    @property
    def type(self) -> DimensionType:
        """Another name of `kind`."""
        return self.kind

    @type.setter
    def type(self, value: DimensionType) -> None:
        self.kind = value


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Channel(SettingsBase):
    """How viewers show a channel (NGFF ``omero`` metadata).

    Parameters
    ----------
    name : str
        Label of the channel.
    color : str, optional
        Six hexadecimal digits, red green blue: ``"00FF00"``; a ``#`` in front may be there.
    window : (start, end) or (min, max, start, end), optional
        Pixel values shown darkest and brightest, and the range to choose them from, which is
        that of the data type if left out.
    """

    name: str = attrs.field(default="", metadata=checked(check.text()))
    color: str | None = attrs.field(default=None, metadata=checked(check.optional(check.text())))
    window: tuple[float, ...] | None = attrs.field(
        default=None, metadata=checked(check.optional(check.display_window()))
    )


def _given_key(key: str | None) -> str:
    """Read a missing key as the root, which only the constructor does."""
    return "" if key is None else key


def _given_data_type(value: DataType | DTypeLike | None) -> DataType:
    """Read a missing data type as UINT8, which only the constructor does."""
    return cast("DataType", DataType.UINT8 if value is None else value)


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ArraySettings(SettingsBase):
    """One array, or one NGFF image with its pyramid.

    Parameters
    ----------
    output_key : str, default ""
        Path of the array in the store; empty is the root.
    compression : CompressionSettings or PluginCompression, optional
        Without it chunks are stored as they are.
    dimensions : list of Dimension
        Two to eight axes, slowest first; the last two are the rows and columns of a frame.
    data_type : DataType, default UINT8
        Anything that `DataType.of` takes, such as ``np.uint16``.
    downsampling_method : DownsamplingMethod, optional
        Record a pyramid as well, reduced in this way.
    max_levels : int, default 0
        Most levels the pyramid may have; 0 is no limit.
    storage_dimension_order : list of str or int
        Order of the axes on disk, as names or positions; empty is the order of `dimensions`.
    is_ngff : bool, default False
        Write an NGFF image. Reads as True while `downsampling_method` is set.
    fill_value : int, float or bool, default 0
        Value of pixels that were never written.
    channels : list of Channel
        Display settings, one for each channel; needs `is_ngff`.
    name : str, default ""
        What people call the image (NGFF ``name``), in any characters; empty is the last part of
        `output_key`.
    checksum : bool, default False
        Add a CRC-32C to every chunk (the Zarr V3 codec ``crc32c``), by which readers notice
        a bit that has changed. Not for Zarr V2.

    Raises
    ------
    TypeError
        For a wrong type.
    SettingsError
        For a data type that cannot be stored.

    Notes
    -----
    Lists are copied when they are given, their elements are not: a `Dimension` given to two
    arrays is shared by them.
    """

    output_key: str = attrs.field(default="", converter=_given_key, metadata=checked(check.text()))
    compression: CompressionSettings | NamedCompression | None = attrs.field(
        default=None,
        metadata=checked(
            check.optional(check.instance(CompressionSettings, or_having="codec_name"))
        ),
    )
    dimensions: list[Dimension] = attrs.field(
        factory=list, metadata=checked(check.list_of("Dimension", check.instance(Dimension)))
    )
    data_type: DataType = attrs.field(
        default=DataType.UINT8, converter=_given_data_type, metadata=checked(check.data_type())
    )
    downsampling_method: DownsamplingMethod | None = attrs.field(
        default=None, metadata=checked(check.optional(check.member(DownsamplingMethod)))
    )
    max_levels: int = attrs.field(default=0, metadata=checked(_SIZE))
    storage_dimension_order: list[str | int] = attrs.field(
        factory=list,
        metadata=checked(check.list_of("dimension names or positions", check.name_or_index())),
    )
    _is_ngff: bool = attrs.field(default=False, metadata=checked(check.flag()))
    fill_value: float = attrs.field(default=0, metadata=checked(check.pixel_value()))
    channels: list[Channel] = attrs.field(
        factory=list, metadata=checked(check.list_of("Channel", check.instance(Channel)))
    )
    checksum: bool = attrs.field(default=False, metadata=checked(check.flag()))
    name: str = attrs.field(default="", metadata=checked(check.text()))

    @property
    def is_ngff(self) -> bool:
        """Whether an NGFF image is written: asked for, or needed for the pyramid."""
        return self._is_ngff or self.downsampling_method is not None

    @is_ngff.setter
    def is_ngff(self, value: bool) -> None:
        self._is_ngff = value

    def ngff_problems(self) -> list[str]:
        """Say why the dimensions cannot be the axes of an NGFF image; empty if they can.

        An image with such axes is recorded all the same, and most readers refuse it: a plain
        array (``is_ngff=False``) is the honest choice then.

        Raises
        ------
        SettingsError
            `storage_dimension_order` makes no sense.
        """
        from aqz_core.metadata import Axis, ngff_problems
        from aqz_core.validation_array import storage_permutation

        stored = [self.dimensions[place] for place in storage_permutation(self)]
        return ngff_problems([Axis(d.name, d.kind, d.unit, d.scale) for d in stored])
