"""What C says and sends comes to the same as what Python says and sends."""

from __future__ import annotations

import filecmp

import numpy as np
import pytest
from hypothesis import given, settings

import aqz_core as aqz
from aqz_core.c_library.c_settings import read_settings
from tests.c_library.structures import Structures, ffi, recording
from tests.compat.settings_strategies import stream_settings
from tests.support.decoders import DECODERS


def as_c_has_them(array):
    """Say what C can say of an array: no single NGFF image, and axes by their positions."""
    names = [one.name for one in array.dimensions]
    order = array.storage_dimension_order
    array.storage_dimension_order = [names.index(one) for one in order]
    array.is_ngff = False


@settings(max_examples=100, deadline=None, derandomize=True)
@given(stream_settings())
def test_settings_arrive_as_they_are(make):
    """Plates, orders, buckets and all; whether they can be recorded is asked later."""
    wanted = make(aqz)
    fields = [field for plate in wanted.plates for well in plate.wells for field in well.images]
    for array in [*wanted.arrays, *(field.array_settings for field in fields)]:
        as_c_has_them(array)
    structures = Structures()
    stream = structures.stream(wanted)
    size = ffi.sizeof("ZarrArraySettings")
    assert read_settings(ffi, structures.new("AqzSettings *", [stream, size, False])) == wanted


def dimension(name, size, chunk, shard=1):
    kind = {"t": "TIME", "c": "CHANNEL"}.get(name, "SPACE")
    return aqz.Dimension(
        name=name,
        kind=aqz.DimensionType[kind],
        array_size_px=size,
        chunk_size_px=chunk,
        shard_size_chunks=shard,
        unit="micrometer" if kind == "SPACE" else None,
        scale=0.5,
    )


PLANS = {
    "raw": {},
    "compressed": {"compression": aqz.compression_settings("blosc-zstd", "uint16", 3)},
    "pyramid": {"downsampling_method": aqz.DownsamplingMethod.MEAN},
    "transposed": {"storage_dimension_order": ["t", "z", "c", "y", "x"]},
    "zarr-v2": {"compression": aqz.compression_settings("blosc-lz4", "uint16")},
}


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated")
@pytest.mark.parametrize("plan", PLANS)
def test_same_frames_give_the_same_store(library, tmp_path, plan):
    """Byte for byte; the process has a Python of its own, which is this one."""
    axes = [dimension("t", 0, 2), dimension("c", 2, 1), dimension("z", 3, 1)]
    axes += [dimension("y", 40, 16), dimension("x", 50, 32)]

    def stream_settings_at(path):
        array = aqz.ArraySettings(
            output_key="a/b", dimensions=axes, data_type="uint16", **PLANS[plan]
        )
        version = aqz.ZarrVersion.V2 if plan == "zarr-v2" else aqz.ZarrVersion.V3
        return aqz.StreamSettings(store_path=path, arrays=[array], version=version)

    frames = np.random.default_rng(1).integers(0, 4000, (13, 40, 50)).astype("uint16")
    with aqz.ZarrStream(stream_settings_at(tmp_path / "python")) as stream:
        for frame in frames:
            stream.append(frame)
    with recording(library, stream_settings_at(tmp_path / "c")) as append:
        for frame in frames:
            append(frame.tobytes())
    assert_same_files(tmp_path / "python", tmp_path / "c")


def assert_same_files(one, other):
    """Every file of two folders is the same."""
    names = sorted(str(file.relative_to(one)) for file in one.rglob("*") if file.is_file())
    assert names == sorted(str(f.relative_to(other)) for f in other.rglob("*") if f.is_file())
    assert names
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


def test_pieces_of_any_length(library, tmp_path):
    """Where the program cuts its bytes, in pixels too, makes no difference."""
    array = aqz.ArraySettings(
        dimensions=[dimension("t", 0, 1), dimension("y", 6, 6), dimension("x", 7, 7)],
        data_type="float32",
    )
    pixels = np.random.default_rng(2).random((20, 6, 7)).astype("float32")
    data = pixels.tobytes()
    cuts = np.sort(np.random.default_rng(3).integers(0, len(data), 60))
    given_settings = aqz.StreamSettings(store_path=tmp_path / "pieces", arrays=[array])
    with recording(library, given_settings) as append:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            append(data[start:stop])
    np.testing.assert_array_equal(DECODERS["zarr-python"](tmp_path / "pieces", ""), pixels)
