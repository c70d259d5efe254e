"""pymmcore-plus on the DemoCamera: ``python examples/micromanager_pymmcore_plus.py [folder]``.

Needs ``python -m pip install ".[micromanager]"``. At a microscope, load its own configuration.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mm_test_adapters
import useq
from pymmcore_plus import CMMCorePlus

from aqz_micromanager import MDAHandler


def main() -> None:
    """Record two wells of a plate with two points each, in two channels."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    adapters = mm_test_adapters.device_adapter_path()
    core = CMMCorePlus()
    core.setDeviceAdapterSearchPaths([adapters])
    core.loadSystemConfiguration(str(Path(adapters) / "MMConfig_demo.cfg"))
    sequence = useq.MDASequence(
        time_plan={"interval": 0.2, "loops": 2},
        channels=["DAPI", "FITC"],
        stage_positions=useq.WellPlatePlan(
            plate="96-well",
            a1_center_xy=(0, 0),
            selected_wells=([0, 1], [0, 1]),
            well_points_plan=useq.GridRowsColumns(rows=1, columns=2),
        ),
    )
    with MDAHandler(folder / "micromanager_pymmcore_plus.zarr", core=core) as handler:
        core.mda.run(sequence, output=handler)
    print(handler.state, handler.statistics())


if __name__ == "__main__":
    main()
