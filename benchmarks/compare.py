"""Command line of the comparison: ``python -m benchmarks.compare``.

Parses the options, runs the plan with a line of progress per run, prints the tables, and writes
JSON and a plot when asked to.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks.cases import GRIDS, select
from benchmarks.measure import filesystem_of
from benchmarks.results import Results
from benchmarks.runner import LIMIT
from benchmarks.schedule import Entrant, Plan, enter, run_plan
from benchmarks.tables import case_list, failures, main_table, paced_table
from benchmarks.writers import CONTEXT, STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Run

__all__ = ["main"]

_WIDE = 180  # columns; what the main table needs when the output is not a terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return 0, or 1 if any run failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    try:
        cases = [case.scaled(options.frames_scale) for case in select(options.cases, options.grid)]
        compared = _named_writers(options.writers)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        console.print(case_list(cases))
        return 0
    plan = Plan(
        cases=cases,
        compared=compared,
        context=enter(
            [*(CONTEXT if options.context else ()), *([LIMIT] if options.limits else [])]
        ),
        rounds=options.rounds,
        target=options.target,
        timeout=options.timeout,
        paced=options.paced,
    )
    results = Results(plan)
    console.print(f"target {plan.target} ({filesystem_of(plan.target)}), {plan.rounds} rounds\n")
    try:
        for run in run_plan(plan):
            results.runs.append(run)
            print(_progress(run), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        console.print("interrupted: this is what was measured so far")
    _report(results, console, options.json, options.plot)
    return int(any(run.error for run in results.runs))


def _parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="show the cases and stop")
    add("--cases", nargs="+", default=[], metavar="NAME", help="names or patterns, of any grid")
    add("--grid", choices=GRIDS, default="quick", help="which cases when none are named")
    add("--rounds", type=_positive(int), default=3, help="alternating rounds (default 3)")
    add("--writers", default="aqz,acquire", help="compared writers, first / second; default both")
    add("--target", type=_folder, default=Path(tempfile.gettempdir()), help="folder to write to")
    add("--frames-scale", type=_positive(float), default=1.0, help="share of each case's frames")
    add("--paced", action="store_true", help="also measure latency under a paced camera")
    add("--context", action="store_true", help=f"also measure {' and '.join(CONTEXT)}")
    add("--limits", action="store_true", help="also measure what the machine allows")
    add("--timeout", type=_positive(float), default=300.0, help="seconds per run (default 300)")
    add("--json", type=Path, metavar="OUT", help="write everything that was measured")
    add("--plot", type=Path, metavar="OUT.png", help="draw throughput and ratios")
    return parser


def _positive(kind: type[float]) -> Callable[[str], float]:
    """Return a parser of numbers of that type above zero."""

    def parse(text: str) -> float:
        value = kind(text)
        if value <= 0:
            msg = f"{text} is not above zero"
            raise argparse.ArgumentTypeError(msg)
        return value

    parse.__name__ = kind.__name__  # argparse names it when the text is not a number
    return parse


def _folder(text: str) -> Path:
    """Parse an existing folder."""
    path = Path(text).resolve()
    if not path.is_dir():
        msg = f"{text} is not a folder"
        raise argparse.ArgumentTypeError(msg)
    return path


def _named_writers(text: str) -> list[Entrant]:
    """Parse ``aqz,acquire``."""
    names = [name.strip() for name in text.split(",")]
    known = (*STREAMS, *CONTEXT)
    for name in names:
        if name not in known:
            msg = f"unknown writer {name!r}; there are {', '.join(known)}"
            raise ValueError(msg)
    return enter(names)


def _progress(run: Run) -> str:
    """Return one line for a finished run."""
    how = f"{run.error}" if run.error else f"{run.throughput:.3f} GB/s  {run.cpu:.1f} CPU s"
    paced = f" at {run.pace:.0f} frames/s" if run.pace else ""
    return f"{run.case:28} round {run.round + 1}  {run.writer:12} {how}{paced}"


def _report(results: Results, console: Console, json_path: Path | None, plot: Path | None) -> None:
    """Print the tables and write the files."""
    if json_path:
        json_path.write_text(json.dumps(results.as_dict(), indent=1) + "\n")
    console.print(main_table(results))
    if results.plan.paced:
        console.print(paced_table(results))
    for line in failures(results):
        console.print(line, style="red", soft_wrap=True)
    if plot:
        from benchmarks.plot import save_plot  # matplotlib only where asked for

        save_plot(results, plot)


if __name__ == "__main__":
    sys.exit(main())
