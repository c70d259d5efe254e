"""``aqz plugins``: what is installed, where it comes from, and what is broken."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import typer

from aqz_core.cli.json_output import print_json
from aqz_core.display.printable import visible
from aqz_core.plugins.inventory import PluginInfo, list_plugins

__all__ = ["show_plugins"]


def show_plugins(*, as_json: bool) -> int:
    """List the plug-ins; return 1 if one is broken."""
    infos = list_plugins()
    if as_json:
        print_json({"plugins": [_document(info) for info in infos]})
    else:
        for info in infos:
            _show(info)
    return int(any(info.problems for info in infos))


def _document(info: PluginInfo) -> dict[str, object]:
    """Return one plug-in as JSON values."""
    return {**dataclasses.asdict(info), "offers": _by_kind(info)}


def _by_kind(info: PluginInfo) -> dict[str, list[str]]:
    """Return the names that a plug-in offers, by kind."""
    names: dict[str, list[str]] = defaultdict(list)
    for kind, name in info.offers:
        names[kind].append(name)
    return dict(names)


def _show(info: PluginInfo) -> None:
    """Print a plug-in: a line for itself, and one for each thing to know."""
    state = " - switched off" if info.is_disabled else " - broken" if info.problems else ""
    _print(f"{info.name} ({info.distribution}){state}")
    _print(f"  from   {info.location}")
    if info.hooks:
        _print(f"  hooks  {', '.join(info.hooks)}")
    for kind, names in _by_kind(info).items():
        _print(f"  {kind}: {', '.join(names)}")
    for problem in info.problems:
        _print(f"  problem: {' '.join(problem.split())}")


def _print(line: str) -> None:
    """Print one line; what plug-ins say cannot disturb the terminal."""
    typer.echo(visible(line))
