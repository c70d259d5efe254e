"""``aqz bench``: will this disk hold that camera? Measured, as a verdict, a table and a plot."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from aqz_core.cli.bench.measure import CodecTrial, Verdict, judge, measure
from aqz_core.cli.bench.plot import check_plot, write_plot
from aqz_core.cli.json_output import print_json
from aqz_core.cli.wording import open_console, write_bytes, write_shape
from aqz_core.errors import StorageError
from aqz_core.planning.suggestion import suggest_layout
from aqz_core.recording.process import exit_on_sigterm
from aqz_core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from aqz_core.cli.bench.load import CameraLoad

__all__ = ["BenchOptions", "run_bench"]


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the user asked ``aqz bench`` for.

    Attributes
    ----------
    folder
        On the disk in question.
    camera
        What to record.
    seconds
        Length of each recording; there are two for each codec.
    codecs
        Names, as for `open_stream`.
    pyramid
        Whether smaller versions are recorded, too.
    json, plot
        Files for the figures and for a picture of them; ``-`` prints the figures.
    """

    folder: Path
    camera: CameraLoad
    seconds: float
    codecs: tuple[str, ...]
    pyramid: bool = False
    json: Path | None = None
    plot: Path | None = None


def run_bench(options: BenchOptions) -> int:
    """Measure, report, and return the exit code: 0 if a codec holds the camera, else 1.

    Raises
    ------
    AqzError
        There is too little room, the folder cannot be written, or the plot cannot be made.
    """
    to_output = str(options.json) == "-"
    console = open_console(stderr=to_output)
    for file in (options.json, options.plot):
        if file is not None and str(file) != "-" and not file.absolute().parent.is_dir():
            raise StorageError(f"the folder of {file} is not there; make it, or name another file")
    if options.plot is not None:
        check_plot(options.plot)
    camera = options.camera
    console.print(
        f"camera: {write_shape(camera.shape)} {camera.dtype.name} at {camera.fps:g} frames/s, "
        f"{camera.bytes_per_second / 1e6:.0f} MB/s\n"
        f"disk:   {options.folder}, {write_bytes(_free(options.folder))} free",
        markup=False,
        soft_wrap=True,
    )
    trials: list[CodecTrial] = []
    try:
        with exit_on_sigterm():
            _measure(options, console, trials)
    except KeyboardInterrupt:
        console.print("interrupted; nothing of it is left on the disk")
        return 130
    verdicts = judge(camera, trials)
    _report(console, camera, trials, verdicts)
    if to_output:
        print_json(_document(options, trials, verdicts))
    elif options.json is not None:
        _write(options.json, json.dumps(_document(options, trials, verdicts), indent=2) + "\n")
    if options.plot is not None:
        write_plot(options.plot, camera, trials)
    return int(all(verdict.answer == "no" for verdict in verdicts))


def _measure(options: BenchOptions, console: Console, trials: list[CodecTrial]) -> None:
    """Measure every codec, and say meanwhile what is being done."""
    with console.status("") as status:

        def tell(text: str) -> None:
            status.update(text)
            if not console.is_terminal:
                console.print(text, markup=False)

        measured = measure(
            options.folder,
            options.camera,
            options.codecs,
            seconds=options.seconds,
            pyramid="mean" if options.pyramid else None,
            tell=tell,
        )
        with contextlib.closing(measured):
            trials.extend(measured)


def _report(
    console: Console,
    camera: CameraLoad,
    trials: list[CodecTrial],
    verdicts: tuple[Verdict, ...],
) -> None:
    """Print the figures, then the answer."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("codec")
    for heading in _FIGURES:
        table.add_column(heading, justify="right")
    for trial in trials:
        table.add_row(trial.codec, *(figure(camera, trial) for figure in _FIGURES.values()))
    console.print(table)
    console.print(f"Will it hold {camera}?", markup=False)
    for verdict in verdicts:
        console.print(f"  {verdict.codec}: {verdict.text}", markup=False, soft_wrap=True)


_FIGURES: dict[str, Callable[[CameraLoad, CodecTrial], str]] = {
    "GB/s": lambda _, t: f"{t.sustained.bytes_per_second / 1e9:.2f}",
    "frames/s": lambda c, t: f"{t.sustained.bytes_per_second / c.frame_nbytes:,.1f}",
    "headroom": lambda c, t: f"{t.headroom(c):.2f} x",
    "ratio": lambda _, t: f"{t.sustained.ratio:.2f}",
    "CPU s/GB": lambda _, t: f"{t.sustained.cpu_seconds_per_gb:.2f}",
    "append p99 ms": lambda _, t: f"{t.paced.latency(0.99) * 1e3:.2f}",
    "max ms": lambda _, t: f"{t.paced.latency(1) * 1e3:.2f}",
    "frames waiting": lambda _, t: f"{t.paced.backlog:,}",
}
"""Columns of the table. Latencies and waiting frames are those at the camera's pace."""


def _document(
    options: BenchOptions, trials: list[CodecTrial], verdicts: tuple[Verdict, ...]
) -> dict[str, Any]:
    """Return everything as JSON values, in bytes and seconds."""
    camera = options.camera
    layout = suggest_layout((0, *camera.shape), camera.data_type, "tyx")
    return {
        "aqz": __version__,
        "camera": str(camera),
        "bytes_per_second": camera.bytes_per_second,
        "folder": str(options.folder),
        "cores": os.cpu_count(),
        "seconds": options.seconds,
        "pyramid": options.pyramid,
        "chunk_shape": layout.chunk_shape,
        "shard_chunks": layout.shard_chunks,
        "codecs": {
            trial.codec: {
                "verdict": asdict(verdict),
                "sustained": trial.sustained.as_dict(),
                "paced": trial.paced.as_dict(),
            }
            for trial, verdict in zip(trials, verdicts, strict=True)
        },
    }


def _write(path: Path, text: str) -> None:
    """Write a text file."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error


def _free(folder: Path) -> int:
    """Return the free bytes of a disk."""
    import shutil

    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"{folder} is not a folder: {error}") from error
