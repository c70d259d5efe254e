"""The judges themselves: stores that another writer made, sound ones and broken ones.

A reader that accepts everything proves nothing, so each is shown what it has to refuse.
"""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, ShardingCodec

from tests.support.decoders import DECODERS, ZARRITA_DTYPES, is_checksum_error
from tests.support.finished import array_nodes, assert_finished_array
from tests.support.frames import encoded_frames
from tests.support.plans import ArrayPlan, axes
from tests.support.published import judge_chunks
from tests.support.strategies import DTYPES
from tests.support.validators import VALIDATORS

NGFF = {
    "version": "0.5",
    "multiscales": [
        {
            "name": "image",
            "axes": [
                {"name": "t", "type": "time"},
                {"name": "y", "type": "space"},
                {"name": "x", "type": "space"},
            ],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5, 0.5]}],
                }
            ],
        }
    ],
}


def write_image(path, pixels, index_location="end", ome=NGFF):
    """Write an NGFF image of one sharded level with zarr-python."""
    group = zarr.create_group(str(path), attributes={"ome": ome})
    sharding = ShardingCodec(
        chunk_shape=(2, 4, 4), codecs=[BytesCodec()], index_location=index_location
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = group.create_array(
            "0",
            shape=pixels.shape,
            dtype=pixels.dtype,
            chunks=(4, 8, 8),
            serializer=sharding,
            compressors=None,
            filters=None,
            fill_value=0,
            dimension_names=("t", "y", "x"),
        )
    array[...] = pixels


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position] ^= 0xFF
    file.write_bytes(content)


@pytest.fixture
def pixels():
    return encoded_frames(range(5), 9, 11, "uint16")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("index_location", ["start", "end"])
def test_decoders_agree_on_a_sound_store(tmp_path, decoder, dtype, index_location):
    pixels = encoded_frames(range(5), 9, 11, dtype)
    write_image(tmp_path / "s", pixels, index_location)
    np.testing.assert_array_equal(DECODERS[decoder](tmp_path / "s", "0"), pixels, strict=True)


@pytest.mark.parametrize("dtype", ZARRITA_DTYPES)
@pytest.mark.node
def test_zarrita_agrees_on_a_sound_store(tmp_path, zarrita, dtype):
    pixels = encoded_frames(range(5), 9, 11, dtype)
    write_image(tmp_path / "s", pixels)
    np.testing.assert_array_equal(zarrita(tmp_path / "s", ["0"])[0], pixels, strict=True)


@pytest.mark.node
def test_zarrita_needs_the_index_at_the_end(tmp_path, zarrita, pixels):
    write_image(tmp_path / "s", pixels, "start")
    with pytest.raises(ValueError, match="zarrita could not read"):
        zarrita(tmp_path / "s", ["0"])


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoders_refuse_a_damaged_index(tmp_path, decoder, pixels):
    write_image(tmp_path / "s", pixels)
    flip(tmp_path / "s/0/c/0/0/0", -1)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each library has its own class
        DECODERS[decoder](tmp_path / "s", "0")
    assert is_checksum_error(caught.value)


@pytest.mark.parametrize("validator", VALIDATORS)
def test_validators_accept_a_sound_image(tmp_path, validator, pixels):
    write_image(tmp_path / "s", pixels)
    VALIDATORS[validator](tmp_path / "s")


@pytest.mark.parametrize("validator", VALIDATORS)
def test_validators_refuse_a_level_that_is_not_there(tmp_path, validator, pixels):
    ome = json.loads(json.dumps(NGFF).replace('"path": "0"', '"path": "7"'))
    write_image(tmp_path / "s", pixels, ome=ome)
    with pytest.raises(AssertionError, match=validator):
        VALIDATORS[validator](tmp_path / "s")


@pytest.mark.parametrize("validator", VALIDATORS)
def test_validators_refuse_axes_without_space(tmp_path, validator, pixels):
    ome = json.loads(json.dumps(NGFF).replace('"space"', '"channel"'))
    write_image(tmp_path / "s", pixels, ome=ome)
    with pytest.raises(AssertionError, match=validator):
        VALIDATORS[validator](tmp_path / "s")


def finished(store):
    for folder, document in array_nodes(store).items():
        assert_finished_array(folder, document)


def test_finished_store_check_accepts_a_sound_store(tmp_path, pixels):
    write_image(tmp_path / "s", pixels)
    finished(tmp_path / "s")


def test_finished_store_check_refuses_what_is_not_finished(tmp_path, pixels):
    write_image(tmp_path / "start", pixels, "start")
    with pytest.raises(AssertionError, match="start"):
        finished(tmp_path / "start")

    write_image(tmp_path / "s", pixels)
    for damage, complaint in [
        (lambda store: flip(store / "0/c/0/0/0", -20), "checksum"),
        (lambda store: (store / "0/c/1/1/1").write_bytes(b"torn"), "no index"),
        (lambda store: (store / "0/c/0/0/0.partial").touch(), "not part of the array"),
        (lambda store: shutil.copytree(store / "0/c/0", store / "0/c/7"), "not part of the array"),
    ]:
        shutil.copytree(tmp_path / "s", tmp_path / "broken")
        damage(tmp_path / "broken")
        with pytest.raises(AssertionError, match=complaint):
            finished(tmp_path / "broken")
        shutil.rmtree(tmp_path / "broken")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_misplacement_changes_the_pixels(dtype):
    frames = encoded_frames(range(4, 9), 8, 12, dtype)
    np.testing.assert_array_equal(encoded_frames(range(6, 7), 8, 12, dtype)[0], frames[2])
    half = frames.shape[2] // 2
    moved = [
        frames[::-1],
        frames[:, ::-1],
        frames[:, :, ::-1],
        frames[np.r_[0, 0, 2, 3, 4]],
        np.roll(frames, 1, axis=1),
        np.roll(frames, 1, axis=2),
        np.concatenate([frames[..., half:], frames[..., :half]], axis=2),
        encoded_frames(range(4, 9), 8, 12, dtype, seed=1),
    ]
    for misplaced in moved:
        assert misplaced.shape == frames.shape
        assert not np.array_equal(misplaced, frames)


def test_chunks_of_a_growing_array_are_right_missing_or_wrong():
    plan = ArrayPlan(axes=axes("tyx", (0, 4, 6), (2, 4, 3), (1, 1, 1)), frames=6)
    expected = encoded_frames(range(6), 4, 6, "uint16")
    seen = expected[:3].copy()
    seen[2, :, :3] = 0
    seen[0, 1, 4] += 1
    verdicts = judge_chunks(seen, expected, plan)
    assert verdicts == {
        (0, 0, 0): "right",
        (0, 0, 1): "wrong",
        (1, 0, 0): "missing",
        (1, 0, 1): "right",
    }
