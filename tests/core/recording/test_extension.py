"""Arrays that are added to a stream that is open."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.storage.memory import MemorySink


def axis(name, kind, size, chunk, chunks):
    return aqz.Dimension(
        name=name, kind=kind, array_size_px=size, chunk_size_px=chunk, shard_size_chunks=chunks
    )


def image(key, **others):
    return aqz.ArraySettings(
        output_key=key,
        data_type=np.uint16,
        is_ngff=True,
        dimensions=[
            axis("t", aqz.DimensionType.TIME, 0, 1, 4),
            axis("y", aqz.DimensionType.SPACE, 16, 16, 1),
            axis("x", aqz.DimensionType.SPACE, 16, 16, 1),
        ],
        **others,
    )


def frame(number):
    return np.full((16, 16), number, "uint16")


def attributes(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]


def test_images_are_added_while_others_are_recorded(tmp_path):
    store = tmp_path / "run.zarr"
    settings = aqz.StreamSettings(store_path=store, arrays=[image("a")], bioformats2raw=True)
    with aqz.ZarrStream(settings) as stream:
        stream.append(frame(1), "a")
        settings.arrays.append(image("b"))
        stream.extend(settings)
        assert attributes(store / "OME")["ome"]["series"] == ["a", "b"]
        stream.append(frame(2), "b")
        stream.append(frame(3), "a")
        stream.flush()
        assert zarr.open_array(store / "b" / "0", mode="r")[0, 0, 0] == 2

    assert zarr.open_array(store / "a" / "0", mode="r")[:, 0, 0].tolist() == [1, 3]
    assert zarr.open_array(store / "b" / "0", mode="r")[:, 0, 0].tolist() == [2]
    assert attributes(store / "b")["aqz"]["state"] == "complete"


def plate(wells):
    return aqz.Plate(
        path="plate",
        name="plate",
        row_names=["A"],
        column_names=[str(n + 1) for n in range(wells)],
        acquisitions=[aqz.Acquisition(id=0)],
        wells=[
            aqz.Well(
                row_name="A",
                column_name=str(n + 1),
                images=[aqz.FieldOfView(path="0", acquisition_id=0, array_settings=image(""))],
            )
            for n in range(wells)
        ],
    )


def test_wells_are_added_to_a_plate(tmp_path):
    store = tmp_path / "run.zarr"
    settings = aqz.StreamSettings(store_path=store, hcs_plates=[plate(1)])
    with aqz.ZarrStream(settings) as stream:
        stream.append(frame(1))
        settings.hcs_plates = [plate(2)]
        stream.extend(settings)
        stream.append(frame(2), "plate/A/2/0")

    wells = attributes(store / "plate")["ome"]["plate"]["wells"]
    assert [well["path"] for well in wells] == ["A/1", "A/2"]
    assert attributes(store / "plate" / "A" / "2")["ome"]["well"]["images"][0]["path"] == "0"
    assert zarr.open_array(store / "plate/A/2/0/0", mode="r")[0, 0, 0] == 2


def test_a_plate_can_be_the_store_itself_with_images_beside_it(tmp_path):
    store = tmp_path / "run.zarr"
    settings = aqz.StreamSettings(store_path=store, hcs_plates=[plate(1)])
    settings.hcs_plates[0].path = "/"
    with aqz.ZarrStream(settings) as stream:
        assert settings.get_array_keys() == ["A/1/0"]
        stream.append(frame(1), "A/1/0")
        settings.arrays.append(image("overview", name="the whole \u7d30\u80de"))
        stream.extend(settings)
        stream.append(frame(2), "overview")

    assert attributes(store)["ome"]["plate"]["wells"][0]["path"] == "A/1"
    assert attributes(store / "overview")["ome"]["multiscales"][0]["name"] == "the whole 細胞"
    assert aqz.validate_store(store).state == "complete"
    with aqz.ZarrStream.resume(store) as stream:
        stream.append(frame(3), "A/1/0")
    assert zarr.open_array(store / "A/1/0/0", mode="r")[:, 0, 0].tolist() == [1, 3]
    assert attributes(store / "overview")["ome"]["multiscales"][0]["name"] == "the whole 細胞"


def changed(settings, what):
    settings = copy.deepcopy(settings)
    if what == "lacks":
        settings.arrays = [image("b")]
    elif what == "differs":
        settings.arrays[0].dimensions[0].chunk_size_px = 2
    elif what == "threads":
        settings.max_threads = 3
    elif what == "deeper":
        settings.arrays.append(image("b", downsampling_method=aqz.DownsamplingMethod.MEAN))
        for axis in settings.arrays[1].dimensions[1:]:
            axis.array_size_px, axis.chunk_size_px = 64, 16
            axis.shard_size_chunks = 4
    return settings


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("lacks", "array 'a' is being recorded, but the new settings lack it"),
        ("differs", "array 'a' is being recorded and cannot change"),
        ("threads", "can only get more arrays"),
        ("deeper", "pyramid levels"),
    ],
)
def test_nothing_else_can_change(tmp_path, what, message):
    settings = aqz.StreamSettings(store_path=tmp_path / "run.zarr", arrays=[image("a")])
    with aqz.ZarrStream(settings) as stream:
        with pytest.raises(aqz.SettingsError, match=message):
            stream.extend(changed(settings, what))
        stream.append(frame(1))
    assert zarr.open_array(tmp_path / "run.zarr/a/0", mode="r").shape == (1, 16, 16)


def test_what_is_stored_already_is_left_alone(tmp_path):
    store = tmp_path / "run.zarr"
    with aqz.ZarrStream(aqz.StreamSettings(store_path=store, arrays=[image("b")])) as stream:
        stream.append(frame(7))
    settings = aqz.StreamSettings(store_path=store, arrays=[image("a")])
    with aqz.ZarrStream(settings) as stream:
        settings.arrays.append(image("b"))
        with pytest.raises(aqz.StoreExistsError):
            stream.extend(settings)
        stream.append(frame(1))

    assert zarr.open_array(store / "b" / "0", mode="r")[:, 0, 0].tolist() == [7]


def test_a_closed_stream_cannot_be_extended(tmp_path):
    settings = aqz.StreamSettings(store_path=tmp_path / "run.zarr", arrays=[image("a")])
    stream = aqz.ZarrStream(settings)
    stream.close()
    with pytest.raises(aqz.StreamClosedError):
        stream.extend(settings)


def many(chunk, **others):
    """Settings of one array, and of a thousand."""
    arrays = [image(str(number)) for number in range(1000)]
    for array in arrays:
        array.dimensions[0].chunk_size_px = chunk
    return aqz.StreamSettings(arrays=arrays[:1], **others), arrays


def test_the_memory_of_all_arrays_must_fit_the_budget(tmp_path):
    settings, arrays = many(4, store_path=tmp_path / "run.zarr", max_memory=1 << 20)
    with aqz.ZarrStream(settings) as stream:
        settings.arrays = arrays
        with pytest.raises(aqz.MemoryBudgetError):
            stream.extend(settings)
        stream.append(frame(1), "0")


def test_arrays_that_keep_nothing_between_planes_need_no_more_memory_the_more_there_are():
    settings, arrays = many(1)
    alone = settings.get_maximum_memory_usage()
    settings.arrays = arrays
    assert settings.get_maximum_memory_usage() == alone
    settings, arrays = many(4)
    settings.arrays = arrays
    assert settings.get_maximum_memory_usage() >= 1000 * 4 * 16 * 16 * 2


def test_many_arrays_are_recorded_in_turns_within_a_small_budget(tmp_path):
    settings, arrays = many(1, store_path=tmp_path / "run.zarr", max_memory=64 << 10)
    settings.arrays = arrays[:50]
    with aqz.ZarrStream(settings) as stream:
        for time in range(3):
            for number in range(50):
                stream.append(frame(100 * time + number), str(number))
                assert stream.get_current_memory_usage() <= 64 << 10
    for number in (0, 17, 49):
        stored = zarr.open_array(tmp_path / "run.zarr" / str(number) / "0", mode="r")
        assert stored[:, 0, 0].tolist() == [number, 100 + number, 200 + number]


class Flushes(MemorySink):
    """A store in memory that counts what it is asked to bring to the device at once."""

    def __init__(self):
        super().__init__("counted://store")
        self.number = 0

    @aqz.hookimpl
    def aqz_sinks(self):
        return aqz.SinkProvider(schemes=("counted",), open=lambda url, settings: self)

    def write(self, name, data, *, sync):
        self.number += sync
        super().write(name, data, sync=sync)

    def commit(self, names=()):
        self.number += 1


def test_many_arrays_are_flushed_to_the_device_together():
    sink = Flushes()
    settings, arrays = many(1, store_path="counted://store")
    with aqz.ZarrStream(settings, [sink]) as stream:
        settings.arrays = arrays[:60]
        before = sink.number
        stream.extend(settings)
        assert sink.number - before < 10
