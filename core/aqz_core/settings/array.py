"""Settings of one array: its dimensions, pixels, compression and channels.

Field names and defaults are those of acquire-zarr 0.10.0, with a few fields of our own.
Types are checked at once; whether the values fit together is checked by `validation` when the
stream opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import attrs

from aqz_core.enums import (
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.errors import SettingsError, SettingsTypeError
from aqz_core.settings import checks as check
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import UINT32_MAX, checked, second_name
from aqz_core.settings.compression import CompressionSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import DTypeLike

    from aqz_core.codecs.base import NamedCompression

__all__ = ["ArraySettings", "Channel", "Dimension", "PyramidZ", "storage_permutation"]

PyramidZ: TypeAlias = Literal["chunks", "finer", "never"]
"""When z is halved with rows and columns."""

_SIZE = check.whole_number(0, UINT32_MAX)

# What these take is what the constructors take, for type checkers; the checks make lists of it.


def _given_kind(kind: DimensionType | None) -> DimensionType:
    """Read a missing kind as SPACE, which only the constructor does."""
    return DimensionType.SPACE if kind is None else kind


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
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

    name: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    kind: DimensionType = attrs.field(
        default=DimensionType.SPACE,
        converter=_given_kind,
        metadata=checked(check.member(DimensionType), key="type", required=True),
    )
    unit: str | None = attrs.field(
        default=None, metadata=checked(check.optional(check.text()), always=True, absent="")
    )
    scale: float = attrs.field(default=1.0, metadata=checked(check.real_number(), always=True))
    array_size_px: int = attrs.field(default=0, metadata=checked(_SIZE, required=True))
    chunk_size_px: int = attrs.field(default=0, metadata=checked(_SIZE, required=True))
    shard_size_chunks: int | None = attrs.field(
        default=1, metadata=checked(check.optional(_SIZE), always=True, absent="none")
    )
    origin: float = attrs.field(default=0.0, metadata=checked(check.real_number()))
    _type: DimensionType | None = attrs.field(
        default=None, alias="type", metadata=second_name("kind")
    )

    @property
    def type(self) -> DimensionType:
        """Another name of `kind`."""
        return self.kind

    @type.setter
    def type(self, value: DimensionType) -> None:
        self.kind = value


def _given_window(window: Sequence[float] | None) -> tuple[float, ...] | None:
    """Take any two or four numbers."""
    return cast("tuple[float, ...] | None", window)


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Channel(SettingsBase):
    """How viewers show a channel (NGFF ``omero`` metadata).

    Parameters
    ----------
    name : str
        Label of the channel.
    color : str, optional
        Six hexadecimal digits, red green blue: ``"00FF00"``; a ``#`` in front may be there. Left
        out, it is the one that people expect by the name (``"DAPI"`` is blue), or one that no
        other channel has.
    window : (start, end) or (min, max, start, end), optional
        Pixel values shown darkest and brightest, and the range to choose them from, which is
        that of the data type if left out.
    """

    name: str = attrs.field(default="", metadata=checked(check.text(), always=True))
    color: str | None = attrs.field(default=None, metadata=checked(check.optional(check.text())))
    window: tuple[float, ...] | None = attrs.field(
        default=None,
        converter=_given_window,
        metadata=checked(check.optional(check.display_window())),
    )


def _given_key(key: str | None) -> str:
    """Read a missing key as the root, which only the constructor does."""
    return "" if key is None else key


def _given_dimensions(dimensions: Iterable[Dimension]) -> list[Dimension]:
    """Take any collection."""
    return cast("list[Dimension]", dimensions)


def _given_channels(channels: Iterable[Channel]) -> list[Channel]:
    """Take any collection."""
    return cast("list[Channel]", channels)


def _given_order(order: Iterable[str | int] | None) -> list[str | int]:
    """Read a missing order as that of the dimensions, which only the constructor does."""
    return cast("list[str | int]", () if order is None else order)


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
    pyramid_z : {"chunks", "finer", "never"}
        When z, a space axis in front of the rows, is halved: by itself, while it is larger than
        its chunk, as acquire-zarr does; together with rows and columns where its pixels are no
        larger than theirs, by `scale` and `unit`; or never.
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
        factory=list,
        converter=_given_dimensions,
        metadata=checked(check.list_of("Dimension", check.instance(Dimension)), required=True),
    )
    data_type: DataType = attrs.field(
        default=DataType.UINT8,
        converter=_given_data_type,
        metadata=checked(check.data_type(), required=True),
    )
    downsampling_method: DownsamplingMethod | None = attrs.field(
        default=None,
        metadata=checked(
            check.optional(check.member(DownsamplingMethod)), always=True, absent="none"
        ),
    )
    max_levels: int = attrs.field(default=0, metadata=checked(_SIZE))
    pyramid_z: PyramidZ = attrs.field(default="chunks", metadata=checked(check.text()))
    storage_dimension_order: list[str | int] = attrs.field(
        factory=list,
        converter=_given_order,
        metadata=checked(check.list_of("dimension names or positions", check.name_or_index())),
    )
    _is_ngff: bool = attrs.field(
        default=False, alias="is_ngff", metadata=checked(check.flag(), always=True)
    )
    fill_value: float = attrs.field(default=0, metadata=checked(check.pixel_value()))
    channels: list[Channel] = attrs.field(
        factory=list,
        converter=_given_channels,
        metadata=checked(check.list_of("Channel", check.instance(Channel))),
    )
    checksum: bool = attrs.field(default=False, metadata=checked(check.flag()))
    name: str = attrs.field(default="", metadata=checked(check.text()))

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None:
            """Assign a setting; refuse an order of the axes at once, as acquire-zarr does."""
            before = getattr(self, name, None) if name == "storage_dimension_order" else None
            SettingsBase.__setattr__(self, name, value)
            if name == "storage_dimension_order":
                try:
                    _check_order(self)
                except SettingsTypeError:
                    object.__setattr__(self, name, before or [])
                    raise

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

        stored = [self.dimensions[place] for place in storage_permutation(self)]
        return ngff_problems([Axis(d.name, d.kind, d.unit, d.scale) for d in stored])


def _check_order(array: ArraySettings) -> None:
    """Raise `SettingsTypeError` for an order that moves an axis which cannot move.

    The messages begin as those of acquire-zarr. Everything else about the order is checked when
    the stream opens.
    """
    order, dimensions = array.storage_dimension_order, array.dimensions
    if not order or len(dimensions) < 2:
        return
    names = [dimension.name for dimension in dimensions]
    stored = [
        names[item] if isinstance(item, int) and item < len(names) else item for item in order
    ]
    if stored[0] != names[0] and dimensions[0].array_size_px == 0:
        raise SettingsTypeError(
            f"Transposing dimension 0 ({names[0]!r}) away from position 0 is not currently "
            f"supported while it is unlimited. storage_dimension_order {order} must start with "
            f"{names[0]!r}; or give the dimension an array_size_px before the order"
        )
    if len(stored) == len(names) and set(stored[-2:]) != set(names[-2:]) <= set(stored):
        raise SettingsTypeError(
            f"The last two dimensions in acquisition order ({names[-2]!r}, {names[-1]!r}) must "
            f"remain in the last two positions in storage_dimension_order, not {order}: it must "
            f"end with {names[-2]!r} and {names[-1]!r}, in either order"
        )


def storage_permutation(array: ArraySettings, where: str = "ArraySettings") -> tuple[int, ...]:
    """Work out the order of the axes on disk.

    Parameters
    ----------
    array : ArraySettings
        Its `storage_dimension_order` may be empty.
    where : str
        Start of the message.

    Returns
    -------
    tuple of int
        For each axis on disk, its position in `dimensions`.

    Raises
    ------
    SettingsError
        If the order does not name every dimension once, moves rows or columns away from the
        end, or moves an unlimited dimension away from the front.
    """
    names = [dimension.name for dimension in array.dimensions]
    rank = len(names)
    order = array.storage_dimension_order
    if not order:
        return tuple(range(rank))
    where = f"{where}: storage_dimension_order {order}"
    positions = tuple(_position(item, names, where) for item in order)
    if sorted(positions) != list(range(rank)):
        raise SettingsError(f"{where} must name each of the dimensions {names} once")
    if set(positions[-2:]) != {rank - 2, rank - 1}:
        raise SettingsError(
            f"{where} must end with {names[-2]!r} and {names[-1]!r}, in either order"
        )
    if array.dimensions[0].array_size_px == 0 and positions[0] != 0:
        raise SettingsError(
            f"{where} must start with {names[0]!r}, which is unlimited; or give it an array_size_px"
        )
    return positions


def _position(item: str | int, names: list[str], where: str) -> int:
    """Find a dimension by name or position."""
    if isinstance(item, str):
        if item not in names:
            raise SettingsError(f"{where}: there is no dimension {item!r}, only {names}")
        return names.index(item)
    if not 0 <= item < len(names):
        raise SettingsError(f"{where}: position {item} is not in 0..{len(names) - 1}")
    return item
