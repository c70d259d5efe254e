"""What may be added to a stream that is open: arrays and fields of plates, nothing else.

Compares the settings that a stream has with those that it shall have. `Recording` carries the
result out.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError
from aqz_core.settings.keys import normalise_key
from aqz_core.settings.plate import fields_of
from aqz_core.settings.validation.stream import check_arrays

if TYPE_CHECKING:
    from aqz_core.settings.array import ArraySettings
    from aqz_core.settings.stream import StreamSettings

__all__ = ["check_extension"]


def check_extension(now: StreamSettings, wanted: StreamSettings) -> None:
    """Check that settings are those of an open stream, with more arrays or fields.

    Parameters
    ----------
    now
        Of the open stream.
    wanted
        Of the same stream when it is extended. They are not changed.

    Raises
    ------
    SettingsError
        Something else differs, or the new arrays cannot be recorded.
    """
    check_arrays(wanted)
    if _without_arrays(now) != _without_arrays(wanted):
        raise SettingsError(
            "an open stream can only get more arrays or fields of plates; leave the other settings "
            "as they were when it was opened"
        )
    have, want = _arrays_by_key(now), _arrays_by_key(wanted)
    for key, array in have.items():
        if key not in want:
            raise SettingsError(
                f"array {key!r} is being recorded, but the new settings lack it; give all arrays, "
                "the old ones and the new ones"
            )
        if array != want[key]:
            raise SettingsError(
                f"array {key!r} is being recorded and cannot change; leave its settings as they "
                "are, and use another key for another array"
            )


def _without_arrays(settings: StreamSettings) -> StreamSettings:
    """Return a copy of everything but the arrays."""
    rest = copy.copy(settings)
    rest.arrays = []
    rest.hcs_plates = []
    return rest


def _arrays_by_key(settings: StreamSettings) -> dict[str, ArraySettings]:
    """Return the settings of all arrays, those of plates included."""
    found = {normalise_key(array.output_key): array for array in settings.arrays}
    for plate in settings.hcs_plates:
        found |= {key: field.array_settings for key, _, field in fields_of(plate)}
    return found
