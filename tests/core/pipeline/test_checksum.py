"""``checksum=True``: a changed bit of a raw pixel does not pass for another pixel."""

from __future__ import annotations

import numpy as np
import pytest

import aqz_core as aqz
from tests.support.decoders import DECODERS
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

MOVIE = axes("tyx", (0, 40, 30), (2, 16, 16), (4, 3, 2))


def recorded(path, codec="none", **changes):
    plan = ArrayPlan(MOVIE, codec=codec, frames=8)
    settings = settings_for(aqz, StreamPlan((plan,)), path)
    settings.arrays[0].checksum = True
    for name, value in changes.items():
        setattr(settings, name, value)
    with aqz.ZarrStream(settings) as stream:
        stream.append(frames_of(plan))
    return frames_of(plan)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
def test_chunks_with_checksums_read_back_equal(tmp_path, decoder, codec):
    frames = recorded(tmp_path / "s", codec)
    np.testing.assert_array_equal(DECODERS[decoder](tmp_path / "s", ""), frames)


# zarrs 0.2.3 skips the checksums of chunks; those of shard indexes it checks.
@pytest.mark.parametrize("decoder", ["zarr-python", "tensorstore"])
def test_a_flipped_bit_of_a_raw_pixel_is_found(tmp_path, decoder):
    frames = recorded(tmp_path / "s")
    shard = tmp_path / "s" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[content.index(frames[0, 0, :16].tobytes())] ^= 1
    shard.write_bytes(content)
    with pytest.raises(Exception, match=r"(?i)checksum|crc|digest"):
        DECODERS[decoder](tmp_path / "s", "")


def test_zarr_v2_has_no_checksums(tmp_path):
    with pytest.raises(aqz.SettingsError, match="crc32c"):
        recorded(tmp_path / "s", version=aqz.ZarrVersion.V2)


def test_a_recording_with_checksums_can_be_gone_on_with(tmp_path):
    frames = recorded(tmp_path / "s")
    with aqz.ZarrStream.resume(tmp_path / "s") as stream:
        stream.append(frames)
    stored = DECODERS["zarr-python"](tmp_path / "s", "")
    np.testing.assert_array_equal(stored, np.concatenate([frames, frames]))
