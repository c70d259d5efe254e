"""The few ways in which a repair changes files: each leaves the old content usable if it fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["add_to_end", "replace_content", "sync_directory", "write_start"]

_TEMPORARY = ".aqz-repair"


def add_to_end(file: Path, data: bytes) -> None:
    """Add bytes behind everything that a file holds, and flush them to the device."""
    with file.open("ab") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def write_start(file: Path, data: bytes) -> None:
    """Overwrite the first bytes of a file, and flush them to the device."""
    with file.open("r+b") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace_content(file: Path, data: bytes) -> None:
    """Give a file new content in one step: a reader sees the old or the new one."""
    temporary = file.with_name(file.name + _TEMPORARY)
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def sync_directory(folder: Path) -> None:
    """Flush the names in a directory, where the system lets a directory be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
