"""The picture of ``aqz bench``; needs matplotlib, which is loaded only for it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from aqz_core.cli.bench.load import CameraLoad
    from aqz_core.cli.bench.measure import CodecTrial

__all__ = ["check_plot", "write_plot"]

COLUMNS = 400
"""Points of a curve of latencies; each shows the worst of its share of the frames."""


def check_plot(path: Path) -> None:
    """Raise if no plot can be made, before anything is measured for it.

    Raises
    ------
    SettingsError
        matplotlib is missing, or the file is no PNG.
    """
    if path.suffix.lower() != ".png":
        raise SettingsError(f"the plot {path} must be a PNG file: let its name end with .png")
    if find_spec("matplotlib") is None:
        raise SettingsError(
            "--plot needs matplotlib; install it with 'python -m pip install matplotlib', or "
            "leave --plot out"
        )


def write_plot(path: Path, camera: CameraLoad, trials: Sequence[CodecTrial]) -> None:
    """Draw what each codec sustains beside what the camera sends, and the latencies of `append`.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(10, 4.2), layout="constrained")
    rates, latencies = figure.subplots(1, 2)
    _draw_rates(rates, camera, trials)
    _draw_latencies(latencies, camera, trials)
    figure.suptitle(f"aqz bench, camera {camera}")
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error


def _draw_rates(axes: Any, camera: CameraLoad, trials: Sequence[CodecTrial]) -> None:
    """Draw a bar for each codec, and the camera as a line across."""
    needed = camera.bytes_per_second / 1e6
    rates = [trial.sustained.bytes_per_second / 1e6 for trial in trials]
    colors = ["tab:green" if rate >= needed else "tab:red" for rate in rates]
    bars = axes.bar([trial.codec for trial in trials], rates, color=colors)
    axes.bar_label(bars, fmt="%.0f")
    axes.axhline(needed, color="black", linestyle="--", label=f"camera, {needed:.0f} MB/s")
    axes.set_ylim(0, 1.25 * max([needed, *rates]))
    axes.set_ylabel("MB/s sustained")
    axes.legend(loc="upper right")


def _draw_latencies(axes: Any, camera: CameraLoad, trials: Sequence[CodecTrial]) -> None:
    """Draw the worst latencies over time, and the time that the camera leaves for a frame."""
    for trial in trials:
        worst = _worst(trial.paced.latencies) * 1e3
        seconds = np.linspace(0, trial.paced.frames / camera.fps, len(worst))
        axes.plot(seconds, worst, linewidth=1, label=trial.codec)
    axes.axhline(1e3 / camera.fps, color="black", linestyle="--", label="one frame's time")
    axes.set_yscale("log")
    axes.set_xlabel("seconds of the camera")
    axes.set_ylabel("append, ms (worst)")
    axes.legend(loc="upper right")


def _worst(latencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the worst of each share of the latencies, in their order."""
    shares = np.array_split(latencies, min(COLUMNS, len(latencies)))
    return np.array([share.max() for share in shares])
