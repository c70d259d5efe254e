"""The examples for Micro-Manager run as they stand and leave what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.micromanager.stored import attributes, image, image_keys, series

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, folder):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), str(folder)]
    result = subprocess.run(
        command, timeout=60, cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return folder / f"{name}.zarr", result.stdout


@pytest.mark.micromanager
def test_pycromanager(tmp_path):
    store, said = run("micromanager_pycromanager", tmp_path)

    assert said.splitlines()[-1].startswith("complete")
    assert series(store) == ["left", "right"]
    assert image(store, "right").shape == (3, 2, 5, 512, 512)


@pytest.mark.micromanager
def test_pymmcore_plus(tmp_path):
    store, said = run("micromanager_pymmcore_plus", tmp_path)

    assert "complete" in said
    assert len(image_keys(store)) == 4
    assert image(store, "B/2/1").shape == (2, 2, 512, 512)


def test_own_engine(tmp_path):
    store, _ = run("micromanager_own_engine", tmp_path)

    expected = 10 * np.arange(4)[:, None] + np.arange(2)
    np.testing.assert_array_equal(image(store)[:, :, 0, 0], expected)
    scale = attributes(store)["ome"]["multiscales"][0]["datasets"][0]
    assert scale["coordinateTransformations"][0]["scale"] == [2.0, 1.0, 0.65, 0.65]
