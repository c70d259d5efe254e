"""Which plug-ins take part, and whether each of them can.

Owns the order of registration (built-in, installed, passed by the caller), the
environment variable that switches installed ones off, and the checks that turn
a misspelt hook into a message. An installed plug-in that is broken is logged
and left out, because a recording must not depend on what else is installed;
one that the caller passed is an error.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from types import ModuleType
from typing import TYPE_CHECKING

import pluggy

from aqz_core.errors import PluginError
from aqz_core.plugins import hookspecs
from aqz_core.plugins.hookspecs import OBSERVER_HOOKS, PROJECT, PROVIDER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "DISABLE_VARIABLE",
    "installed_entry_points",
    "new_manager",
    "register_installed",
    "register_passed",
]

DISABLE_VARIABLE = "AQZ_DISABLE_PLUGINS"
"""Environment variable: names of entry points not to load, separated by commas."""

_log = logging.getLogger("aqz")


def new_manager() -> pluggy.PluginManager:
    """Return a manager that knows the hooks and no plug-in."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def register_installed(manager: pluggy.PluginManager, origins: dict[str, str]) -> None:
    """Register the plug-ins of the entry-point group `aqz`.

    Parameters
    ----------
    manager : pluggy.PluginManager
        Where to register.
    origins : dict of str to str
        Gains the description of each registered plug-in, under its name.

    Raises
    ------
    PluginError
        If two distributions use one plug-in name.
    """
    for entry_point in _enabled_entry_points():
        name, origin = entry_point.name, _distribution(entry_point)
        try:
            plugin = entry_point.load()
            _check(plugin)
        except Exception:
            _log.exception(
                "plug-in %r (%s) cannot be used and is left out; %s=%s silences this",
                name,
                origin,
                DISABLE_VARIABLE,
                name,
            )
            continue
        if name in origins:
            raise PluginError(
                f"the plug-in name {name!r} is used by {origins[name]} and by {origin}; "
                f"uninstall one of them, or set {DISABLE_VARIABLE}={name} to load neither"
            )
        if not _is_registered(manager, plugin):
            manager.register(plugin, name)
            origins[name] = origin


def register_passed(
    manager: pluggy.PluginManager, origins: dict[str, str], plugins: Iterable[object]
) -> None:
    """Register what the caller passed; an object that is already there is taken once.

    Parameters
    ----------
    manager : pluggy.PluginManager
        Where to register.
    origins : dict of str to str
        Gains the description of each registered plug-in, under its name.
    plugins : iterable of object
        Modules or instances with functions marked ``@aqz_core.hookimpl``.

    Raises
    ------
    PluginError
        If an object has no hook, or one that cannot be called.
    """
    for plugin in plugins:
        _check(plugin)
        if not _is_registered(manager, plugin):
            name = _free_name(plugin, origins)
            manager.register(plugin, name)
            origins[name] = "passed in plugins="


def _enabled_entry_points() -> Iterator[EntryPoint]:
    """Yield the entry points of the group that the environment does not switch off."""
    disabled = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")}
    for entry_point in installed_entry_points(tuple(sys.path)):
        if entry_point.name in disabled:
            _log.info("plug-in %r is switched off by %s", entry_point.name, DISABLE_VARIABLE)
        else:
            yield entry_point


@cache
def installed_entry_points(path: tuple[str, ...]) -> EntryPoints:
    """Return the entry points of the group; looking through all distributions takes a while."""
    return entry_points(group=PROJECT)


def _distribution(entry_point: EntryPoint) -> str:
    """Return name and version of the distribution that an entry point comes from."""
    if entry_point.dist is None:
        return f"entry point {entry_point.value}"
    return f"distribution {entry_point.dist.name} {entry_point.dist.version}"


def _is_registered(manager: pluggy.PluginManager, plugin: object) -> bool:
    """Return whether this very object is registered."""
    return any(plugin is other for other in manager.get_plugins())


def _free_name(plugin: object, taken: Iterable[str]) -> str:
    """Return a readable name for a passed plug-in that no other has."""
    base = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__qualname__
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}#{number}"
    return name


def _check(plugin: object) -> None:
    """Raise `PluginError` unless every hook of `plugin` can be called."""
    if inspect.isclass(plugin):
        raise PluginError(f"plug-in {plugin!r} is a class; pass an instance of it")
    trial = new_manager()  # a refused plug-in leaves nothing behind in the real one
    try:
        trial.register(plugin)
        trial.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(PROVIDER_HOOKS + OBSERVER_HOOKS)
        raise PluginError(
            f"plug-in {plugin!r} does not fit the hooks: {error}. The hooks are {known}"
        ) from error
    callers = trial.get_hookcallers(plugin)
    if not callers:
        raise PluginError(
            f"plug-in {plugin!r} has no hook; mark its functions with @aqz_core.hookimpl"
        )
    for caller in callers:
        if any(impl.wrapper or impl.hookwrapper for impl in caller.get_hookimpls()):
            raise PluginError(
                f"plug-in {plugin!r} wraps {caller.name}; wrappers are not supported, "
                "return records or observe instead"
            )
