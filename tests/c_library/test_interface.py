"""What the functions return, and which bytes they take."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.c_library.conftest import COMPILERS, PROGRAMS
from tests.support.decoders import DECODERS

read = DECODERS["zarr-python"]


@pytest.mark.parametrize("language", COMPILERS)
def test_arrays_of_settings(library, tmp_path, language):
    """Under a sanitizer: nothing of the C side leaks or is freed twice."""
    flags = ["-fsanitize=address,undefined"]
    library.run(PROGRAMS / "settings.c", tmp_path, language=language, flags=flags)


def test_statuses(library, tmp_path):
    library.run(PROGRAMS / "statuses.c", tmp_path)
    pixels = np.arange(4 * 64, dtype="uint16").reshape(4, 8, 8)
    np.testing.assert_array_equal(read(tmp_path / "bytes.zarr", ""), pixels)

    expected = np.full(3 * 128, 1, "uint8")
    expected[3 : 3 + 2 * 128] = 0
    stored = read(tmp_path / "passed_over.zarr", "")
    np.testing.assert_array_equal(stored.view("uint8").ravel(), expected)

    attributes = json.loads((tmp_path / "metadata.zarr" / "zarr.json").read_text())["attributes"]
    assert (attributes["a"], attributes["b"]) == (1, [2])
    assert not (tmp_path / "refused.zarr").exists()
