"""Which frames of a recording are written and which are missing, as the store tells."""

from __future__ import annotations

import subprocess
import sys
import warnings

import fsspec
import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.recovery import validate_store

SHAPE = (16, 24)
SIZES = {"t": 0, "c": 2, "z": 3}


def frame(*index):
    """A frame that is never all zero."""
    return np.full(SHAPE, 1 + sum(10**k * n for k, n in enumerate(index)), np.uint16)


def settings(path, *, chunk=1, version=aqz.ZarrVersion.V3, order=None, names="tcz", **options):
    kinds = {"t": "TIME", "c": "CHANNEL", "z": "SPACE", "y": "SPACE", "x": "SPACE"}
    dimensions = [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType[kinds[name]],
            array_size_px=SIZES.get(name, SHAPE["yx".find(name)]),
            chunk_size_px=chunk if name == names[0] else {"y": 16, "x": 12}.get(name, 1),
            shard_size_chunks=2 if name in "tx" else 1,
        )
        for name in [*names, "y", "x"]
    ]
    array = aqz.ArraySettings(
        output_key="img",
        data_type=np.uint16,
        is_ngff=True,
        dimensions=dimensions,
        storage_dimension_order=order or [],
    )
    return aqz.StreamSettings(store_path=path, arrays=[array], version=version, **options)


