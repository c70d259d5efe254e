"""Record and read back with a fault in the engine that shows on Windows alone.

    python -m tests.desks.planted_faults [windows] FAULT...

prints ``equal`` if what was recorded is what is read.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

import numpy as np

if "windows" in sys.argv:
    importlib.import_module("tests.desks.windows")

import aqz_core as aqz
from aqz_core.settings import keys
from aqz_core.storage import filesystem, platform, regular_files

_left_open = []


def rename_of_an_open_file():
    """A file is closed only after it was given its name."""
    write_file = filesystem._write_file

    def write_and_keep(path, *arguments):
        write_file(path, *arguments)
        _left_open.append(Path(path).open("rb"))  # noqa: SIM115

    filesystem._write_file = write_and_keep
    platform.REPLACE_SECONDS = 0


def missing_binary_flag():
    """Files are opened as POSIX opens them."""
    regular_files._BINARY = 0


def case_clash():
    """Keys that differ in case only are taken for two arrays."""
    keys._check_case = lambda nodes: None


def record_and_read(folder):
    """Return whether two images come back as they were recorded."""
    frames = np.arange(8 * 256, dtype="u2").reshape(8, 16, 16)
    with aqz.open_stream(
        folder / "s",
        shape=(0, 16, 16),
        dtype="u2",
        chunks=(2, 16, 16),
        positions=POSITIONS,
        compression="none",
    ) as stream:
        for number, key in enumerate(POSITIONS):
            stream.append(frames + number, key=key)
    return all(
        np.array_equal(aqz.ZarrArrayReader(folder / "s" / key / "0").read(), frames + number)
        for number, key in enumerate(POSITIONS)
    )


FAULTS = [rename_of_an_open_file, missing_binary_flag, case_clash]
POSITIONS = ["cell", "Cell"] if "case_clash" in sys.argv else ["cell", "other"]

if __name__ == "__main__":
    for fault in FAULTS:
        if fault.__name__ in sys.argv:
            fault()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        print("equal" if record_and_read(Path(folder)) else "different")
