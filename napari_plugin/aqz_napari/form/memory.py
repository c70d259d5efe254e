"""The settings of the last time, in a file beside napari's own."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

__all__ = ["forget", "recall", "remember"]

_FILE = "aqz-record.json"
_log = logging.getLogger("aqz.napari")


def recall() -> Any:
    """Return what was remembered; an empty record if there is nothing, or it cannot be read."""
    try:
        return json.loads(_path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        _log.warning("the settings of the last time could not be read", exc_info=True)
        return {}


def remember(settings: dict[str, Any]) -> None:
    """Keep settings for the next time; a failure is logged, and nothing else depends on it."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        part.replace(path)
    except OSError:
        _log.warning("the settings could not be remembered", exc_info=True)


def forget() -> None:
    """Remember nothing."""
    _path().unlink(missing_ok=True)


def _path() -> Path:
    """Return where the settings are: where napari has its own."""
    from napari.settings import get_settings

    config = get_settings().config_path
    return Path(config or Path.home() / ".config" / "napari" / "settings.yaml").parent / _FILE
