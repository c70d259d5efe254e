"""The folder of a spill: what an object store lacks of a recording, and what it belongs to.

::

    SPILL/
      aqz-spill.json    the manifest: destination without secrets, state, reason
      objects/...       objects that are not in the store, by name
      sent.txt          names that an upload has sent, one on each line

An object whose name ends with ``.aqz-partial`` is the copy of a shard that was being written; it is
deleted when the store has the shard. The lock beside the folder tells whether a stream uses it.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from aqz_core.errors import SettingsError, StorageError, StoreExistsError
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.lock import StoreLock
from aqz_core.storage.names import PARTIAL, SPILL_MARKER

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MANIFEST", "Manifest", "SpillFolder", "destination_of", "read_manifest"]

MANIFEST = "aqz-spill.json"
FORMAT = 1

SpillState = Literal["unused", "spilled", "complete", "sent"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a spill is.

    Attributes
    ----------
    settings
        Those of the stream as a config file has them, without secrets: they name the store that the
        spill belongs to.
    spill_id
        Names the marker that lies in the store until the spill is sent.
    state
        ``"unused"`` while the store works; ``"spilled"`` when it has failed and the recording goes
        on here; ``"complete"`` when it was closed after that; ``"sent"`` after an upload.
    reason
        Why the store failed.
    began
        When recording began, ISO 8601.
    additions
        Logs of which the folder holds only what comes behind the content in the store.
    """

    settings: dict[str, Any]
    spill_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: SpillState = "unused"
    reason: str = ""
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    additions: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """Name of the object in the store that says a spill belongs to it."""
        return f"{SPILL_MARKER}{self.spill_id}"


def read_manifest(folder: Path) -> Manifest | None:
    """Return what a folder says of itself; None if it is no spill.

    Raises
    ------
    StorageError
        It is one, but cannot be read.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error
    try:
        number = document.pop("aqz_spill")
        if number != FORMAT:
            raise StorageError(
                f"{path} has format {number!r}, and this release reads {FORMAT}; use a newer one"
            )
        document["additions"] = tuple(document["additions"])
        return Manifest(**document)
    except (AttributeError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is not a manifest of a spill: {error!r}") from error


class SpillFolder:
    """A folder that a stream, or an upload, has for itself.

    Use `create` for a new one and `open` for one to send.

    Attributes
    ----------
    path
        The folder.
    objects
        Where the objects are in it.
    manifest
        What it says of itself.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: StoreLock, *, made: bool) -> None:
        self.path = path
        self.objects = path / "objects"
        self.manifest = manifest
        self._lock = lock
        self._made = made

    @classmethod
    def create(cls, settings: StreamSettings) -> SpillFolder:
        """Make the folder that the settings of a stream name.

        Raises
        ------
        StoreExistsError
            There is something in it.
        StoreBusyError
            Another stream uses it.
        StorageError
            It cannot be made.
        """
        assert settings.spill is not None
        path = local_path(settings.spill)
        lock = StoreLock(path)
        try:
            made = not path.exists()
            path.mkdir(exist_ok=True)
            if any(path.iterdir()):
                raise StoreExistsError(
                    f"spill {str(path)!r} is not empty. Choose another folder, or send what is in "
                    "it, `aqz upload`, and remove it."
                )
            folder = cls(path, Manifest(settings.to_dict()), lock, made=made)
            try:
                folder.objects.mkdir()
                folder._save()
            except BaseException:
                with contextlib.suppress(OSError):
                    folder._remove()
                raise
        except OSError as error:
            lock.release()
            if isinstance(error, StoreExistsError):
                raise
            raise StorageError(error.errno, f"spill {str(path)!r}: {error}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> SpillFolder:
        """Take an existing spill, to send it.

        Raises
        ------
        StoreBusyError
            A stream uses it.
        StorageError
            It is no spill.
        """
        lock = StoreLock(path)
        try:
            manifest = read_manifest(path)
        except StorageError:
            lock.release()
            raise
        if manifest is None:
            lock.release()
            raise StorageError(f"{path} is no spill: it has no {MANIFEST}")
        return cls(path, manifest, lock, made=False)

    def update(self, **changes: Any) -> None:
        """Change fields of the manifest, on the device too."""
        self.manifest = replace(self.manifest, **changes)
        self._save()

    def _save(self) -> None:
        """Replace the manifest's file."""
        text = json.dumps({"aqz_spill": FORMAT, **asdict(self.manifest)}, indent=2) + "\n"
        files = FilesystemSink(self.path)
        files.write(MANIFEST, text.encode(), sync=True)
        files.commit()

    def names(self) -> list[str]:
        """Return the names of whole objects, sorted."""
        found = (path for path in self.objects.rglob("*") if path.is_file())
        return sorted(
            path.relative_to(self.objects).as_posix()
            for path in found
            if not path.name.endswith(PARTIAL)
        )

    def copies(self) -> int:
        """Return how many copies of unfinished shards there are."""
        return sum(1 for _ in self.objects.rglob(f"*{PARTIAL}"))

    def close(self) -> None:
        """Let go of the folder; remove it if nothing was spilled."""
        try:
            if self.manifest.state == "unused":
                self._remove()
        finally:
            self._lock.release()

    def release(self) -> None:
        """Let go of the folder and leave it as it is."""
        self._lock.release()

    def _remove(self) -> None:
        """Delete what this stream made, and the folder itself if it was not there before."""
        for shard in self.objects.rglob(f"*{PARTIAL}"):
            shard.unlink(missing_ok=True)
        directories = [path for path in self.objects.rglob("*") if path.is_dir()]
        for directory in sorted(directories, reverse=True):
            with contextlib.suppress(OSError):
                directory.rmdir()
        (self.path / MANIFEST).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody has put something into it
            self.objects.rmdir()
            if self._made:
                self.path.rmdir()


def destination_of(manifest: Manifest) -> StreamSettings:
    """Return settings that name the store which a spill belongs to, and nothing else.

    Raises
    ------
    StorageError
        The manifest does not say it.
    """
    try:
        given = StreamSettings.from_dict(manifest.settings)
        return StreamSettings(store_path=given.store_path, s3=given.s3)
    except SettingsError as error:
        raise StorageError(f"{MANIFEST}: {error}") from error
