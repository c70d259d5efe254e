"""Closing a real napari window while it records."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aqz_core as aqz
from tests.napari.window import needs_display

pytest.importorskip("napari", reason="needs the extra `napari`")
pytestmark = needs_display

CHECKOUT = Path(__file__).parents[3]


def test_closing_asks_goes_on_if_told_so_and_finishes(tmp_path):
    store = tmp_path / "live.ome.zarr"
    environment = {**os.environ, "NAPARI_CONFIG": str(tmp_path / "settings.yaml")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.napari.widget.closing_session", str(store), "no,yes"],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    said = done.stdout.split("\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert said[:4] == ["recording", "asked", "goes on", "asked"]
    state, written, dropped = said[4].split()
    assert (state, dropped) == ("finished", "0")
    assert said[5] == "closed"
    assert "Traceback" not in done.stderr
    array = aqz.ZarrArrayReader(store / "0")
    assert array.shape == (int(written), 64, 64)
    assert int(array.read_plane(int(written) - 1)[0, 0]) >= 6
    assert aqz.validate_store(store).is_valid
