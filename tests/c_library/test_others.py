"""What programs by others do, retold: all of it was found in published ones for acquire-zarr."""

from __future__ import annotations

import numpy as np
import pytest

from tests.c_library.conftest import PROGRAMS
from tests.support.decoders import DECODERS

read = DECODERS["zarr-python"]
FRAME = np.arange(1, 65, dtype="uint16").reshape(8, 8)


@pytest.mark.parametrize("language", ["c11", "c++17"])
def test_what_published_programs_do(library, tmp_path, language):
    library.run(PROGRAMS / "others.c", tmp_path, language=language)
    assert np.array_equal(read(tmp_path / "nothing.zarr", ""), [np.zeros((8, 8)), FRAME])
    for key in ("plate/A/1/fov1/0", "plate/A/1/extra"):
        assert np.array_equal(read(tmp_path / "plate.zarr", key), [FRAME])
