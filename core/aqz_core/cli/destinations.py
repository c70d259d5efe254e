"""Places that a command does not send anything to, because nothing would be left there."""

from __future__ import annotations

from aqz_core.errors import SettingsError
from aqz_core.settings.paths import url_scheme

__all__ = ["check_lasting"]


def check_lasting(destination: str) -> None:
    """Raise `SettingsError` for a URL whose store ends with this program."""
    if url_scheme(destination) == "memory":
        raise SettingsError(
            f"{destination} is in the memory of this command and would be gone when it ends; give "
            "a path, or the URL of a store that lasts"
        )
