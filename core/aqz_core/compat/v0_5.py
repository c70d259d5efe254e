"""acquire-zarr 0.5.1: ``import aqz_core.compat.v0_5 as aqz``.

A thin layer: settings with the fields, defaults and numbers of that release are turned into those
of `aqz_core`, and the engine records them by its rules of that time
(`aqz_core.settings.acquire_zarr`):

- Zarr V2 is the default version;
- an array with an empty key is an NGFF image, in V3 as well;
- chunks of a pyramid level are no larger than the level;
- custom metadata go into ``acquire.json``;
- an array has three dimensions at least.

Faults of that release are not reproduced: see ``docs/from-acquire-zarr.md``.
"""

from __future__ import annotations

import enum
import logging
import os
from typing import TYPE_CHECKING, Any

import attrs

import aqz_core
from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    LogLevel,
    ZarrVersion,
)
from aqz_core.errors import MetadataError, SettingsError
from aqz_core.log_level import get_log_level, set_log_level
from aqz_core.metadata import parse_custom_metadata
from aqz_core.settings import checks as check
from aqz_core.settings.acquire_zarr import V0_5
from aqz_core.settings.array import Dimension
from aqz_core.settings.base import SettingsBase, recheck
from aqz_core.settings.checks import UINT32_MAX, checked
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.s3 import S3Settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar

    from aqz_core.settings.acquire_zarr import AcquireZarrRules

__all__ = [
    "ArraySettings",
    "CompressionCodec",
    "CompressionSettings",
    "Compressor",
    "DataType",
    "Dimension",
    "DimensionType",
    "DownsamplingMethod",
    "LogLevel",
    "S3Settings",
    "StreamSettings",
    "ZarrStream",
    "ZarrVersion",
    "get_log_level",
    "set_log_level",
]

_log = logging.getLogger("aqz")

_MIN_DIMENSIONS = 3


class DownsamplingMethod(enum.IntEnum):
    """How pixels are reduced to those of the next pyramid level; counted from 0 here."""

    DECIMATE = 0
    MEAN = 1
    MIN = 2
    MAX = 3

    @property
    def newest(self) -> aqz_core.DownsamplingMethod:
        """The same method in `aqz_core`, where it has another number."""
        return aqz_core.DownsamplingMethod[self.name]


def _given_key(key: str | None) -> str:
    """Read a missing key as the root."""
    return "" if key is None else key


