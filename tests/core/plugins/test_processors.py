"""The frame processors that come with aqz: which pixels are stored."""

from __future__ import annotations

import numpy as np
import pytest

from aqz_core import PluginError, SettingsError, ZarrArrayReader, open_stream, processors
from aqz_core.errors import FrameShapeError, FrameTypeError


def recorded(tmp_path, frames, steps, shape, dtype):
    path = tmp_path / "out.zarr"
    with open_stream(path, shape=(0, *shape), dtype=dtype, plugins=steps) as stream:
        for frame in frames:
            stream.append(frame)
        assert stream.statistics().bytes_in == sum(frame.nbytes for frame in frames)
    reader = ZarrArrayReader(str(path / "0"))
    return [reader.read_plane(number) for number in range(reader.shape[0])]


def coordinates(rows, columns, dtype="u2"):
    """Pixels that encode where they are: 100 a row, 1 a column."""
    return (100 * np.arange(rows)[:, None] + np.arange(columns)).astype(dtype)


@pytest.mark.parametrize(
    ("step", "camera", "expected"),
    [
        (processors.crop((1, 2), of=(6, 8)), (6, 8), [[102, 103, 104], [202, 203, 204]]),
        (processors.bin_pixels(2), (4, 6), [[50, 52, 54], [250, 252, 254]]),
        (processors.bin_pixels(2, "sum"), (4, 6), [[202, 210, 218], [1002, 1010, 1018]]),
        (processors.bin_pixels(2, "max"), (4, 6), [[101, 103, 105], [301, 303, 305]]),
        (processors.flip("y"), (2, 3), [[100, 101, 102], [0, 1, 2]]),
        (processors.flip("x"), (2, 3), [[2, 1, 0], [102, 101, 100]]),
        (processors.rotate(90), (3, 2), [[1, 101, 201], [0, 100, 200]]),
        (processors.rotate(180), (2, 3), [[102, 101, 100], [2, 1, 0]]),
        (processors.rotate(270), (3, 2), [[200, 100, 0], [201, 101, 1]]),
        (processors.flat_field(2, dark=1), (2, 3), [[0, 0, 2], [198, 200, 202]]),
    ],
)
def test_stored_pixels(tmp_path, step, camera, expected):
    (stored,) = recorded(tmp_path, [coordinates(*camera)], [step], (2, 3), "u2")
    assert stored.tolist() == expected


def test_processors_run_as_given_and_the_camera_has_its_own_shape_and_type(tmp_path):
    steps = [
        processors.crop((0, 2), of=(8, 8)),
        processors.bin_pixels(2),
        processors.rotate(90),
        processors.cast("u2", scale=0.5),
    ]
    frame = coordinates(8, 8)
    (stored,) = recorded(tmp_path, [frame], steps, (2, 3), "u1")
    binned = frame[:6, 2:6].reshape(3, 2, 2, 2).mean(axis=(1, 3))
    assert stored.tolist() == np.rint(np.rot90(np.rint(binned)) * 0.5).clip(0, 255).tolist()


def test_a_processor_may_run_more_than_once(tmp_path):
    corner, turned = processors.crop((1, 1), of=(3, 4)), processors.flip("x")
    steps = [processors.crop((0, 0), of=(8, 8)), processors.bin_pixels(2), turned, corner, turned]
    (stored,) = recorded(tmp_path, [coordinates(8, 8)], steps, (2, 3), "u2")
    assert stored.tolist() == [[250, 252, 254], [450, 452, 454]]


def test_frames_of_the_stored_shape_or_type_are_refused_by_what_the_camera_sends(tmp_path):
    steps = [processors.bin_pixels(2), processors.cast("f4")]
    with open_stream(tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u2", plugins=steps) as stream:
        with pytest.raises(FrameShapeError, match=r"takes frames of shape \(8, 8\)"):
            stream.append(np.zeros((4, 4), "f4"))
        with pytest.raises(FrameTypeError, match="takes float32, but the data are uint16"):
            stream.append(np.zeros((8, 8), "u2"))
        stream.skip_frames(2)
        stream.append(np.full((8, 8), 7, "f4"))
    assert ZarrArrayReader(str(tmp_path / "a.zarr/0")).shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("u1", [-5, 0.5, 1.5, 254.6, 1e30, np.nan], [0, 0, 2, 255, 255, 0]),
        ("i2", [-1e9, -0.6, 3, np.inf, -np.inf, 0], [-32768, -1, 3, 32767, -32768, 0]),
        ("u8", [2.0**64, 2.0**70, -1, 1, 2, 3], [2**64 - 1, 2**64 - 1, 0, 1, 2, 3]),
    ],
)
def test_casting_floats_limits_them(tmp_path, dtype, given, expected):
    frame = np.array(given, "f8").reshape(2, 3)
    (stored,) = recorded(tmp_path, [frame], [processors.cast("f8")], (2, 3), dtype)
    assert stored.ravel().tolist() == expected


def test_casting_integers_limits_them(tmp_path):
    frame = np.array([[-1, 0, 255], [256, 70000, -70000]], "i4")
    (stored,) = recorded(tmp_path, [frame], [processors.cast("i4")], (2, 3), "u1")
    assert stored.tolist() == [[0, 0, 255], [255, 255, 0]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: processors.bin_pixels(0), "factor is 0; it must be an integer of 1 or more"),
        (lambda: processors.bin_pixels(2, "median"), "method is 'median'; .* mean, sum, min, max"),
        (lambda: processors.rotate(45), "degrees is 45; it must be 90, 180 or 270"),
        (lambda: processors.flip("z"), "axis is 'z'; it must be 'y' or 'x'"),
        (lambda: processors.crop((0, -1), of=(4, 4)), "first is -1"),
        (lambda: processors.flat_field([[np.inf]]), "gain must be one finite number"),
        (lambda: processors.cast("pixels"), "source is 'pixels', which is not a data type"),
    ],
)
def test_what_cannot_be_is_refused_at_once(build, message):
    with pytest.raises(SettingsError, match=message):
        build()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            processors.crop((4, 0), of=(6, 8)),
            r"from \(4, 0\) on reach to \(8, 4\)",
        ),
        (processors.flat_field(np.ones((3, 3))), r"gain has shape \(3, 3\), but frames have"),
    ],
)
def test_what_does_not_fit_the_frames_is_refused_when_the_stream_opens(tmp_path, step, message):
    with pytest.raises(PluginError, match=message):
        open_stream(tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u2", plugins=[step])
