"""Run with -p tests.desks.macos: what the engine does for macOS alone."""

from __future__ import annotations

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.storage import platform
from tests.desks import macos

FRAMES = np.arange(6 * 256, dtype="u2").reshape(6, 16, 16)
OPTIONS = {"shape": (0, 16, 16), "dtype": "u2", "chunks": (2, 16, 16)}


def test_this_is_macos():
    assert platform.DIRECT == 0
    assert not platform.sync_filesystem("/")
    assert platform.machine_nbytes() > 0


def test_a_flush_reaches_the_device(tmp_path):
    macos.full_syncs.clear()
    with aqz.open_stream(tmp_path / "s", **OPTIONS) as stream:
        stream.append(FRAMES)
        stream.flush()
        assert macos.full_syncs
    assert np.array_equal(aqz.ZarrArrayReader(tmp_path / "s/0").read(), FRAMES)


def test_chunks_in_pieces_without_fallocate(tmp_path):
    options = {**OPTIONS, "chunks": (6, 16, 16), "compression": "none"}
    with aqz.open_stream(tmp_path / "s", **options) as stream:
        for frame in FRAMES:
            stream.append(frame)
    assert np.array_equal(aqz.ZarrArrayReader(tmp_path / "s/0").read(), FRAMES)


def test_a_store_that_differs_in_case_is_the_same(tmp_path):
    with aqz.open_stream(tmp_path / "s", **OPTIONS) as stream:
        stream.append(FRAMES)
        with pytest.raises(aqz.StoreBusyError):
            aqz.open_stream(tmp_path / "S", overwrite=True, **OPTIONS)
