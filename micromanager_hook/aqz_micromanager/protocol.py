"""What was to be done and with what: sequence, devices, properties, presets. Kept with the images.

Asks a core whichever way it spells its methods, pymmcore's or pycro-manager's, and leaves out what
it cannot tell: nothing here may keep an acquisition from being recorded.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from aqz_micromanager.core_facts import ask
from aqz_micromanager.tags import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["protocol_of_core", "protocol_of_events", "protocol_of_start"]

_MAX_EVENTS = 200  # more are told by their frames alone: the document is read as a whole


def protocol_of_core(core: Any) -> dict[str, Any]:
    """Return devices with their properties, config groups and pixel size presets of a core."""
    found: dict[str, Any] = {}
    for name, read in (
        ("devices", _devices),
        ("config_groups", _config_groups),
        ("pixel_size_configs", _pixel_sizes),
    ):
        with contextlib.suppress(Exception):  # of any kind: cores of many versions, and stand-ins
            found[name] = read(core)
    return found


def _devices(core: Any) -> dict[str, Any]:
    """Return each device with its library, name and properties."""
    return {
        label: {
            "library": ask(core, "getDeviceLibrary", label),
            "name": ask(core, "getDeviceName", label),
            "properties": {
                name: ask(core, "getProperty", label, name)
                for name in ask(core, "getDevicePropertyNames", label)
            },
        }
        for label in ask(core, "getLoadedDevices")
        if label != "Core"
    }


def _config_groups(core: Any) -> dict[str, Any]:
    """Return each config group with the settings of its presets."""
    return {
        group: {
            preset: _settings(ask(core, "getConfigData", group, preset))
            for preset in ask(core, "getAvailableConfigs", group)
        }
        for group in ask(core, "getAvailableConfigGroups")
    }


def _pixel_sizes(core: Any) -> dict[str, Any]:
    """Return each pixel size preset with its size."""
    return {
        preset: ask(core, "getPixelSizeUmByID", preset)
        for preset in ask(core, "getAvailablePixelSizeConfigs")
    }


def _settings(configuration: Any) -> list[list[str]]:
    """Return device, property and value of each setting."""
    settings = (ask(configuration, "getSetting", n) for n in range(ask(configuration, "size")))
    return [
        [ask(one, "getDeviceLabel"), ask(one, "getPropertyName"), ask(one, "getPropertyValue")]
        for one in settings
    ]


def protocol_of_events(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return events that are to be acquired, or how many there are."""
    listed = list(events)
    if len(listed) > _MAX_EVENTS:
        return {"events": len(listed)}
    return {"events": plain(listed)}


def protocol_of_start(sequence: Any, start: Mapping[str, Any]) -> dict[str, Any]:
    """Return a useq sequence and what pymmcore-plus says of devices and presets at its start."""
    found: dict[str, Any] = {
        key: value for key, value in start.items() if key not in ("mda_sequence", "image_infos")
    }
    if hasattr(sequence, "model_dump"):
        found["sequence"] = sequence
    return dict(plain(found))
