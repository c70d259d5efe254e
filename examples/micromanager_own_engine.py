"""An engine of one's own, by five verbs: ``python examples/micromanager_own_engine.py [folder]``.

`RunRecorder` is what the adapters of pycro-manager and pymmcore-plus are made of: ``expect``,
``put``, ``note``, ``fail``, ``finish``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aqz_micromanager import ArrivedFrame, PlanBuilder, RunRecorder, Site


def plan(builder: PlanBuilder) -> None:
    """Say what will come: four time points of one place, two channels."""
    builder.add_site(Site((), x_um=100.0, y_um=50.0))
    for time in range(4):
        for channel in ("red", "green"):
            axes = {"time": time, "channel": channel}
            builder.add_frame(axes)
            builder.add_start(axes, 2.0 * time)
    builder.complete = True


def main() -> None:
    """Record frames that come in no particular order."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    recorder = RunRecorder(str(folder / "micromanager_own_engine.zarr"))
    recorder.expect(plan)
    recorder.note("summary", {"operator": "night shift"})
    try:
        for time in (3, 1, 0, 2):
            for channel in ("green", "red"):
                pixels = np.full((64, 96), 10 * time + (channel == "green"), "uint16")
                axes = {"time": time, "channel": channel}
                tags = {"PixelSizeUm": 0.65, "Exposure": 20}
                recorder.put(ArrivedFrame(pixels, axes, tags))
    except Exception as error:
        recorder.fail(error)
    recorder.finish()
    print(recorder.statistics())


if __name__ == "__main__":
    main()
