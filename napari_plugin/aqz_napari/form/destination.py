"""Where a recording goes: templates, free names, free space."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aqz_core as aqz

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DEFAULT_DESTINATION",
    "TEMPLATES",
    "exists_locally",
    "expand",
    "free_bytes",
    "is_remote",
    "local_file",
    "nearest_folder",
    "next_free",
    "short_path",
    "split_suffix",
]

DEFAULT_DESTINATION = "~/{layer}_{date}_{n:03}.ome.zarr"
TEMPLATES = "{date} {time} {layer} {n:03}"

_SUFFIX = re.compile(r"(\.ome)?\.zarr$")
_MOST_NAMES = 100_000


def is_remote(path: str) -> bool:
    """Return whether a destination is a URL of something other than files."""
    scheme, found, _ = path.partition("://")
    return bool(found) and scheme.lower() != "file"


def local_file(path: str) -> Path:
    """Return the path that a local destination means."""
    return Path(path.removeprefix("file://")).expanduser().absolute()


def exists_locally(path: str) -> bool:
    """Return whether something is at a local destination; URLs count as free.

    What may not be looked at counts as free too: the reason is told when it is to be written.
    """
    try:
        return not is_remote(path) and local_file(path).exists()
    except (OSError, RuntimeError, ValueError):
        return False


def expand(
    template: str,
    layer: str = "recording",
    now: datetime | None = None,
    exists: Callable[[str], bool] = exists_locally,
) -> str:
    """Fill in the templates of a destination.

    Parameters
    ----------
    template : str
        May hold ``{date}``, ``{time}``, ``{layer}`` and ``{n}``, the latter with a width as in
        ``{n:03}``: the first number from 1 for which nothing is there.
    layer : str
        Name of the source; characters that file names should not have are replaced.
    now : datetime, optional
        Moment to write.
    exists : callable
        Says whether a destination is taken.

    Raises
    ------
    ValueError
        A template is unknown or malformed.
    """
    moment = now or datetime.now()
    plain = re.sub(r"[^\w.-]+", "_", layer).strip("_.") or "recording"
    fields = {"date": f"{moment:%Y-%m-%d}", "time": f"{moment:%H%M%S}", "layer": plain}
    for number in range(1, _MOST_NAMES):
        try:
            path = template.format(n=number, **fields)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{template!r} has a template that is not known ({error}); there are {TEMPLATES}"
            ) from None
        if not exists(path) or path == template.format(n=number + 1, **fields):
            return path
    raise ValueError(f"{template!r}: there are more than {_MOST_NAMES} of that name already")


def split_suffix(path: str) -> tuple[str, str]:
    """Return a destination without the ending of a store, and that ending."""
    match = _SUFFIX.search(path)
    return (path[: match.start()], match[0]) if match else (path, "")


def next_free(path: str, exists: Callable[[str], bool] = exists_locally) -> str:
    """Return a destination like this one, with a number, where nothing is."""
    stem, suffix = split_suffix(path)
    stem = re.sub(r"_\d{3}$", "", stem)
    return expand(f"{_escaped(stem)}_{{n:03}}{_escaped(suffix)}", exists=exists)


def short_path(path: str) -> str:
    """Return a path as people write it: from their home directory, without a password."""
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else aqz.without_password(path)


def nearest_folder(path: str) -> Path:
    """Return the folder of a local destination, or the nearest one above it that exists."""
    folder = local_file(path).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def free_bytes(path: str) -> int | None:
    """Return the bytes free where a store would be; None where nobody knows."""
    if is_remote(path):
        return None
    try:
        return shutil.disk_usage(nearest_folder(path)).free
    except (OSError, RuntimeError, ValueError):
        return None


def _escaped(text: str) -> str:
    """Return text that `str.format` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")
