"""``aqz validate``: check a store, and say what is wrong with it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from aqz_core.cli.progress import bytes_bar
from aqz_core.cli.wording import open_console, plain, write_bytes, write_shape
from aqz_core.recovery import Severity, validate_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from aqz_core.recovery import Finding, ValidationReport
    from aqz_core.settings.s3 import S3Settings

__all__ = ["show_findings", "validate"]

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def validate(store: str, s3: S3Settings | None = None, *, decode: bool, as_json: bool) -> int:
    """Check a store and print what was found.

    Parameters
    ----------
    store, s3
        Its directory, or its URL and how to reach it.
    decode
        Whether to undo the codecs of every chunk.
    as_json
        Whether to print one JSON document instead of text.

    Returns
    -------
    int
        0 when no damage was found, 1 otherwise.

    Raises
    ------
    SettingsError, StorageError
        There is no such store, or it cannot be reached.
    """
    if as_json:
        report = validate_store(store, s3=s3, decode=decode)
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
        return 0 if report.is_valid else 1
    console = open_console()
    report = _with_progress(store, s3, decode, console)
    _show(report, console)
    return 0 if report.is_valid else 1


def show_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print one line for each finding, the worst first."""
    order = list(Severity)
    for finding in sorted(findings, key=lambda found: order.index(found.severity)):
        style = _STYLES[finding.severity]
        where = "" if finding.where == "." else f"{plain(finding.where)}: "
        console.print(
            f"[{style}]{finding.severity}[/] {where}{plain(finding.what)}", soft_wrap=True
        )


def _with_progress(
    store: str, s3: S3Settings | None, decode: bool, console: Console
) -> ValidationReport:
    """Check a store behind a bar that shows how far the check is."""
    with bytes_bar("checking", console) as progress:
        task = progress.add_task("checking", total=None)
        return validate_store(
            store,
            s3=s3,
            decode=decode,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _show(report: ValidationReport, console: Console) -> None:
    """Print the arrays, the findings, and the verdict."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("array")
    table.add_column("shape")
    for heading in ("files", "chunks", "decoded", "stored"):
        table.add_column(heading, justify="right")
    for array in report.arrays:
        table.add_row(
            plain(array.path or "."),
            write_shape(array.shape),
            str(array.files),
            str(array.chunks),
            str(array.decoded),
            write_bytes(array.nbytes),
        )
    if report.arrays:
        console.print(table)
    show_findings(report.findings, console)
    if report.state is not None:
        console.print(f"state: {plain(report.state)}")
    for what in report.unchecked:
        console.print(f"[dim]not checked: {plain(what)}[/]", soft_wrap=True)
    errors = sum(found.severity is Severity.ERROR for found in report.findings)
    verdict = f"[red]damaged: {errors} errors[/]" if errors else "[green]no damage was found[/]"
    console.print(verdict)
