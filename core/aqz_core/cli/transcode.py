"""``aqz transcode``: a store from another one, or from files of other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aqz_core.cli.display import lasting_console
from aqz_core.cli.json_output import print_json
from aqz_core.cli.wording import plain, write_bytes
from aqz_core.settings.paths import without_password

if TYPE_CHECKING:
    from rich.console import Console

    from aqz_core.transcoding.progress import (
        TranscodingPlan,
        TranscodingProgress,
        TranscodingReport,
    )

__all__ = ["run_transcode"]


def run_transcode(
    source: str, destination: str, *, dry_run: bool, as_json: bool, **options: Any
) -> int:
    """Make a store, show how far it is, and return the exit code.

    Raises
    ------
    AqzError
        It cannot be made; the message says why.
    """
    from aqz_core.transcoding.transcode import transcode

    with lasting_console(errors=as_json) as console, _Bar(console) as bar:
        try:
            report = transcode(source, destination, dry_run=dry_run, on_progress=bar, **options)
        except KeyboardInterrupt:
            console.print("interrupted; the same command makes what is missing")
            return 130
        if dry_run:
            _show_plan(console, report.plan)
    if as_json:
        print_json(_document(source, destination, report, dry_run=dry_run))
    elif not dry_run:
        kept = f"; {report.kept} tasks were done before" if report.kept else ""
        typer.echo(
            f"{report.files} files, {write_bytes(report.nbytes)}, stored in "
            f"{without_password(destination)} in {report.seconds:.1f} s{kept}"
        )
    return 0


class _Bar:
    """Shows the plan, and then tasks, on a terminal as a bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = False
        self._bar = Progress(
            TextColumn("transcoding"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("transcoding", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: TranscodingProgress) -> None:
        """Show how far it is."""
        if not self._shown:
            self._shown = True
            _show_plan(self._console, progress.plan)
        self._bar.update(self._task, completed=progress.done, total=progress.total)


def _show_plan(console: Console, plan: TranscodingPlan) -> None:
    """Say what will be done, and what it takes."""
    console.print(
        f"{plan.images} image{'s' * (plan.images != 1)}, "
        f"{plan.tasks} task{'s' * (plan.tasks != 1)}; "
        f"{write_bytes(plan.source_nbytes)} to read (each byte {plan.source_factor:.2f} times), "
        f"{write_bytes(plan.nbytes)} to store before compression",
        soft_wrap=True,
    )
    console.print(
        f"memory: up to {write_bytes(plan.task_nbytes)} for each of {plan.workers} tasks at a "
        f"time, {write_bytes(plan.task_nbytes * plan.workers)} in all",
        soft_wrap=True,
    )
    if plan.source_factor > 2:
        console.print(
            "chunks of the source are cut by the shards that are asked for: shards that are "
            "multiples of its chunks would be read once",
            soft_wrap=True,
        )
    for name in plan.left_out[:5]:
        console.print(f"not carried over: {plain(name)}", soft_wrap=True)
    if len(plan.left_out) > 5:
        console.print(f"... and {len(plan.left_out) - 5} more files are not carried over")


def _document(
    source: str, destination: str, report: TranscodingReport, *, dry_run: bool
) -> dict[str, Any]:
    """Return what was done, or would be, for programs."""
    plan = report.plan
    return {
        "source": without_password(source),
        "destination": without_password(destination),
        "dry_run": dry_run,
        "images": plan.images,
        "tasks": plan.tasks,
        "tasks_kept": report.kept,
        "files": report.files,
        "nbytes": report.nbytes,
        "source_nbytes": plan.source_nbytes,
        "source_factor": plan.source_factor,
        "task_nbytes": plan.task_nbytes,
        "workers": plan.workers,
        "seconds": report.seconds,
        "left_out": list(plan.left_out),
    }
