"""pycro-manager on the DemoCamera: ``python examples/micromanager_pycromanager.py [folder]``.

Needs ``python -m pip install ".[micromanager]"``, no Java and no Micro-Manager. At a microscope,
start Micro-Manager and leave out `start_headless`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mm_test_adapters
from mmpycorex import Core
from pycromanager import Acquisition, multi_d_acquisition_events, start_headless

from aqz_micromanager import ZarrProcessor


def main() -> None:
    """Record three time points at two positions in two channels, five planes each."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    start_headless(
        mm_app_path=mm_test_adapters.device_adapter_path(),
        config_file="MMConfig_demo.cfg",
        python_backend=True,
    )
    events = multi_d_acquisition_events(
        num_time_points=3,
        time_interval_s=0.5,
        channel_group="Channel",
        channels=["DAPI", "FITC"],
        z_start=0,
        z_end=2,
        z_step=0.5,
        xy_positions=[(0, 0), (250, 100)],
        position_labels=["left", "right"],
    )
    store = folder / "micromanager_pycromanager.zarr"
    with (
        ZarrProcessor(store, events=events, core=Core()) as zarr,
        Acquisition(directory=None, image_process_fn=zarr) as acquisition,
    ):
        acquisition.acquire(events)
    print(zarr.state, zarr.statistics())


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the engine's threads would keep the program alive
