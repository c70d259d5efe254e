"""Where on this machine a store goes: paths, ``~``, ``file://`` URLs and what may be there.

Only looks at the file system, never writes. Other URLs are recognised (`url_scheme`) but
opened elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from aqz_core.errors import SettingsError
from aqz_core.settings.file_names import ON_WINDOWS, longest_path, windows_objection

__all__ = ["check_local_store", "local_path", "url_scheme", "without_password"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:/+)([^/:@]*):(.*)@([^@]*)\Z", re.DOTALL)
"""Scheme, user, password and the rest; of half a URL, too, and of a password with a slash."""

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]")
"""A drive or a share in front of a path."""

_INSIDE = 40
"""Characters that are kept for names inside of a store, where paths are short."""

_HALF_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/([^/].*)", re.DOTALL)
"""No drive of Windows: those have one letter."""


def url_scheme(store_path: str) -> str | None:
    """Return the scheme of a URL in lower case.

    Parameters
    ----------
    store_path : str
        Path or URL.

    Returns
    -------
    str or None
        For example ``"file"`` or ``"s3"``; None for a path.
    """
    match = _SCHEME.match(store_path)
    return match[1].lower() if match else None


def without_password(store_path: str) -> str:
    """Return a path or URL as it may be shown and saved: ``sftp://me:secret@host`` has a secret.

    Parameters
    ----------
    store_path : str
        Path or URL.

    Returns
    -------
    str
        The same, without the password of a URL; its user name stays.
    """
    match = _LOGIN.match(store_path)
    if match is None:
        return store_path
    scheme, user, password, rest = match.groups()
    host = store_path[len(scheme) :].partition("/")[0]
    if "@" in host:  # a URL as it should be; its path may have an "@" as well
        return f"{scheme}{user}@{store_path[len(scheme) + host.rindex('@') + 1 :]}"
    if "/" in password and password.partition("/")[0].isdecimal():
        return store_path  # a port, and a path with an "@" in it
    return f"{scheme}{user}@{rest}"


def local_path(store_path: str) -> Path:
    """Turn what the user wrote into an absolute path.

    Parameters
    ----------
    store_path : str
        A path, which may start with ``~`` and end with slashes, or a ``file://`` URL, whose
        percent signs are decoded as RFC 8089 says.

    Returns
    -------
    pathlib.Path
        Absolute; symbolic links are kept.

    Raises
    ------
    SettingsError
        If there is no path in it, or it is a URL of another scheme.
    """
    where = f"store_path {without_password(store_path)!r}"
    if not store_path.strip():
        raise SettingsError(f"{where} is empty; give the directory to record into")
    if store_path != store_path.strip():
        raise SettingsError(f"{where} starts or ends with a blank; remove it")
    if "\0" in store_path:
        raise SettingsError(f"{where} has a null character in it; remove it")
    scheme = url_scheme(store_path)
    if scheme == "file":
        return _from_url(store_path, where)
    if scheme is not None:
        raise SettingsError(f"{where} is not on this machine; give a path or a file:// URL")
    half = _HALF_URL.match(store_path)
    if half and not Path(half[1]).exists():
        slashes = "///" if half[1].lower() == "file:" else "//"
        right = without_password(f"{half[1]}{slashes}{half[2]}")
        raise SettingsError(f"{where}: a URL has two slashes; write {right}")
    if not ON_WINDOWS and _WINDOWS.match(store_path):
        raise SettingsError(
            f"{where} is a path of Windows, which here would be the name of one directory; give a "
            f"path of this system, such as {_posix_of(store_path)}"
        )
    try:
        return Path(store_path).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user, or the working directory is gone
        raise SettingsError(f"{where}: {error}; give an absolute path") from error


def _posix_of(path: str) -> str:
    """Return the path on this system that is most like one of Windows."""
    return Path(path.replace("\\", "/").rstrip("/")).name or "run.zarr"


def check_local_store(path: Path, *, overwrite: bool) -> None:
    """Check that a store can be made at `path`.

    Parameters
    ----------
    path : pathlib.Path
        Absolute, as `local_path` returns it.
    overwrite : bool
        Whether what is there would be removed.

    Raises
    ------
    SettingsError
        If the parent is not a directory that can be written, the store is there and cannot
        be, or overwriting would remove the working or the home directory.
    """
    where = f"store_path {str(path)!r}"
    parent = path.parent
    _check_name(path, where)
    try:
        for link in (parent, path):
            if link.is_symlink() and not link.exists():
                raise SettingsError(
                    f"{where}: {str(link)!r} is a link to {_target(link)!r}, which leads nowhere; "
                    "make that directory, or remove the link"
                )
        if not _exists(parent):
            raise SettingsError(f"{where}: the directory {str(parent)!r} does not exist; make it")
        if not parent.is_dir():
            raise SettingsError(f"{where}: {str(parent)!r} is not a directory; choose another")
        taken = _exists(path)
    except OSError as error:  # a component that may not be searched, or a name too long
        raise SettingsError(f"{where}: {error.strerror}; choose another path") from error
    for directory in [parent, path] if taken and path.is_dir() else [parent]:
        if not os.access(directory, os.W_OK | os.X_OK):
            raise SettingsError(
                f"{where}: no permission to write in {str(directory)!r}; change its permissions "
                "or choose another directory"
            )
    if overwrite and taken:
        _check_removable(path, where)


def _exists(path: Path) -> bool:
    """Return whether something is there; `Path.exists` of Python 3.14 is silent about errors."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _check_name(path: Path, where: str) -> None:
    """Check a path of Windows for what that system would refuse later, or understand otherwise."""
    if ON_WINDOWS and (objection := windows_objection(path.name)):
        raise SettingsError(f"{where}: {path.name!r} {objection}; choose another name")
    longest = longest_path()
    if longest is not None and len(str(path)) > longest - _INSIDE:
        raise SettingsError(
            f"{where} has {len(str(path))} characters, and Windows takes {longest} with the names "
            f"inside of the store; choose a path of {longest - _INSIDE} at most, or enable long "
            "paths in Windows"
        )


def _target(link: Path) -> str:
    """Return where a link leads, as a path that can be made."""
    return str(link.parent / link.readlink())


def _from_url(url: str, where: str) -> Path:
    """Read a file URL."""
    host, _, rest = url[len("file://") :].partition("/")
    share = ON_WINDOWS and host not in ("", "localhost")
    if (host not in ("", "localhost") and not share) or not rest.strip("/"):
        raise SettingsError(f"{where} has no absolute path; write file:///directory/name")
    path = unquote(rest)
    if "\0" in path:
        raise SettingsError(f"{where} has a null character in it; remove it")
    if share:
        return Path(f"//{host}/{path}")
    on_drive = ON_WINDOWS and re.match("[A-Za-z]:", path)
    return Path(path if on_drive else f"/{path}")


def _check_removable(path: Path, where: str) -> None:
    """Refuse to overwrite a directory that people live in."""
    resolved = path.resolve()
    for name, find in (("working", Path.cwd), ("home", Path.home)):
        try:
            kept = find().resolve()
        except (OSError, RuntimeError):  # it was removed already, or there is none
            continue
        if resolved == kept or resolved in kept.parents:
            raise SettingsError(
                f"{where} is or contains the {name} directory, which overwrite=True would "
                "remove; give a directory of its own for the store"
            )