def opened(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return aqz.ZarrStream(settings(*arguments, **options))


@pytest.fixture(params=["V3", "V2", "memory", "stored in another order"])
def form(request, tmp_path):
    """Where and how to record."""
    if request.param == "memory":
        yield {"path": "memory://aqz-listing/a.zarr"}
        fsspec.filesystem("memory").rm("/aqz-listing", recursive=True)
    elif request.param == "V2":
        yield {"path": str(tmp_path / "a.zarr"), "version": aqz.ZarrVersion.V2}
    elif request.param == "V3":
        yield {"path": str(tmp_path / "a.zarr")}
    else:
        yield {"path": str(tmp_path / "a.zarr"), "order": ["t", "z", "c", "y", "x"]}


def every(length):
    return list(np.ndindex(length, 2, 3))


def test_frames_by_index_with_gaps(form):
    indices = [(2, 1, 0), (0, 0, 0), (0, 0, 2), (3, 1, 2)]
    with opened(**form) as stream:
        for t, c, z in indices:
            stream.write(frame(t, c, z), {"t": t, "c": c, "z": z})
    found = aqz.list_frames(form["path"], "img")
    assert found.axes == ("t", "c", "z")
    assert list(found.written) == sorted(indices)
    missing = aqz.missing_frames(form["path"], "img")
    assert [tuple(one.values()) for one in missing] == [
        index for index in every(4) if index not in indices
    ]
    assert set(missing[0]) == {"t", "c", "z"}


def test_frames_appended_skipped_and_written(form):
    with opened(**form) as stream:
        stream.append(np.stack([frame(n) for n in range(4)]))
        stream.skip_frames(2)
        stream.append(frame(6), metadata={"n": 6})
        stream.write(frame(2, 1, 1), {"t": 2, "c": 1, "z": 1})
        stream.append(frame(17))
    numbers = [0, 1, 2, 3, 6, 16, 17]
    found = aqz.list_frames(form["path"], "img")
    assert list(found.written) == [every(3)[number] for number in numbers]
    rows = aqz.read_frame_metadata(form["path"], "img")
    assert [row.get("n") for row in rows] == [6, None, None]


def test_skipped_frames_of_a_recording_in_order(form):
    with opened(**form) as stream:
        stream.append(np.stack([frame(n) for n in range(5)]))
        stream.skip_frames(8)
        stream.append(np.stack([frame(n) for n in range(13, 16)]))
    missing = aqz.missing_frames(form["path"], "img")
    wanted = [*range(5, 13), 16, 17]
    assert [tuple(one.values()) for one in missing] == [every(3)[n] for n in wanted]


def test_nothing_is_missing_from_a_whole_recording(tmp_path):
    with opened(str(tmp_path / "a.zarr")) as stream:
        stream.append(np.stack([frame(n) for n in range(12)]))
        stream.flush()
        assert aqz.missing_frames(tmp_path / "a.zarr", "img") == []
    assert aqz.missing_frames(tmp_path / "a.zarr", "img") == []
    assert len(aqz.list_frames(tmp_path / "a.zarr", "img").written) == 12


KILLED = """
import os, sys
from tests.core.recovery.test_frame_listing import frame, opened
stream = opened(sys.argv[1], chunk=2, names="tc")
for t, c in ((0, 0), (0, 1), (1, 0), (2, 1)):
    stream.write(frame(t, c), {"t": t, "c": c})
stream.flush()
for t in range(4, 400):
    stream.write(frame(t, 0), {"t": t, "c": 0})
os.kill(os.getpid(), 9)
"""


def test_after_a_crash_only_stored_frames_count_and_the_others_can_be_written(tmp_path):
    path = tmp_path / "a.zarr"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    found = aqz.list_frames(path, "img")
    assert set(found.written) >= {(0, 0), (0, 1), (1, 0), (2, 1)}
    reader = aqz.ZarrArrayReader(path / "img" / "0")
    for index in found.written:
        assert (reader.read_plane(*index) == frame(*index)).all()
    with aqz.ZarrStream.resume(path) as stream:
        for index in aqz.missing_frames(path, "img"):
            stream.write(frame(*index.values()), index)
    assert aqz.missing_frames(path, "img") == []
    reader = aqz.ZarrArrayReader(path / "img" / "0")
    for index in np.ndindex(reader.shape[:2]):
        assert (reader.read_plane(*index) == frame(*index)).all()


def test_frames_that_a_crash_took_stay_missing_where_nobody_writes_them_again(tmp_path):
    path = tmp_path / "a.zarr"
    with opened(str(path), names="tc") as stream:
        for t in range(4):
            stream.write(frame(t, 0), {"t": t, "c": 0})
    lines = [f'{{"index":[{t},0]}}\n' for t in range(7)]  # as logged before a crash
    (path / "img" / "0" / "aqz.frames.jsonl").write_text("".join(lines))
    with aqz.ZarrStream.resume(path) as stream:
        stream.write(frame(6, 1), {"t": 6, "c": 1})
    found = aqz.list_frames(path, "img")
    assert list(found.written) == [(0, 0), (1, 0), (2, 0), (3, 0), (6, 1)]
    assert validate_store(path).is_valid


def test_appended_frames_stay_when_a_recording_by_index_goes_on(tmp_path):
    path = tmp_path / "a.zarr"
    with opened(str(path), chunk=4, names="tc") as stream:
        stream.append(np.stack([frame(n // 2, n % 2) for n in range(3)]))
        stream.write(frame(9, 1), {"t": 9, "c": 1})
    with aqz.ZarrStream.resume(path) as stream:
        stream.write(frame(1, 1), {"t": 1, "c": 1})
    written = [(0, 0), (0, 1), (1, 0), (1, 1), (9, 1)]
    assert list(aqz.list_frames(path, "img").written) == written
    reader = aqz.ZarrArrayReader(path / "img" / "0")
    for index in written:
        assert (reader.read_plane(*index) == frame(*index)).all()


def test_stores_without_such_an_array_are_refused(tmp_path):
    with opened(str(tmp_path / "a.zarr")) as stream:
        stream.append(frame(0))
    with pytest.raises(aqz.UnknownArrayError, match=r"no array at 'other'.*has 'img'"):
        aqz.missing_frames(tmp_path / "a.zarr", "other")
    with pytest.raises(aqz.StorageError):
        aqz.missing_frames(tmp_path / "nothing", "img")


def test_damaged_lines_of_the_log_are_passed_over(tmp_path):
    path = tmp_path / "a.zarr"
    with opened(str(path)) as stream:
        stream.write(frame(0), {"t": 0, "c": 0, "z": 0})
    log = path / "img" / "0" / "aqz.frames.jsonl"
    with log.open("a") as file:
        file.write('{"index":[9,9,9]}\n{"skipped":7}\n{"appended":"x"}\n[1]\nnonsense\n{"index":[0')
    assert list(aqz.list_frames(path, "img").written) == [(0, 0, 0)]


def moved_level(store, image, path):
    """Rename the only level of an image, as its metadata allow."""
    (store / image / "0").rename(store / image / path)
    document = store / image / "zarr.json"
    document.write_text(document.read_text().replace('"path": "0"', f'"path": "{path}"'))
    assert path in document.read_text()


def test_keys_are_written_as_a_stream_takes_them_and_levels_have_any_name(tmp_path):
    path = tmp_path / "a.zarr"
    with opened(str(path)) as stream:
        stream.append(frame(0), metadata={"stage": 1})
    moved_level(path, "img", "full")
    for key in ("img", "/img/", " img// "):
        assert aqz.list_frames(path, key).written == ((0, 0, 0),)
        (row,) = aqz.read_frame_metadata(path, key)
        assert row["stage"] == 1


class Twice:
    """A plug-in, and its codec, which stores everything twice."""

    name = "twice"

    @aqz.hookimpl
    def aqz_codecs(self):
        return aqz.CodecProvider("twice", lambda compression, dtype: self)

    def encode(self, data):
        return bytes(data) * 2

    def decode(self, data):
        return data[: len(data) // 2]

    def max_encoded_size(self, nbytes):
        return 2 * nbytes

    def v3_metadata(self):
        return {"name": "twice", "configuration": {}}

    def v2_metadata(self):
        return None


def test_frames_of_a_codec_of_a_plug_in_are_listed(tmp_path):
    path = tmp_path / "a.zarr"
    given = settings(str(path), chunk=2)
    given.arrays[0].compression = aqz.PluginCompression("twice")
    stream = aqz.ZarrStream(given, [Twice()])
    stream.write(frame(0), {"t": 0, "c": 0, "z": 0})
    stream.close()
    document = path / "img" / "zarr.json"
    document.write_text(document.read_text().replace("complete", "interrupted"))
    with pytest.raises(aqz.StorageError, match="twice"):
        aqz.missing_frames(path, "img")
    plugins = [Twice()]
    assert aqz.list_frames(path, "img", plugins=plugins).written == ((0, 0, 0),)
    assert not aqz.validate_store(path).is_valid
    assert aqz.validate_store(path, plugins=plugins).is_valid
    with pytest.raises(aqz.StorageError, match="'twice' is unknown"):
        aqz.ZarrArrayReader(path / "img" / "0")
    with aqz.ZarrStream.resume(path, plugins=plugins) as stream:
        stream.write(frame(1), {"t": 1, "c": 0, "z": 0})
    assert aqz.list_frames(path, "img").written == ((0, 0, 0), (1, 0, 0))


def test_metadata_named_like_axes_hide_no_index(form):
    given = {"t": 12.5, "z": 3, "stage": 7, "metadata.z": "kept"}
    with opened(**form) as stream:
        stream.append(frame(0), metadata={"n": 0})
        stream.append(frame(1), metadata=given)
    first, second = aqz.read_frame_metadata(form["path"], "img")
    assert first == {"t": 0, "c": 0, "z": 0, "n": 0}
    assert second == {
        "t": 0,
        "c": 0,
        "z": 1,
        "stage": 7,
        "metadata.t": 12.5,
        "metadata.z": "kept",
        "metadata.metadata.z": 3,
    }


@pytest.mark.parametrize("order", [None, ["t", "z", "c", "y", "x"]])
@pytest.mark.parametrize("is_ngff", [True, False])
def test_axes_of_zarr_v2_have_their_names(tmp_path, order, is_ngff):
    given = settings(tmp_path / "a.zarr", version=aqz.ZarrVersion.V2, order=order)
    given.arrays[0].is_ngff = is_ngff
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        stream = aqz.ZarrStream(given)
    with stream:
        stream.write(frame(1, 0, 2), {"t": 1, "c": 0, "z": 2}, metadata={"n": 5})
    assert aqz.read_frame_metadata(tmp_path / "a.zarr", "img") == [{"t": 1, "c": 0, "z": 2, "n": 5}]
    assert list(aqz.list_frames(tmp_path / "a.zarr", "img").written) == [(1, 0, 2)]
