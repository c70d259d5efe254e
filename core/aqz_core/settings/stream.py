"""Everything a user says about a stream, in the vocabulary of acquire-zarr 0.10.0.

Settings are plain mutable objects: fields and lists can be changed until a stream is opened
with them. They compare by value, copy, pickle, and show in their repr what differs from the
defaults. A wrong type is a `TypeError` at once; values that do not fit together are found by
`validation` when the stream opens.

The classes for arrays are in `array`, those for plates in `plate`; all of
them can be imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast

import attrs

from aqz_core.enums import ZarrVersion
from aqz_core.settings import checks as check
from aqz_core.settings import files
from aqz_core.settings.acquire_zarr import NEWEST, V0_5, AcquireZarrRules
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import UINT32_MAX, UINT64_MAX, checked, second_name
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.keys import normalise_key
from aqz_core.settings.paths import without_password
from aqz_core.settings.plate import Acquisition, FieldOfView, Plate, Well, field_arrays
from aqz_core.settings.s3 import S3Settings

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

__all__ = [
    "Acquisition",
    "ArraySettings",
    "Channel",
    "CompressionSettings",
    "Dimension",
    "Durability",
    "FieldOfView",
    "Plate",
    "StreamSettings",
    "Well",
]


Durability: TypeAlias = Literal["shard", "flush", "none"]
"""When data are forced to the disk."""

# What these take is what the constructor takes, for type checkers; the checks convert it.


def _given_path(path: str | os.PathLike[str]) -> str:
    """Take a path object as well."""
    return cast("str", path)


def _given_optional_path(path: str | os.PathLike[str] | None) -> str | None:
    """Take a path object as well."""
    return cast("str | None", path)


def _given_version(version: ZarrVersion | Literal[2, 3]) -> ZarrVersion:
    """Take the number as well."""
    return cast("ZarrVersion", version)


def _given_arrays(arrays: Iterable[ArraySettings]) -> list[ArraySettings]:
    """Take any collection."""
    return cast("list[ArraySettings]", arrays)


def _given_plates(plates: Iterable[Plate]) -> list[Plate]:
    """Take any collection."""
    return cast("list[Plate]", plates)


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class StreamSettings(SettingsBase):
    """A store, and the arrays to record into it.

    Parameters
    ----------
    store_path : str or os.PathLike
        Directory of the store, ``~`` and ``file://`` allowed; reads back as a string. Its
        parent directory must exist.
    s3 : S3Settings, optional
        Record into a bucket, below `store_path`.
    version : ZarrVersion, default V3
        Zarr format.
    max_threads : int, default 0
        Worker threads; 0 leaves it to the machine.
    overwrite : bool, default False
        Remove the recording at `store_path` first; refused if anything else is in it.
    arrays : list of ArraySettings
        Arrays outside of plates.
    hcs_plates : list of Plate
        Plates. May also be given, read and set as ``plates``.
    max_memory : int, optional
        Budget for pixels in memory, in bytes; None takes a share of the machine's memory.
    durability : {"shard", "flush", "none"}
        When data are forced to the disk: with each finished shard, at ``flush()`` and
        ``close()``, or when the operating system likes.
    flush_seconds : float, optional
        Frames are flushed before they are older than this, so that a sudden end loses no others.
        None means 10 s for object stores, and no such flush on a disk, where frames are stored
        with every chunk; 0 means none anywhere.
    live : bool, default True
        Keep the store readable while it is recorded.
    stall_timeout : float, default 120.0
        Seconds without any progress of the storage after which the stream fails.
    keep_free : int, default 0
        Bytes of the store's disk that stay free: with fewer no frame is taken any more
        (`StorageError`), and those taken before are stored.
    spill : str or os.PathLike, optional
        Folder on this machine where the recording goes on when an object store fails;
        ``aqz upload`` sends it later. It is made when the stream opens, and removed when the
        store never failed.
    bioformats2raw : bool, default False
        List the images of `arrays`, in order, for readers that open a store with several images
        (NGFF "bioformats2raw.layout").

    Raises
    ------
    TypeError
        For a wrong type, or `hcs_plates` and `plates` that differ.

    Notes
    -----
    Lists are copied when they are given, their elements are not.
    """

    newest_rules: ClassVar[AcquireZarrRules] = NEWEST

    store_path: str = attrs.field(
        default="",
        converter=_given_path,
        repr=lambda url: repr(without_password(url)),
        metadata=checked(check.path_text(), required=True, written=without_password),
    )
    s3: S3Settings | None = attrs.field(
        default=None, metadata=checked(check.optional(check.instance(S3Settings)))
    )
    version: ZarrVersion = attrs.field(
        default=ZarrVersion.V3,
        converter=_given_version,
        metadata=checked(check.member(ZarrVersion), key="zarr_version"),
    )
    max_threads: int = attrs.field(
        default=0, metadata=checked(check.whole_number(0, UINT32_MAX), always=True)
    )
    overwrite: bool = attrs.field(default=False, metadata=checked(check.flag(), always=True))
    arrays: list[ArraySettings] = attrs.field(
        factory=list,
        converter=_given_arrays,
        metadata=checked(check.list_of("ArraySettings", check.instance(ArraySettings))),
    )
    hcs_plates: list[Plate] = attrs.field(
        factory=list,
        converter=_given_plates,
        metadata=checked(check.list_of("Plate", check.instance(Plate)), key="plates"),
    )
    max_memory: int | None = attrs.field(
        default=None, metadata=checked(check.optional(check.whole_number()))
    )
    durability: Durability = attrs.field(default="shard", metadata=checked(check.text()))
    flush_seconds: float | None = attrs.field(
        default=None, metadata=checked(check.optional(check.real_number()))
    )
    live: bool = attrs.field(default=True, metadata=checked(check.flag()))
    stall_timeout: float = attrs.field(default=120.0, metadata=checked(check.real_number()))
    keep_free: int = attrs.field(default=0, metadata=checked(check.whole_number(0, UINT64_MAX)))
    spill: str | None = attrs.field(
        default=None,
        converter=_given_optional_path,
        metadata=checked(check.optional(check.path_text())),
    )
    bioformats2raw: bool = attrs.field(default=False, metadata=checked(check.flag()))
    _plates: Iterable[Plate] | None = attrs.field(
        default=None, alias="plates", metadata=second_name("hcs_plates")
    )

    @property
    def rules(self) -> AcquireZarrRules:
        """What the settings mean where the versions of acquire-zarr contradict each other."""
        return V0_5 if self.version is ZarrVersion.V2 else self.newest_rules

    @property
    def plates(self) -> list[Plate]:
        """Another name of `hcs_plates`."""
        return self.hcs_plates

    @plates.setter
    def plates(self, value: list[Plate]) -> None:
        self.hcs_plates = value

    @staticmethod
    def from_file(path: str | os.PathLike[str]) -> StreamSettings:
        """Read settings from a YAML or JSON file; see `aqz_core.settings.files`.

        Parameters
        ----------
        path : str or os.PathLike
            Written by `to_file`, by acquire-zarr 0.10.0, or by hand.

        Raises
        ------
        SettingsError
            It does not describe a stream; the message names file, line, field and value.
        StorageError
            The file cannot be read.
        """
        return files.from_file(StreamSettings, path)

    @staticmethod
    def from_string(text: str) -> StreamSettings:
        """Read settings from YAML or JSON text; errors as for `from_file`."""
        return files.from_string(StreamSettings, text)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> StreamSettings:
        """Read settings from plain JSON values; errors as for `from_file`."""
        return files.from_dict(StreamSettings, document)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, without secrets."""
        return files.to_dict(self)

    def to_json(self) -> str:
        """Return the settings as JSON text, without secrets."""
        return files.to_json(self)

    def to_yaml(self) -> str:
        """Return the settings as YAML text, without secrets."""
        return files.to_yaml(self)

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the settings to a file, without secrets.

        Parameters
        ----------
        path : str or os.PathLike
            JSON if it ends with ``.json``, YAML otherwise.
        """
        files.to_file(self, path)

    def get_maximum_memory_usage(self) -> int:
        """Return the most bytes that a stream with these settings takes for pixels.

        Raises
        ------
        SettingsError
            The settings cannot be recorded, or not within ``max_memory``.
        """
        from aqz_core.planning.stream import plan_stream
        from aqz_core.plugins import create_plugin_manager
        from aqz_core.settings.validation.stream import check_arrays, check_resources

        check_resources(self)
        check_arrays(self)
        plan = plan_stream(self, create_plugin_manager())
        return plan.memory.total

    def get_array_keys(self) -> list[str]:
        """List the keys that frames can be appended to.

        Returns
        -------
        list of str
            Normalised, in the order given: first `arrays`, then the fields of view of each
            plate as ``plate/row/column/field``.
        """
        flat = [normalise_key(array.output_key) for array in self.arrays]
        return flat + [key for key, _ in field_arrays(self.hcs_plates)]