def _given_data_type(value: Any) -> Any:
    """Read a missing data type as UINT8."""
    return DataType.UINT8 if value is None else value


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ArraySettings(SettingsBase):
    """One array.

    Parameters
    ----------
    output_key : str, default ""
        Path of the array in the store; empty is the root, where it becomes an NGFF image.
    compression : CompressionSettings, optional
        Without it chunks are stored as they are.
    dimensions : list of Dimension
        Three or more axes, slowest first; the last two are the rows and columns of a frame.
    data_type : DataType, default UINT8
        Anything that `DataType.of` takes.
    downsampling_method : DownsamplingMethod, optional
        Record a pyramid as well, which makes the array an NGFF image.
    """

    output_key: str = attrs.field(default="", converter=_given_key, metadata=checked(check.text()))
    compression: CompressionSettings | None = attrs.field(
        default=None, metadata=checked(check.optional(check.instance(CompressionSettings)))
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

    def newest(self) -> aqz_core.ArraySettings:
        """Return the same settings in the vocabulary of `aqz_core`."""
        method = self.downsampling_method
        return aqz_core.ArraySettings(
            output_key=self.output_key,
            compression=self.compression,
            dimensions=self.dimensions,
            data_type=self.data_type,
            downsampling_method=None if method is None else method.newest,
        )


def _hardware_threads() -> int:
    """Return how many threads run at once on this machine."""
    return os.cpu_count() or 1


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class StreamSettings(SettingsBase):
    """A store, and the arrays to record into it.

    Parameters
    ----------
    store_path : str or os.PathLike
        Directory of the store.
    s3 : S3Settings, optional
        Record into a bucket, below `store_path`.
    version : ZarrVersion, default V2
        Zarr format.
    max_threads : int
        Worker threads; by default as many as the machine runs at once.
    overwrite : bool, default False
        Remove what is at `store_path` first.
    arrays : list of ArraySettings
        At least one.
    custom_metadata : str, optional
        JSON text that is stored in ``acquire.json`` when the stream opens. 0.5.1 took the
        attribute and did nothing with it.
    """

    store_path: str = attrs.field(default="", metadata=checked(check.path_text()))
    s3: S3Settings | None = attrs.field(
        default=None, metadata=checked(check.optional(check.instance(S3Settings)))
    )
    version: ZarrVersion = attrs.field(
        default=ZarrVersion.V2, metadata=checked(check.member(ZarrVersion))
    )
    max_threads: int = attrs.field(
        factory=_hardware_threads, metadata=checked(check.whole_number(0, UINT32_MAX))
    )
    overwrite: bool = attrs.field(default=False, metadata=checked(check.flag()))
    arrays: list[ArraySettings] = attrs.field(
        factory=list,
        metadata=checked(check.list_of("ArraySettings", check.instance(ArraySettings))),
    )
    custom_metadata: str | None = attrs.field(
        default=None, metadata=checked(check.optional(check.text()))
    )

    def newest(self) -> aqz_core.StreamSettings:
        """Return the same settings in the vocabulary of `aqz_core`, to be read by our rules.

        Raises
        ------
        SettingsError
            An array has fewer than three dimensions.
        """
        for position, array in enumerate(self.arrays):
            rank = len(array.dimensions)
            if rank < _MIN_DIMENSIONS:
                raise SettingsError(
                    f"arrays[{position}] {array.output_key!r}: {rank} dimensions given; an array "
                    f"has at least {_MIN_DIMENSIONS} in acquire-zarr 0.5. Single images can be "
                    "recorded with aqz_core itself."
                )
        return _NewestSettings(
            store_path=self.store_path,
            s3=self.s3,
            version=self.version,
            max_threads=self.max_threads,
            overwrite=self.overwrite,
            arrays=[array.newest() for array in self.arrays],
        )


class _NewestSettings(aqz_core.StreamSettings):
    """Settings of `aqz_core` that mean what they meant in 0.5.1."""

    newest_rules: ClassVar[AcquireZarrRules] = V0_5


class ZarrStream(aqz_core.ZarrStream):
    """Records frames into a Zarr store.

    Parameters
    ----------
    settings : StreamSettings
        Of this module. They are copied.
    plugins : iterable of object
        As for `aqz_core.ZarrStream`, whose other methods this class has as well.
    """

    def __init__(self, settings: StreamSettings, plugins: Iterable[object] = ()) -> None:
        if not isinstance(settings, StreamSettings):
            raise TypeError(
                "ZarrStream takes the StreamSettings of aqz_core.compat.v0_5, not "
                f"{type(settings).__module__}.{type(settings).__qualname__}"
            )
        recheck(settings)
        super().__init__(settings.newest(), plugins)
        self._replaceable = False
        if settings.custom_metadata is not None:
            try:
                self._session.write_acquire_json(settings.custom_metadata, overwrite=True)
            except BaseException:
                self.close()
                raise
            self._replaceable = True  # by the first call: in 0.5.1 there is nothing to replace

    def write_custom_metadata(  # type: ignore[override]  # the two forms were never compatible
        self, custom_metadata: str, overwrite: bool = False
    ) -> bool:
        """Store JSON text as the metadata of the whole store, in ``acquire.json``.

        Parameters
        ----------
        custom_metadata : str
            JSON text, where comments are allowed.
        overwrite : bool, default False
            Replace what an earlier call stored.

        Returns
        -------
        bool
            False if an earlier call stored some, and `overwrite` is not set; the log says so.
            Other failures raise.

        Raises
        ------
        TypeError
            An argument has the wrong type.
        MetadataError
            It is not JSON.
        """
        given: tuple[object, object] = (custom_metadata, overwrite)
        if not isinstance(given[0], str) or not isinstance(given[1], bool):
            kinds = ", ".join(type(one).__name__ for one in given)
            raise TypeError(
                "write_custom_metadata takes (custom_metadata: str, overwrite: bool), "
                f"got ({kinds})"
            )
        parse_custom_metadata(custom_metadata, "value", reserved=())
        try:
            self._session.write_acquire_json(
                custom_metadata, overwrite=overwrite or self._replaceable
            )
        except MetadataError as error:
            _log.error("write_custom_metadata: %s", error)
            return False
        self._replaceable = False
        return True
