"""How much aqz says, in acquire-zarr's words on top of the standard logger ``aqz``."""

from __future__ import annotations

import logging

from aqz_core.enums import LogLevel

__all__ = ["get_log_level", "set_log_level"]

_logger = logging.getLogger("aqz")

_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.NONE: logging.CRITICAL + 1,
}


def set_log_level(level: LogLevel) -> None:
    """Set the level of the logger ``aqz``.

    Parameters
    ----------
    level : LogLevel
        The least serious messages that are let through; NONE lets none through.

    Raises
    ------
    TypeError
        It is not a `LogLevel`.
    """
    if not isinstance(level, LogLevel):
        raise TypeError(f"set_log_level takes a LogLevel, not {level!r}")
    _logger.setLevel(_LEVELS[level])


def get_log_level() -> LogLevel:
    """Return the level of the logger ``aqz``, rounded to the next `LogLevel`."""
    effective = _logger.getEffectiveLevel()
    return next((name for name, value in _LEVELS.items() if value >= effective), LogLevel.NONE)
