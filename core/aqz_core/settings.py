"""Everything a user says about a stream, in the vocabulary of acquire-zarr 0.10.0.

Settings are plain mutable objects: fields and lists can be changed until a stream is opened
with them. They compare by value, copy, pickle, and show in their repr what differs from the
defaults. A wrong type is a `TypeError` at once; values that do not fit together are found by
`validation` when the stream opens.

The classes for arrays are in `settings_array`, those for plates in `settings_plate`; all of
them can be imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from aqz_core import field_checks as check
from aqz_core.enums import ZarrVersion
from aqz_core.field_checks import UINT32_MAX, checked
from aqz_core.keys import normalise_key
from aqz_core.settings_array import ArraySettings, Channel, CompressionSettings, Dimension
from aqz_core.settings_base import SettingsBase
from aqz_core.settings_plate import Acquisition, FieldOfView, Plate, Well, fields_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = [
    "Acquisition",
    "ArraySettings",
    "Channel",
    "CompressionSettings",
    "Dimension",
    "FieldOfView",
    "Plate",
    "S3Settings",
    "StreamSettings",
    "Well",
]

_TEXT_OR_NONE = check.optional(check.text())


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class S3Settings(SettingsBase):
    """Where an S3 bucket is and how to log in.

    Parameters
    ----------
    endpoint : str
        URL of the service, for example ``"https://s3.us-east-1.amazonaws.com"``.
    bucket_name : str
        Bucket that holds the store.
    region : str, optional
        Region of the bucket.
    key, secret, token : str, optional
        Credentials; without them the usual chain is followed (environment, configuration
        files, role of the machine). They are left out of the repr and of error messages.
    profile : str, optional
        Section of the AWS configuration files to use.
    anon : bool, default False
        Send no credentials.
    addressing_style : {"auto", "path", "virtual"}
        Whether the bucket goes into the path or into the host name.
    verify : bool or str, default True
        Check the certificate of the service; a string is the path of a CA bundle.
    """

    endpoint: str = attrs.field(default="", metadata=checked(check.text()))
    bucket_name: str = attrs.field(default="", metadata=checked(check.text()))
    region: str | None = attrs.field(default=None, metadata=checked(_TEXT_OR_NONE))
    key: str | None = attrs.field(default=None, repr=False, metadata=checked(_TEXT_OR_NONE))
    secret: str | None = attrs.field(default=None, repr=False, metadata=checked(_TEXT_OR_NONE))
    token: str | None = attrs.field(default=None, repr=False, metadata=checked(_TEXT_OR_NONE))
    profile: str | None = attrs.field(default=None, metadata=checked(_TEXT_OR_NONE))
    anon: bool = attrs.field(default=False, metadata=checked(check.flag()))
    addressing_style: Literal["auto", "path", "virtual"] = attrs.field(
        default="auto", metadata=checked(check.text())
    )
    verify: bool | str = attrs.field(default=True, metadata=checked(check.text_or_flag()))


@attrs.define(init=False, kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
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
        Remove what is at `store_path` first.
    arrays : list of ArraySettings
        Arrays outside of plates.
    hcs_plates : list of Plate
        Plates. May also be given, read and set as ``plates``.
    max_memory : int, optional
        Budget for pixels in memory, in bytes; None takes a share of the machine's memory.
    durability : {"shard", "flush", "none"}
        When data are forced to the disk: with each finished shard, at ``flush()`` and
        ``close()``, or when the operating system likes.
    live : bool, default True
        Keep the store readable while it is recorded.
    stall_timeout : float, default 120.0
        Seconds without any progress of the storage after which the stream fails.

    Raises
    ------
    TypeError
        For a wrong type, or `hcs_plates` and `plates` that differ.

    Notes
    -----
    Lists are copied when they are given, their elements are not.
    """

    store_path: str = attrs.field(default="", metadata=checked(check.path_text()))
    s3: S3Settings | None = attrs.field(
        default=None, metadata=checked(check.optional(check.instance(S3Settings)))
    )
    version: ZarrVersion = attrs.field(
        default=ZarrVersion.V3, metadata=checked(check.member(ZarrVersion))
    )
    max_threads: int = attrs.field(default=0, metadata=checked(check.whole_number(0, UINT32_MAX)))
    overwrite: bool = attrs.field(default=False, metadata=checked(check.flag()))
    arrays: list[ArraySettings] = attrs.field(
        factory=list,
        metadata=checked(check.list_of("ArraySettings", check.instance(ArraySettings))),
    )
    hcs_plates: list[Plate] = attrs.field(
        factory=list, metadata=checked(check.list_of("Plate", check.instance(Plate)))
    )
    max_memory: int | None = attrs.field(
        default=None, metadata=checked(check.optional(check.whole_number()))
    )
    durability: Literal["shard", "flush", "none"] = attrs.field(
        default="shard", metadata=checked(check.text())
    )
    live: bool = attrs.field(default=True, metadata=checked(check.flag()))
    stall_timeout: float = attrs.field(default=120.0, metadata=checked(check.real_number()))

    def __init__(
        self,
        *,
        store_path: str | os.PathLike[str] = "",
        s3: S3Settings | None = None,
        version: ZarrVersion = ZarrVersion.V3,
        max_threads: int = 0,
        overwrite: bool = False,
        arrays: Iterable[ArraySettings] = (),
        hcs_plates: Iterable[Plate] = (),
        max_memory: int | None = None,
        durability: Literal["shard", "flush", "none"] = "shard",
        live: bool = True,
        stall_timeout: float = 120.0,
        plates: Iterable[Plate] | None = None,
    ) -> None:
        self.__attrs_init__(
            store_path=store_path,  # type: ignore[arg-type]  # these three become
            arrays=arrays,  # type: ignore[arg-type]          # what the field says
            hcs_plates=hcs_plates,  # type: ignore[arg-type]
            s3=s3,
            version=version,
            max_threads=max_threads,
            overwrite=overwrite,
            max_memory=max_memory,
            durability=durability,
            live=live,
            stall_timeout=stall_timeout,
        )
        if plates is not None:
            given = self.hcs_plates
            self.hcs_plates = plates  # type: ignore[assignment]  # becomes a list
            if given and given != self.hcs_plates:
                raise TypeError(
                    "StreamSettings: hcs_plates and its alias plates differ; give one of them"
                )

    @property
    def plates(self) -> list[Plate]:
        """Another name of `hcs_plates`."""
        return self.hcs_plates

    @plates.setter
    def plates(self, value: list[Plate]) -> None:
        self.hcs_plates = value

    def get_array_keys(self) -> list[str]:
        """List the keys that frames can be appended to.

        Returns
        -------
        list of str
            Normalised, in the order given: first `arrays`, then the fields of view of each
            plate as ``plate/row/column/field``.
        """
        flat = [normalise_key(array.output_key) for array in self.arrays]
        return flat + [key for plate in self.hcs_plates for key, _, _ in fields_of(plate)]
