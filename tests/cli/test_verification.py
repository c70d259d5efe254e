"""Verification must find every kind of wrong recording; stores here are zarr-python's."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import zarr

from aqz_core.cli.cameras import SimulatedCamera
from aqz_core.cli.verification import checksum, mean_of_2x2, verify_recording
from aqz_core.errors import StorageError


@pytest.fixture(params=["zarr-python", "aqz's own reader"])
def reader(request, monkeypatch):
    """Verify with that reader: the second is what a machine without zarr uses."""
    if request.param != "zarr-python":
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec",
            lambda name, *rest: None if name == "zarr" else find_spec(name, *rest),
        )
    return request.param


@pytest.fixture
def recording(tmp_path):
    """Frames, and the folders of a full-resolution array and its half."""
    frames = list(SimulatedCamera((17, 22)).frames(5))
    levels = [tmp_path / "0", tmp_path / "1"]
    halves = [mean_of_2x2(frame) for frame in frames]
    for path, pixels in zip(levels, (np.stack(frames), np.stack(halves)), strict=True):
        array = zarr.create_array(path, shape=pixels.shape, dtype="uint16", chunks=(1, 8, 8))
        array[...] = pixels
    return [checksum(frame) for frame in frames], levels


def change(path, index, value):
    """Change one pixel of a stored array."""
    zarr.open_array(path, mode="r+")[index] = value


def test_an_equal_recording_passes(recording, reader):
    checksums, levels = recording
    verification = verify_recording(levels, checksums)

    assert verification.reader.startswith(reader)
    assert (verification.frames, verification.reduced_planes) == (5, 5)


@pytest.mark.usefixtures("reader")
def test_one_wrong_pixel_is_found(recording):
    checksums, levels = recording
    change(levels[0], (3, 16, 21), 7)

    with pytest.raises(StorageError, match=r"1 of 5 frames differ .* first is frame 3"):
        verify_recording(levels[:1], checksums)


@pytest.mark.usefixtures("reader")
def test_a_wrong_pixel_of_the_pyramid_is_found(recording):
    checksums, levels = recording
    change(levels[1], (2, 8, 10), 7)

    with pytest.raises(StorageError, match="1: frame 2 is not the mean"):
        verify_recording(levels, checksums)


@pytest.mark.usefixtures("reader")
def test_frames_in_another_order_are_found(recording):
    checksums, levels = recording

    with pytest.raises(StorageError, match="2 of 5 frames differ"):
        verify_recording(levels[:1], [*checksums[:3], checksums[4], checksums[3]])


@pytest.mark.usefixtures("reader")
def test_a_missing_frame_is_found(recording):
    checksums, levels = recording

    with pytest.raises(StorageError, match="5 frames, but 6 were taken"):
        verify_recording(levels, [*checksums, 0])


@pytest.mark.usefixtures("reader")
def test_bytes_that_cannot_be_decoded_are_a_storage_error(recording):
    checksums, levels = recording
    (levels[0] / "c" / "2" / "0" / "0").write_bytes(b"nonsense")

    with pytest.raises(StorageError, match="0"):
        verify_recording(levels, checksums)


def test_an_odd_edge_counts_twice():
    plane = np.array([[1, 2, 9], [3, 5, 10], [65535, 65535, 65535]], "uint16")

    assert mean_of_2x2(plane).tolist() == [[2, 9], [65535, 65535]]
