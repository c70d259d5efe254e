"""File names that mean something else, or nothing, on another system.

A store is recorded on one computer and copied to another: names inside of it are those that every
system takes. The name of the store itself has to suit the system that it is on.
"""

from __future__ import annotations

import re
import sys

__all__ = ["ON_WINDOWS", "longest_path", "windows_objection"]

ON_WINDOWS = sys.platform == "win32"
"""Whether paths have drives, shares and backslashes."""

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\Z")
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')

MAX_PATH = 259
"""Characters of a path that Windows takes where long paths were not enabled."""


def windows_objection(name: str) -> str | None:
    """Return why Windows has no file or directory of that name, or None if it can.

    Parameters
    ----------
    name : str
        One part of a path.

    Returns
    -------
    str or None
        Such as ``"is the name of a device on Windows"``.
    """
    if _DEVICE.match(name.partition(".")[0].rstrip().lower()):
        return "is the name of a device on Windows"
    if name.endswith((".", " ")):
        return "ends with a dot or a blank, which Windows drops"
    if found := _FORBIDDEN.search(name):
        return f"has {found[0]!r} in it, which Windows takes in no name"
    return None


if sys.platform == "win32":
    import winreg

    def longest_path() -> int | None:
        """Return how many characters a path may have, or None if long ones were enabled."""
        try:
            with winreg.OpenKey(
                winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem"
            ) as key:
                enabled, _ = winreg.QueryValueEx(key, "LongPathsEnabled")
        except OSError:
            return MAX_PATH
        return None if enabled else MAX_PATH

else:

    def longest_path() -> int | None:
        """Return None: the system says itself when a path is too long."""
        return None
