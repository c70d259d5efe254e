"""The plug-ins of one stream, asked through typed methods.

`create_plugin_manager` is a factory: every stream, and every test, has its own
set, and nothing is loaded when aqz is imported. Hooks are called one plug-in
at a time, so that an error or a clash names who caused it. Provider hooks are
asked when a stream opens; observers are resolved once to plain functions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from aqz_core.codecs.base import CodecProvider
from aqz_core.errors import PluginError
from aqz_core.plugins import builtin
from aqz_core.plugins.discovery import (
    DISABLE_VARIABLE,
    PASSED,
    PassedProcessors,
    new_manager,
    register_installed,
    register_passed,
)
from aqz_core.plugins.hookspecs import OBSERVER_HOOKS
from aqz_core.plugins.records import FrameProcessor
from aqz_core.storage.sink import SinkProvider

if TYPE_CHECKING:
    import pluggy

    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.settings.stream import StreamSettings

__all__ = ["RESERVED_METADATA", "Hooks", "Observer", "create_plugin_manager"]

Observer: TypeAlias = Callable[[Any], object]
"""``function(event)``; what it returns is ignored."""

RESERVED_METADATA = frozenset({"ome", "aqz"})
"""Attributes that belong to OME-NGFF and to the engine."""

_BUILTIN_NAME = "aqz"

_STRICT_HOOKS = frozenset({"aqz_frame_processors"})
"""Hooks whose failure is an error whoever fails: pixels depend on them."""

_log = logging.getLogger("aqz")

RecordT = TypeVar("RecordT")


def create_plugin_manager(
    plugins: Iterable[object] = (), *, load_entry_points: bool = True
) -> Hooks:
    """Gather the built-in, the installed and the passed plug-ins.

    Parameters
    ----------
    plugins : iterable of object
        Modules or instances with functions marked ``@aqz_core.hookimpl``, and records of
        frame processors, in addition to the plug-ins that are installed.
    load_entry_points : bool
        Whether to load installed plug-ins (entry-point group ``aqz``). The environment
        variable ``AQZ_DISABLE_PLUGINS`` names those to leave out.

    Returns
    -------
    Hooks
        The plug-ins, ready to be asked.

    Raises
    ------
    PluginError
        If a passed plug-in does not fit the hooks. An installed plug-in that is broken, or
        uses the name of another, is logged and left out.
    """
    manager, origins = new_manager(), {_BUILTIN_NAME: "built in"}
    manager.register(builtin, _BUILTIN_NAME)
    if load_entry_points:
        register_installed(manager, origins)
    register_passed(manager, origins, plugins)
    return Hooks(manager, origins)


class Hooks:
    """Typed access to the hooks of a set of plug-ins.

    Every method raises `PluginError`, naming the plug-in and chaining its error, if a
    plug-in raises or returns something else than the hook asks for. Installed plug-ins are
    forgiven that where no pixel depends on it: what they offer is logged and left out,
    because a store must not depend on what else is installed when it is opened, resumed or
    repaired. Frame processors are not forgiven: without them other pixels would be stored.

    Parameters
    ----------
    manager : pluggy.PluginManager
        With the plug-ins registered.
    origins : mapping of str to str
        Where each plug-in comes from, by its name.
    forgiving : bool
        Whether installed plug-ins are forgiven.
    """

    __slots__ = ("_forgiving", "_manager", "_origins", "_reported")

    def __init__(
        self, manager: pluggy.PluginManager, origins: Mapping[str, str], *, forgiving: bool = True
    ) -> None:
        self._manager = manager
        self._forgiving = forgiving
        self._origins = dict(origins)
        self._reported: set[str] = set()

    def __repr__(self) -> str:
        return f"Hooks({', '.join(self.plugin_names)})"

    @property
    def plugin_names(self) -> tuple[str, ...]:
        """Names of the plug-ins in the order of registration, the built-in one first."""
        return tuple(self._origins)

    def codecs(self) -> Mapping[str, CodecProvider]:
        """Return the codec providers by name; two of one name are an error."""
        offers = self._collect("aqz_codecs", CodecProvider)
        return self._unique("codec", ((plugin, one.name, one) for plugin, one in offers))

    def sinks(self) -> Mapping[str, SinkProvider]:
        """Return the sink providers by URL scheme; two of one scheme are an error."""
        offers = self._collect("aqz_sinks", SinkProvider)
        return self._unique(
            "URL scheme",
            ((plugin, scheme, one) for plugin, one in offers for scheme in one.schemes),
        )

    def downsamplers(self) -> Mapping[str, Downsampler]:
        """Return the downsamplers by name; two of one name are an error."""
        from aqz_core.downsampling.methods import Downsampler

        offers = self._collect("aqz_downsamplers", Downsampler)
        return self._unique("downsampler", ((plugin, one.name, one) for plugin, one in offers))

    def frame_processors(self, settings: StreamSettings) -> tuple[FrameProcessor, ...]:
        """Return the frame processors of a stream in the order they run: those passed last."""
        offers = self._collect("aqz_frame_processors", FrameProcessor, settings=settings)
        plugins = self._manager.list_name_plugin()
        chains = {name for name, one in plugins if isinstance(one, PassedProcessors)}
        passed = [offer for offer in offers if offer[0] in chains]
        others = sorted(
            (one for one in offers if one[0] not in chains), key=lambda one: one[1].name
        )
        # Of those passed several may share a name: two crops, say, with binning in between.
        once = {one.name: (plugin, one) for plugin, one in passed}
        entries = ((plugin, one.name, one) for plugin, one in [*others, *once.values()])
        self._unique("frame processor", entries, strict=True)
        return tuple(sorted((one for _, one in [*others, *passed]), key=lambda one: one.order))

    def metadata(self, settings: StreamSettings) -> Mapping[str, Any]:
        """Return the attributes that plug-ins add to the root group, merged.

        Raises
        ------
        PluginError
            Also if two plug-ins set one name, if a name is reserved (``ome``, ``aqz``),
            or if a value is not JSON.
        """
        entries = [
            (plugin, name, value)
            for plugin, mapping in self._call("aqz_metadata", {"settings": settings})
            if mapping is not None
            for name, value in self._metadata_items(plugin, mapping)
        ]
        return self._unique("metadata name", entries)

    def observers(self, hook_name: str) -> tuple[tuple[str, Observer], ...]:
        """Return who observes one hook: name of the plug-in and function of one event.

        Parameters
        ----------
        hook_name : str
            One of `aqz_core.plugins.OBSERVER_HOOKS`.
        """
        if hook_name not in OBSERVER_HOOKS:
            raise ValueError(f"{hook_name!r} is not an observer hook; those are {OBSERVER_HOOKS}")
        return tuple(
            # An implementation may leave the event out of its arguments.
            (impl.plugin_name, impl.function if impl.argnames else _without_event(impl.function))
            for impl in self._implementations(hook_name)
        )

    def described(self, plugin: str) -> str:
        """Return name and origin of a plug-in, for a message."""
        return f"{plugin!r} ({self._origins.get(plugin, 'origin unknown')})"

    def _implementations(self, hook_name: str) -> list[pluggy.HookImpl]:
        """Return the implementations of a hook in pluggy's order of calling."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook_name)
        return caller.get_hookimpls()[::-1]

    def _call(self, hook_name: str, arguments: Mapping[str, object]) -> list[tuple[str, Any]]:
        """Return what each plug-in returns from a hook; several records as a tuple."""
        results = []
        for impl in self._implementations(hook_name):
            try:
                result: Any = impl.function(*(arguments[name] for name in impl.argnames))
                if isinstance(result, Iterable) and not isinstance(result, Mapping):
                    result = tuple(result)  # runs a generator here, where its errors are named
                results.append((impl.plugin_name, result))
            except Exception as error:
                problem = PluginError(
                    f"plug-in {self.described(impl.plugin_name)} failed in {hook_name}: "
                    f"{error!r}; repair it, or leave it out ({DISABLE_VARIABLE} switches "
                    "installed plug-ins off)"
                )
                problem.__cause__ = error
                self._refuse(problem, impl.plugin_name, strict=hook_name in _STRICT_HOOKS)
        return results

    def _refuse(self, problem: PluginError, *plugins: str, strict: bool = False) -> None:
        """Raise a problem, unless it is one of installed plug-ins, which are left out."""
        origins = {self._origins.get(plugin, "") for plugin in plugins}
        if strict or not self._forgiving or PASSED in origins or not all(origins):
            raise problem
        if str(problem) not in self._reported:
            self._reported.add(str(problem))
            _log.error("%s; it is left out", problem, exc_info=problem.__cause__)

    def _collect(
        self, hook_name: str, kind: type[RecordT], **arguments: object
    ) -> list[tuple[str, RecordT]]:
        """Return the records that a hook offers, each with the name of its plug-in."""
        offers = []
        for plugin, result in self._call(hook_name, arguments):
            for record in _records(result):
                if isinstance(record, kind):
                    offers.append((plugin, record))
                    continue
                problem = PluginError(
                    f"plug-in {self.described(plugin)} returned {record!r} from "
                    f"{hook_name}; it must return {kind.__name__} records"
                )
                self._refuse(problem, plugin, strict=hook_name in _STRICT_HOOKS)
        return offers

    def _unique(
        self, what: str, entries: Iterable[tuple[str, str, RecordT]], *, strict: bool = False
    ) -> Mapping[str, RecordT]:
        """Return the records by key.

        Of two that share one, a built-in record stays, and neither of two installed ones: which
        of them the user meant cannot be known. Anything else is a `PluginError`.
        """
        offers: dict[str, dict[str, RecordT]] = {}
        for plugin, key, record in sorted(entries, key=lambda one: self.plugin_names.index(one[0])):
            rivals = offers.setdefault(key, {})
            if rivals:
                first = next(iter(rivals))
                problem = PluginError(
                    f"the {what} {key!r} is offered by plug-in {self.described(first)} and by "
                    f"plug-in {self.described(plugin)}; leave one of them out"
                )
                self._refuse(problem, first, plugin, strict=strict)
            rivals[plugin] = record
        return MappingProxyType(
            {
                key: next(iter(rivals.values()))
                for key, rivals in offers.items()
                if len(rivals) == 1 or _BUILTIN_NAME in rivals
            }
        )

    def _metadata_items(self, plugin: str, mapping: object) -> Iterable[tuple[str, Any]]:
        """Return the items of a plug-in's metadata, checked."""
        if problem := _metadata_problem(mapping):
            self._refuse(PluginError(f"plug-in {self.described(plugin)} {problem}"), plugin)
            return ()
        items: Mapping[str, Any] = cast("Mapping[str, Any]", mapping)
        return items.items()


def _metadata_problem(mapping: object) -> str:
    """Return what is wrong with the metadata that a plug-in offers, or nothing."""
    if not isinstance(mapping, Mapping):
        return (
            f"returned {mapping!r} from aqz_metadata; "
            "it must return a mapping of names to JSON values"
        )
    for name, value in mapping.items():
        if not isinstance(name, str) or name in RESERVED_METADATA:
            return (
                f"sets the metadata {name!r}; a name must "
                f"be a string other than {', '.join(sorted(RESERVED_METADATA))}"
            )
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            return f"sets the metadata {name!r} to a value that is not JSON ({error})"
    return ""


def _records(result: object) -> tuple[object, ...]:
    """Return what a provider hook returned as a tuple: nothing, one record, or several."""
    if result is None:
        return ()
    return result if isinstance(result, tuple) else (result,)


def _without_event(function: Callable[[], object]) -> Observer:
    """Return an observer that calls `function` with no event."""
    return partial(_drop_event, function)


def _drop_event(function: Callable[[], object], _event: object) -> object:
    """Call `function` and forget the event."""
    return function()
