"""What the user can choose, each part as a dataclass that makes its own form.

magicgui makes fields, tips and events from these definitions; the memory of the settings, presets
and Reset go through them too. `RecordingPlan` is made of what they say. No Qt: a form is made
when ``gui`` of an instance is asked for.
"""

# No postponed annotations here: magicgui reads them as they are.

from dataclasses import asdict, fields
from typing import Annotated, Any, ClassVar

from magicgui.experimental import guiclass

import aqz_core as aqz
from aqz_napari.form.destination import is_remote
from aqz_napari.form.place_edit import PlaceEdit
from aqz_napari.form.recording_plan import CODECS, PYRAMIDS, StoragePlan
from aqz_napari.recorder.recorder_status import StopRule
from aqz_napari.recorder.take_rule import TakeRule
from aqz_napari.sources.layer_source import CAPTURES, UPDATES

__all__ = [
    "Capture",
    "Choices",
    "Place",
    "Stop",
    "Storage",
    "Take",
    "View",
    "choose",
    "chosen",
    "reset",
]

_SHUFFLES = [("no shuffle", 0), ("shuffle bytes", 1), ("shuffle bits", 2)]
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@guiclass
class Place:
    """Where a recording goes."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    folder: Annotated[
        str,
        {
            "widget_type": PlaceEdit,
            "mode": "d",
            "label": "Folder",
            "tooltip": "Folder of this machine, or a URL such as s3://bucket/runs",
        },
    ] = "~"
    name: Annotated[
        str,
        {
            "label": "Name",
            "tooltip": "{layer} {date} {time} and {n:03} are filled in. If a name is taken, the "
            "next free number is added: nothing is ever replaced.",
        },
    ] = "{layer}_{date}_{n:03}"

    @property
    def destination(self) -> str:
        """Folder and name as one path or URL, ending like a Zarr store."""
        name = self.name.strip().strip("/")
        if not name or not self.folder.strip():
            return ""
        name = name if name.endswith(".zarr") else f"{name}.ome.zarr"
        return f"{self.folder.strip().rstrip('/')}/{name}"

    @destination.setter
    def destination(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        self.folder = folder or ("/" if path.startswith("/") else ".")
        self.name = name.removesuffix(".ome.zarr")

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return is_remote(self.folder.strip())


@guiclass
class Remote:
    """How to reach an object store, and what happens when it fails."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    endpoint: Annotated[
        str,
        {
            "label": "Service",
            "tooltip": "URL of the S3 service, for example http://minio.lab:9000; empty for AWS. "
            "Credentials come from the environment or the AWS configuration files.",
        },
    ] = ""
    spill: Annotated[
        bool,
        {
            "label": "Keep safe",
            "tooltip": "When the service fails, continue in a folder on this machine; aqz upload "
            "sends it later, and nothing is lost",
        },
    ] = True
    spill_folder: Annotated[
        str,
        {
            "widget_type": PlaceEdit,
            "mode": "d",
            "label": "in",
            "tooltip": "Folder on this machine, used only when the service fails",
        },
    ] = "~"


@guiclass
class Stop:
    """When a recording ends by itself."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    unit: Annotated[
        str,
        {
            "choices": [
                ("I press Stop", ""),
                ("frames", "frames"),
                ("seconds", "s"),
                ("minutes", "min"),
                ("hours", "h"),
                ("MB", "MB"),
                ("GB", "GB"),
            ],
            "tooltip": "When the recording ends by itself",
        },
    ] = ""
    amount: Annotated[
        float,
        {
            "min": 0.01,
            "max": 1e12,
            "step": 10,
            "tooltip": "Frames of each source, time, or pixels of all sources",
        },
    ] = 100.0

    def rule(self, keep_free: float) -> StopRule:
        """Return the limits, with the gigabytes that must stay free on the disk."""
        unit, amount = self.unit, self.amount
        nbytes = {"MB": 1e6, "GB": 1e9}.get(unit)
        return StopRule(
            frames=max(1, int(amount)) if unit == "frames" else None,
            seconds=amount * _SECONDS[unit] if unit in _SECONDS else None,
            nbytes=max(1, int(amount * nbytes)) if nbytes else None,
            disk_floor=int(keep_free * 1e9) or None,
        )


@guiclass
class Storage:
    """How pixels are stored."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    codec: Annotated[
        str, {"choices": list(CODECS), "label": "Compression", "tooltip": "How chunks are packed"}
    ] = "blosc-lz4"
    level: Annotated[
        int,
        {"min": 0, "max": 22, "label": "Level", "tooltip": "More is smaller and slower"},
    ] = 1
    shuffle: Annotated[
        int,
        {
            "choices": _SHUFFLES,
            "label": "Shuffle",
            "tooltip": "Order bytes or bits before a Blosc codec; helps with camera pixels",
        },
    ] = 1
    pyramid: Annotated[
        str,
        {
            "choices": list(PYRAMIDS),
            "label": "Pyramid",
            "tooltip": "Record smaller versions for viewing as well, reduced in this way; labels "
            "are always decimated",
        },
    ] = "none"
    levels: Annotated[
        int,
        {"min": 0, "max": 16, "label": "Levels", "tooltip": "At most; 0: as many as useful"},
    ] = 0
    version: Annotated[
        int,
        {
            "choices": [("Zarr V3, OME-Zarr 0.5", 3), ("Zarr V2, OME-Zarr 0.4", 2)],
            "label": "Format",
            "tooltip": "V3 has shards; V2 has a file for each chunk",
        },
    ] = 3
    checksum: Annotated[
        bool,
        {
            "label": "Checksums",
            "tooltip": "Store a checksum of every chunk, so that Verify finds pixels that changed; "
            "costs up to 6 % of the rate of a fast camera",
        },
    ] = False

    def plan(self) -> StoragePlan:
        """Return it as a record."""
        return StoragePlan(**chosen(self))


