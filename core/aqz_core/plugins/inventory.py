"""Which plug-ins are installed, what they offer, and what is wrong with them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aqz_core.errors import PluginError
from aqz_core.plugins import builtin
from aqz_core.plugins.discovery import InstalledPlugin, load_installed, new_manager
from aqz_core.plugins.manager import Hooks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["PluginInfo", "list_plugins"]

BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plug-in.

    Attributes
    ----------
    name : str
        Of its entry point.
    distribution : str
        Name and version of what was installed.
    location : str
        Module, or module and object, that the entry point names.
    hooks : tuple of str
        The hooks that it implements.
    offers : tuple of (str, str)
        Kind and name of each record, such as ``("codec", "zstd")``. Frame processors and
        metadata depend on the settings of a stream and are not asked for.
    problems : tuple of str
        What keeps it, or a part of it, from being used.
    is_disabled : bool
        Whether the environment switches it off.
    """

    name: str
    distribution: str
    location: str
    hooks: tuple[str, ...] = ()
    offers: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()
    is_disabled: bool = False


def list_plugins() -> list[PluginInfo]:
    """Return the built-in plug-in and the installed ones, asked one by one."""
    built_in = _asked(PluginInfo("aqz", BUILT_IN, builtin.__name__), builtin)
    return _with_clashes([built_in, *map(_info, load_installed())])


def _info(found: InstalledPlugin) -> PluginInfo:
    """Return what is known of one entry point."""
    info = PluginInfo(
        found.entry_point.name,
        found.origin.removeprefix("distribution "),
        found.entry_point.value,
        is_disabled=found.is_disabled,
    )
    if found.problem is not None:
        problem = found.problem
        text = str(problem) if isinstance(problem, PluginError) else repr(problem)
        return replace(info, problems=(text,))
    return info if found.is_disabled else _asked(info, found.plugin)


def _asked(info: PluginInfo, plugin: object) -> PluginInfo:
    """Return what a plug-in offers when nobody else is there."""
    manager = new_manager()
    manager.register(plugin, info.name)
    hooks = Hooks(manager, {info.name: info.distribution}, forgiving=False)
    offers, problems = [], []
    for kind, ask in (
        ("codec", hooks.codecs),
        ("URL scheme", hooks.sinks),
        ("downsampler", hooks.downsamplers),
    ):
        try:
            records: Mapping[str, object] = ask()
            offers += [(kind, name) for name in records]
        except PluginError as error:
            problems.append(str(error))
    callers = manager.get_hookcallers(plugin) or []
    return replace(
        info,
        hooks=tuple(caller.name for caller in callers),
        offers=tuple(offers),
        problems=tuple(problems),
    )


def _with_clashes(infos: Iterable[PluginInfo]) -> list[PluginInfo]:
    """Add to each what it offers under the name of another."""
    infos = list(infos)
    owners: dict[tuple[str, str], list[PluginInfo]] = defaultdict(list)
    for info in infos:
        for offer in info.offers:
            owners[offer].append(info)
    return [replace(info, problems=info.problems + tuple(_clashes(info, owners))) for info in infos]


def _clashes(info: PluginInfo, owners: Mapping[tuple[str, str], list[PluginInfo]]) -> Iterable[str]:
    """Yield a line for each name that others use, too; a built-in one is not disturbed."""
    if info.distribution == BUILT_IN:
        return
    for kind, name in info.offers:
        others = [f"{one.name!r} ({one.distribution})" for one in owners[kind, name]]
        if len(others) > 1:
            mine = f"{info.name!r} ({info.distribution})"
            others.remove(mine)
            yield f"the {kind} {name!r} is offered by {', '.join(others)} as well"
