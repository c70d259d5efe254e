"""``aqz repair``: finish a store whose recording ended before it was closed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from aqz_core.cli.validate import show_findings
from aqz_core.cli.wording import open_console, plain
from aqz_core.recovery import Severity, repair_store

if TYPE_CHECKING:
    from aqz_core.settings.s3 import S3Settings

__all__ = ["repair"]


def repair(
    store: str,
    s3: S3Settings | None = None,
    *,
    apply: bool,
    abort_uploads: bool = False,
    as_json: bool,
) -> int:
    """List, or make, the changes that a store needs.

    Parameters
    ----------
    store, s3
        Its directory, or its URL and how to reach it.
    apply
        Whether to make them.
    abort_uploads
        Whether uploads that never ended are thrown away, too.
    as_json
        Whether to print one JSON document instead of text.

    Returns
    -------
    int
        0 when nothing is left to be repaired, 1 when something cannot be.

    Raises
    ------
    StoreBusyError
        The store is being recorded.
    SettingsError, StorageError
        There is no such store, it cannot be reached, or a change could not be made.
    """
    report = repair_store(store, s3=s3, apply=apply, abort_uploads=abort_uploads)
    failed = any(found.severity is Severity.ERROR for found in report.findings)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
        return 1 if failed else 0
    console = open_console()
    for action in report.actions:
        console.print(f"{plain(action.where)}: {plain(action.what)}", soft_wrap=True)
    show_findings(report.findings, console)
    if not report.actions:
        console.print("nothing can be repaired" if failed else "nothing to do")
    elif apply:
        console.print(f"{len(report.actions)} changes made")
    else:
        console.print(f"{len(report.actions)} changes to make; --apply makes them")
    return 1 if failed else 0
