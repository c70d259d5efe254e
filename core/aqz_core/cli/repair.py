"""``aqz repair``: finish a store whose recording ended before it was closed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.markup import escape

from aqz_core.cli.validate import show_findings
from aqz_core.cli.wording import open_console
from aqz_core.recovery import Severity, repair_store

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["repair"]


def repair(store: Path, *, apply: bool, as_json: bool) -> int:
    """List, or make, the changes that a store needs.

    Parameters
    ----------
    store
        Its directory.
    apply
        Whether to make them.
    as_json
        Whether to print one JSON document instead of text.

    Returns
    -------
    int
        0 when nothing is left to be mended, 1 when something cannot be.

    Raises
    ------
    StoreBusyError
        The store is being recorded.
    StorageError
        There is no such directory, or a change could not be made.
    """
    report = repair_store(store, apply=apply)
    failed = any(found.severity is Severity.ERROR for found in report.findings)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
        return 1 if failed else 0
    console = open_console()
    for action in report.actions:
        console.print(f"{escape(action.where)}: {escape(action.what)}", soft_wrap=True)
    show_findings(report.findings, console)
    if not report.actions:
        console.print("nothing to do")
    elif apply:
        console.print(f"{len(report.actions)} changes made")
    else:
        console.print(f"{len(report.actions)} changes to make; --apply makes them")
    return 1 if failed else 0
