"""What a process used: memory and processor time, as the operating system counts them.

Linux figures where /proc is there (high-water mark of resident memory, which can be reset), else
the figures of ``getrusage``, whose peak covers the whole life of the process.
"""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Run",
    "cpu_seconds",
    "filesystem_of",
    "latency_summary",
    "machine_cpu_seconds",
    "peak_rss",
    "reset_peak_rss",
]

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one recording in one process; seconds and bytes throughout.

    ``error`` is empty for a run that finished and was verified. ``first_tenth`` and
    ``last_tenth`` are mean seconds per append over those parts of the run, ``lag`` is how late
    the latest frame of a paced run was accepted, ``cpu_others`` what the rest of the machine used
    meanwhile: much of it means that the run was disturbed.
    """

    case: str
    writer: str
    error: str = ""
    frames: int = 0
    total_bytes: int = 0
    stored_bytes: int = 0
    open: float = 0.0
    append: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    cpu_others: float = 0.0
    rss_baseline: int = 0
    rss_peak: int = 0
    latency_p50: float = 0.0
    latency_p99: float = 0.0
    latency_max: float = 0.0
    first_tenth: float = 0.0
    last_tenth: float = 0.0
    pace: float = 0.0
    lag: float = 0.0
    round: int = 0

    @property
    def rss_above(self) -> int:
        """Peak resident bytes above what was there when the stream was opened."""
        return max(self.rss_peak - self.rss_baseline, 0)

    @property
    def throughput(self) -> float:
        """GB/s from the first append until close returned."""
        return self.total_bytes / self.wall / 1e9 if self.wall else 0.0

    @property
    def append_throughput(self) -> float:
        """GB/s from the first append until the last append returned."""
        return self.total_bytes / self.append / 1e9 if self.append else 0.0

    @property
    def cpu_per_gb(self) -> float:
        """CPU seconds per GB appended."""
        return self.cpu / (self.total_bytes / 1e9) if self.total_bytes else 0.0

    @property
    def drift(self) -> float:
        """Mean append of the last tenth of the frames over that of the first tenth."""
        return self.last_tenth / self.first_tenth if self.first_tenth else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def cpu_seconds() -> float:
    """Return user and system seconds of this process and of its finished children."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def machine_cpu_seconds() -> float:
    """Return the busy seconds of all cores since the machine started, 0 where it is not told."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _idle, _wait, *interrupts = stat.read_text().split("\n", 1)[0].split()[1:9]
    ticks = sum(map(int, (user, nice, system, *interrupts)))
    return ticks / os.sysconf("SC_CLK_TCK")


def reset_peak_rss() -> None:
    """Lower the high-water mark to the memory resident now, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("peak RSS cannot be reset here: it includes making the frames", file=sys.stderr)


def peak_rss() -> int:
    """Return the high-water mark of resident memory in bytes."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def latency_summary(seconds: NDArray[np.float64]) -> dict[str, Any]:
    """Return the latency fields of :class:`Run` for the seconds of each append, shape (frames,)."""
    if not seconds.size:
        return {}
    ordered = sorted(seconds.tolist())
    tenth = max(seconds.size // 10, 1)
    return {
        "latency_p50": ordered[len(ordered) // 2],
        # The smallest latency that 99 % of the frames do not exceed.
        "latency_p99": ordered[-(-99 * len(ordered) // 100) - 1],
        "latency_max": ordered[-1],
        "first_tenth": float(seconds[:tenth].mean()),
        "last_tenth": float(seconds[-tenth:].mean()),
    }


def filesystem_of(folder: Path) -> str:
    """Return the type of the filesystem that holds `folder`, "unknown" where it cannot be told."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    best, kind = "", "unknown"
    for line in mounts.read_text().splitlines():
        _, point, found, *_ = line.split()
        inside = os.path.commonpath([folder.resolve(), point]) == point
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