@guiclass
class Capture:
    """How a layer is captured."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    how: Annotated[
        str,
        {
            "choices": [(words, name) for name, words in CAPTURES.items()],
            "label": "A frame is",
            "tooltip": "How a new frame of a layer is noticed. In place and at regular times, a "
            "frame that is still being written may be caught.",
        },
    ] = "update"
    interval: Annotated[
        float,
        {
            "min": 0.001,
            "max": 86400,
            "step": 0.1,
            "label": "Every (s)",
            "tooltip": "Seconds from one look at the layer to the next",
        },
    ] = 0.1
    skip_unchanged: Annotated[
        bool,
        {"label": "Only if changed", "tooltip": "Skip looks at which no pixel has changed"},
    ] = False
    what: Annotated[
        str,
        {
            "choices": [(words, name) for name, words in UPDATES.items()],
            "label": "Record",
            "tooltip": "What of a layer of more than two axes each update records",
        },
    ] = "stack"


@guiclass
class Take:
    """Which frames are recorded."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    every: Annotated[
        float,
        {
            "min": 0,
            "max": 86400,
            "step": 1,
            "label": "Time-lapse (s)",
            "tooltip": "Record one frame in this many seconds; 0 for every frame. Frames of an "
            "acquisition are all recorded.",
        },
    ] = 0.0
    from_rate: Annotated[
        float,
        {
            "min": 0,
            "max": 1e5,
            "step": 1,
            "label": "Start at (fps)",
            "tooltip": "After Record, wait until frames come this fast; 0 to start at once",
        },
    ] = 0.0

    def rule(self) -> TakeRule:
        """Return it as a record."""
        return TakeRule(every=self.every or None, from_rate=self.from_rate or None)


@guiclass
class View:
    """What is shown, and what is watched."""

    gui: ClassVar[Any]
    events: ClassVar[Any]

    open_after: Annotated[
        bool,
        {"label": "Open when done", "tooltip": "Show the recording as a layer when it is done"},
    ] = False
    follow: Annotated[
        bool,
        {
            "label": "Follow",
            "tooltip": "Show what is in the store while it grows, the newest frame in front",
        },
    ] = False
    arm_again: Annotated[
        bool,
        {
            "label": "Every acquisition",
            "tooltip": "After an acquisition was recorded, wait for the next one",
        },
    ] = False
    keep_free: Annotated[
        float,
        {
            "min": 0,
            "max": 1e6,
            "step": 1,
            "label": "Keep free (GB)",
            "tooltip": "Stop when less is free on the disk; 0 for no limit",
        },
    ] = 1.0
    notes: Annotated[
        str,
        {
            "label": "Notes",
            "tooltip": "Stored with each recording, under the attribute notes",
        },
    ] = ""
    metadata: Annotated[
        str,
        {
            "widget_type": "TextEdit",
            "label": "Metadata",
            "tooltip": "Lines such as sample: HeLa, stored with each recording under the "
            "attribute metadata",
        },
    ] = ""


class Choices:
    """All that the user can choose, apart from sources and their axes.

    Attributes
    ----------
    place, remote, stop, storage, capture, frames, view
        The parts; each has ``gui`` and ``events``.
    """

    def __init__(self) -> None:
        self.place, self.remote, self.stop = Place(), Remote(), Stop()
        self.storage, self.capture = Storage(), Capture()
        self.frames, self.view = Take(), View()

    def parts(self) -> dict[str, Any]:
        """Return the parts by name."""
        return dict(vars(self))

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return what is chosen as JSON, without a password that is in a URL."""
        found = {name: chosen(part) for name, part in self.parts().items()}
        found["place"]["folder"] = aqz.without_password(self.place.folder)
        return found

    def take(self, given: Any) -> None:
        """Take over what `as_dict` returned; what is unknown or of no use is left out."""
        for name, part in self.parts().items():
            values = given.get(name) if isinstance(given, dict) else None
            if isinstance(values, dict):
                choose(part, values)

    def reset(self) -> None:
        """Choose what a new user finds."""
        for part in self.parts().values():
            reset(part)


def chosen(part: Any) -> dict[str, Any]:
    """Return the values of a part by name."""
    return asdict(part)


def choose(part: Any, values: dict[str, Any]) -> None:
    """Set values of a part by name; those that it does not have, or refuses, are left out."""
    for field in fields(part):
        default: Any = field.default
        value = values.get(field.name)
        number = isinstance(default, float) and isinstance(value, int)
        if number or type(value) is type(default):
            options = _options(part, field.name)
            if options is None or value in options:
                setattr(part, field.name, type(default)(value))


def reset(part: Any) -> None:
    """Set every value of a part to its default."""
    for field in fields(part):
        setattr(part, field.name, field.default)


def _options(part: Any, name: str) -> list[Any] | None:
    """Return what may be chosen for a value; None where anything may."""
    from typing import get_type_hints

    hint = get_type_hints(type(part), include_extras=True)[name]
    choices = hint.__metadata__[0].get("choices")
    if choices is None:
        return None
    return [choice[1] if isinstance(choice, tuple) else choice for choice in choices]
