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
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pluggy

from aqz_core.errors import PluginError
from aqz_core.plugins import hookspecs
from aqz_core.plugins.hookspecs import OBSERVER_HOOKS, PROJECT, PROVIDER_HOOKS, hookimpl
from aqz_core.plugins.records import FrameProcessor

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DISABLE_VARIABLE",
    "PASSED",
    "InstalledPlugin",
    "PassedProcessors",
    "installed_entry_points",
    "load_installed",
    "new_manager",
    "register_installed",
    "register_passed",
]

DISABLE_VARIABLE = "AQZ_DISABLE_PLUGINS"
"""Environment variable: names of entry points not to load, separated by commas."""

PASSED = "passed in plugins="
"""Origin of what the caller passed."""

_log = logging.getLogger("aqz")


class PassedProcessors:
    """A plug-in of the frame processors that the caller passed by themselves."""

    def __init__(self, processors: tuple[FrameProcessor, ...]) -> None:
        self.processors = processors

    @hookimpl
    def aqz_frame_processors(self) -> tuple[FrameProcessor, ...]:
        """Offer them."""
        return self.processors


def new_manager() -> pluggy.PluginManager:
    """Return a manager that knows the hooks and no plug-in."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One entry point of the group, after the attempt to load it.

    Attributes
    ----------
    entry_point : importlib.metadata.EntryPoint
        Its name, and where the object is.
    origin : str
        Name and version of its distribution, for messages.
    plugin : object, optional
        What it loads, unless that failed or it is switched off.
    problem : Exception, optional
        Why it cannot be used.
    is_disabled : bool
        Whether the environment switches it off.
    """

    entry_point: EntryPoint
    origin: str
    plugin: object = None
    problem: Exception | None = None
    is_disabled: bool = False


def load_installed() -> list[InstalledPlugin]:
    """Load every plug-in of the entry-point group `aqz`; a broken one brings its problem along."""
    disabled = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")}
    entry_points = installed_entry_points(tuple(sys.path))
    owners = Counter(entry_point.name for entry_point in entry_points)
    found = []
    for entry_point in entry_points:
        name, origin = entry_point.name, _distribution(entry_point)
        if name in disabled:
            found.append(InstalledPlugin(entry_point, origin, is_disabled=True))
        elif owners[name] > 1:
            origins = ", ".join(_distribution(one) for one in entry_points if one.name == name)
            clash = PluginError(
                f"the plug-in name {name!r} is used by {origins}; uninstall all but one of them"
            )
            found.append(InstalledPlugin(entry_point, origin, problem=clash))
        else:
            found.append(_loaded(entry_point, origin))
    return found


def _loaded(entry_point: EntryPoint, origin: str) -> InstalledPlugin:
    """Load one plug-in and check it."""
    try:
        plugin = entry_point.load()
        _check(plugin)
    except (Exception, SystemExit) as error:  # a module that exits must not end the program
        problem = error if isinstance(error, Exception) else PluginError(f"it exits: {error!r}")
        return InstalledPlugin(entry_point, origin, problem=problem)
    return InstalledPlugin(entry_point, origin, plugin)


def register_installed(manager: pluggy.PluginManager, origins: dict[str, str]) -> None:
    """Register the installed plug-ins that can be used, and log those that cannot.

    Parameters
    ----------
    manager : pluggy.PluginManager
        Where to register.
    origins : dict of str to str
        Gains the description of each registered plug-in, under its name.
    """
    for one in load_installed():
        name = one.entry_point.name
        if one.is_disabled:
            _log.info("plug-in %r is switched off by %s", name, DISABLE_VARIABLE)
        elif one.problem is not None:
            _log.error(
                "plug-in %r (%s) cannot be used and is left out: %s; %s=%s silences this",
                name,
                one.origin,
                one.problem,
                DISABLE_VARIABLE,
                name,
                exc_info=one.problem,
            )
        elif not _is_registered(manager, one.plugin):
            manager.register(one.plugin, name)
            origins[name] = one.origin


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
        Modules or instances with functions marked ``@aqz_core.hookimpl``, and records of
        frame processors, which run in the order given.

    Raises
    ------
    PluginError
        If an object has no hook, or one that cannot be called.
    """
    given = tuple(plugins)
    processors = tuple(one for one in given if isinstance(one, FrameProcessor))
    others = [one for one in given if not isinstance(one, FrameProcessor)]
    for plugin in [*others, *([PassedProcessors(processors)] if processors else [])]:
        _check(plugin)
        if not _is_registered(manager, plugin):
            name = _free_name(plugin, origins)
            manager.register(plugin, name)
            origins[name] = PASSED


@cache
def installed_entry_points(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of the group; looking through all distributions takes a while.

    A distribution that merely lies in the working directory is not installed: whoever shares a
    folder of recordings must not run code in it.
    """
    here = Path.cwd()
    places = [place for place in path if place and Path(place).absolute() != here]
    found: dict[str, Distribution] = {}
    for distribution in distributions(path=places):
        if distribution.entry_points.select(group=PROJECT):
            found.setdefault(distribution.name, distribution)  # the first on the path wins
    return tuple(
        entry_point
        for distribution in found.values()
        for entry_point in distribution.entry_points.select(group=PROJECT)
    )


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
