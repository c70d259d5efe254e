"""Advice that works when it is followed: for each message that names a remedy, the remedy."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.upload import upload_store

pytestmark = pytest.mark.filterwarnings("ignore::aqz_core.PartialFrameWarning")

GIVEN = {"shape": (0, 8, 8), "dtype": "uint16"}
FRAME = np.ones((8, 8), "uint16")


class Metadata:
    """A plug-in."""

    @aqz.hookimpl
    def aqz_metadata(self):
        return {"lab": "ours"}


def settings(**more):
    """Settings of one plain array."""
    axes = [
        aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1),
        aqz.Dimension(name="y", array_size_px=8, chunk_size_px=8),
        aqz.Dimension(name="x", array_size_px=8, chunk_size_px=8),
    ]
    return aqz.StreamSettings(
        store_path="a.zarr",
        arrays=[aqz.ArraySettings(dimensions=axes, data_type="uint16", **more)],
    )


def changed(change, *, path="a.zarr", **more):
    """Open a stream with settings that were changed by a function."""
    made = settings(**more)
    made.store_path = path
    change(made)
    aqz.ZarrStream(made).close()


def opened(path="a.zarr", **options):
    aqz.open_stream(path, **{**GIVEN, **options}).close()


def appended(data, **options):
    """Append to a stream; None stands for a frame that was skipped."""
    with aqz.open_stream("a.zarr", **{**GIVEN, **options}) as stream:
        if data is None:
            stream.skip_frames(1)
        elif isinstance(data, list) and isinstance(data[0], np.ndarray):
            for one in data:
                stream.append(one)
        else:
            stream.append(data)


def refusing(data, **options):
    """Append what is refused."""
    with aqz.open_stream("a.zarr", **{**GIVEN, **options}) as stream:
        stream.append(data)


def first(**fields):
    """Change settings of the first array."""

    def change(made):
        for name, value in fields.items():
            setattr(made.arrays[0], name, value)

    return change


def axis(place, **fields):
    """Change settings of an axis."""

    def change(made):
        for name, value in fields.items():
            setattr(made.arrays[0].dimensions[place], name, value)

    return change


def stream_field(**fields):
    """Change settings of the stream."""

    def change(made):
        for name, value in fields.items():
            setattr(made, name, value)

    return change


def doubled(made):
    made.arrays.append(made.arrays[0])


def two_with_keys(made):
    made.arrays = [copy.deepcopy(made.arrays[0]) for _ in range(2)]
    for number, array in enumerate(made.arrays):
        array.output_key = f"camera{number}"


def blosc(codec, **more):
    return aqz.CompressionSettings(
        compressor=aqz.Compressor.BLOSC1, codec=aqz.CompressionCodec[codec], **more
    )


def dead_link():
    Path("link").symlink_to("nowhere")
    opened("link")


def followed_link():
    Path("nowhere").mkdir()
    opened("link")
    assert (Path("nowhere") / "zarr.json").exists()


def a_loop():
    Path("loop").symlink_to("loop")
    opened("loop")


def unlinked():
    Path("loop").unlink()
    opened("loop")


def twice(**options):
    opened()
    opened(**options)


def after_append(data, then):
    with aqz.open_stream("a.zarr", **GIVEN) as stream:
        stream.append(data)
        then(stream)


def replaced(**options):
    with aqz.open_stream("a.zarr", **GIVEN, chunks=(4, 8, 8), shards=(1, 1, 1)) as stream:
        stream.write(FRAME, {"t": 0})
        stream.write(FRAME, {"t": 0}, **options)


def left_open():
    stream = aqz.open_stream("a.zarr", **GIVEN)
    try:
        opened(overwrite=True)
    except aqz.StoreBusyError:
        stream.close()  # the remedy
        raise


def custom(metadata, **more):
    with aqz.open_stream("a.zarr", **GIVEN) as stream:
        stream.write_custom_metadata(metadata, **more)


REMEDIES = [
    # -- a call that is refused, what its message says, the call that it advises
    (lambda: opened(axes="TYX"), r"axes=\['t', 'y', 'x'\]", lambda: opened(axes=["t", "y", "x"])),
    (lambda: opened("s3:/bucket/a"), "write s3://bucket/a", None),
    (
        lambda: opened(f"file:{Path.cwd()}/a.zarr"),
        "write file:///",
        lambda: opened(f"file://{Path.cwd()}/a.zarr"),
    ),
    (
        lambda: opened("file://a.zarr"),
        "file:///directory/name",
        lambda: opened(Path.cwd().as_uri() + "/a.zarr"),
    ),
    (lambda: opened("C:\\data\\run.zarr"), r"such as run\.zarr", lambda: opened("run.zarr")),
    (
        lambda: opened("\\\\server\\share\\run.zarr"),
        r"such as run\.zarr",
        lambda: opened("run.zarr"),
    ),
    (lambda: opened(" a.zarr"), "starts or ends with a blank; remove", lambda: opened("a.zarr")),
    (
        lambda: opened("no/a.zarr"),
        "does not exist; make it",
        lambda: (Path("no").mkdir(), opened("no/a.zarr")),
    ),
    (dead_link, "leads nowhere; make that directory", followed_link),
    (a_loop, "or remove the link", unlinked),
    (
        lambda: opened(compression="zip"),
        "choose one of none, blosc-lz4",
        lambda: opened(compression="blosc-lz4"),
    ),
    (
        lambda: opened(pyramid="mode"),
        "choose one of decimate, mean",
        lambda: opened(pyramid="mean"),
    ),
    (lambda: opened(mode="resume"), "choose 'new' or 'append'", lambda: opened(mode="append")),
    (lambda: opened(plugins=5), r"write plugins=\[one\]", lambda: opened(plugins=[Metadata()])),
    (
        lambda: opened(positions="left"),
        r"positions=\['left', 'right'\]",
        lambda: opened(positions=["left", "right"]),
    ),
    (lambda: opened(plate="A1"), r"plate=\['A1', 'A2'\]", lambda: opened(plate=["A1", "A2"])),
    (lambda: opened(scale=0.65), r'scale=\{"x": 0.65\}', lambda: opened(scale={"x": 0.65})),
    (
        lambda: opened(channels="DAPI"),
        r'channels=\["DAPI", "GFP"\]',
        lambda: opened(shape=(0, 2, 8, 8), axes="tcyx", channels=["DAPI", "GFP"]),
    ),
    (lambda: opened(dtype=">u2"), "use 'uint16'", lambda: opened(dtype="uint16")),
    (lambda: opened(dtype="complex64"), "use one of uint8", lambda: opened(dtype="uint8")),
    (lambda: opened(max_memory=5), r"needs ([\d,]+) at least", lambda: opened(max_memory=64 << 20)),
    (twice, "set overwrite=True", lambda: opened(overwrite=True)),
    (left_open, "Close it", lambda: opened(overwrite=True)),
    # -- settings
    (
        lambda: changed(axis(1, chunk_size_px=0)),
        "chunk_size_px is 0; give at least 1",
        lambda: changed(axis(1, chunk_size_px=1)),
    ),
    (
        lambda: changed(axis(1, shard_size_chunks=None)),
        "use None on all of them",
        lambda: changed(
            lambda made: [
                setattr(one, "shard_size_chunks", None) for one in made.arrays[0].dimensions
            ]
        ),
    ),
    (
        lambda: changed(axis(1, array_size_px=0)),
        "give its size",
        lambda: changed(axis(1, array_size_px=8)),
    ),
    (lambda: changed(axis(1, name="t")), "rename one", lambda: changed(axis(1, name="rows"))),
    (
        lambda: changed(axis(1, kind=aqz.DimensionType.OTHER)),
        "need DimensionType.SPACE",
        lambda: changed(axis(1, kind=aqz.DimensionType.SPACE)),
    ),
    (
        lambda: changed(axis(0, scale=-1.0)),
        "0 for the default",
        lambda: changed(axis(0, scale=0.0)),
    ),
    (
        lambda: changed(first(fill_value=-1)),
        "whole number from 0 to 65535",
        lambda: changed(first(fill_value=65535)),
    ),
    (
        lambda: changed(first(channels=[aqz.Channel()])),
        "set is_ngff=True",
        lambda: changed(first(channels=[aqz.Channel()], is_ngff=True)),
    ),
    (
        lambda: changed(first(channels=[aqz.Channel(window=(5, 5))], is_ngff=True)),
        "less than end",
        lambda: changed(first(channels=[aqz.Channel(window=(5, 6))], is_ngff=True)),
    ),
    (
        lambda: changed(first(channels=[aqz.Channel(color="red")], is_ngff=True)),
        "such as '00FF00'",
        lambda: changed(first(channels=[aqz.Channel(color="00FF00")], is_ngff=True)),
    ),
    (
        lambda: changed(first(compression=blosc("ZSTD"))),
        "BLOSC_LZ4",
        lambda: changed(first(compression=blosc("BLOSC_LZ4"))),
    ),
    (
        lambda: changed(first(compression=blosc("BLOSC_LZ4", level=12))),
        "takes 0 to 9",
        lambda: changed(first(compression=blosc("BLOSC_LZ4", level=9))),
    ),
    (
        lambda: changed(first(output_key="a b")),
        "rename it",
        lambda: changed(first(output_key="a_b")),
    ),
    (lambda: changed(doubled), "give each its own", lambda: changed(two_with_keys)),
    (
        lambda: changed(lambda made: made.arrays.clear()),
        "add ArraySettings to arrays",
        lambda: changed(lambda made: None),
    ),
    (
        lambda: changed(stream_field(durability="never")),
        "use one of shard, flush, none",
        lambda: changed(stream_field(durability="none")),
    ),
    (
        lambda: changed(stream_field(max_memory=0)),
        "or None to leave it",
        lambda: changed(stream_field(max_memory=None)),
    ),
    (
        lambda: changed(stream_field(spill="b")),
        "leave spill out",
        lambda: changed(lambda made: None),
    ),
    (
        lambda: changed(stream_field(bioformats2raw=True)),
        "another key, such as '0'",
        lambda: changed(
            lambda made: (
                first(output_key="0", is_ngff=True)(made),
                stream_field(bioformats2raw=True)(made),
            )
        ),
    ),
    (
        lambda: changed(first(storage_dimension_order=["y", "t", "x"])),
        "array_size_px before the order",
        lambda: changed(
            lambda made: (
                axis(0, array_size_px=4)(made),
                first(storage_dimension_order=["t", "x", "y"])(made),
            )
        ),
    ),
    (
        lambda: aqz.StreamSettings(overwrit=True),
        "did you mean 'overwrite'",
        lambda: aqz.StreamSettings(overwrite=True),
    ),
    (lambda: aqz.Dimension(nmae="t"), "did you mean 'name'", lambda: aqz.Dimension(name="t")),
    # -- frames
    (lambda: refusing(None), r"call skip_frames\(1\)", lambda: appended(None)),
    (lambda: refusing(iter([FRAME])), "append what it yields", lambda: appended([FRAME])),
    (
        lambda: refusing([[1] * 8] * 8),
        r"numpy\.asarray\(data, 'uint16'\)",
        lambda: appended(np.asarray([[1] * 8] * 8, "uint16")),
    ),
    (
        lambda: refusing(np.ma.masked_array(FRAME, FRAME > 0)),
        r"data\.filled\(0\)",
        lambda: appended(np.ma.masked_array(FRAME, FRAME > 0).filled(0)),
    ),
    (
        lambda: refusing(FRAME.astype(float)),
        r"data\.astype\('uint16'\)",
        lambda: appended(FRAME.astype(float).astype("uint16")),
    ),
    (
        lambda: refusing(FRAME[:4]),
        "Crop, pad or transpose",
        lambda: appended(np.pad(FRAME[:4], ((0, 4), (0, 0)))),
    ),
    (
        lambda: after_append(FRAME.ravel()[:5], lambda stream: stream.append(FRAME)),
        "append the other 59",
        lambda: after_append(FRAME.ravel()[:5], lambda stream: stream.append(FRAME.ravel()[5:])),
    ),
    (
        lambda: after_append(
            FRAME, lambda stream: stream.append(np.stack([FRAME, FRAME]), metadata={"a": 1})
        ),
        "append them one by one",
        lambda: after_append(FRAME, lambda stream: stream.append(FRAME, metadata={"a": 1})),
    ),
    (
        lambda: after_append(FRAME, lambda stream: stream.append(FRAME, metadata={"a": {1}})),
        r"sorted\(\.\.\.\)",
        lambda: after_append(
            FRAME, lambda stream: stream.append(FRAME, metadata={"a": sorted({1})})
        ),
    ),
    (replaced, "replace=True", lambda: replaced(replace=True)),
    # -- metadata
    (lambda: custom([1]), "give metadata_key", lambda: custom([1], metadata_key="list")),
    (lambda: custom(""), r"such as '\{\}'", lambda: custom("{}")),
    (lambda: custom({"a": float("nan")}), "use null or a string", lambda: custom({"a": None})),
    (lambda: custom({"a": b"x"}), "decode it to text", lambda: custom({"a": b"x".decode()})),
    (
        lambda: custom({"ome": 1}),
        "under a metadata_key",
        lambda: custom({"ome": 1}, metadata_key="mine"),
    ),
]


@pytest.mark.parametrize(
    ("call", "message", "remedy"),
    [pytest.param(*case, id=re.sub(r"\W+", "-", case[1])) for case in REMEDIES],
)
def test_the_remedy_works(tmp_path, monkeypatch, call, message, remedy):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((aqz.AqzError, TypeError), match=message):
        call()
    if remedy is None:  # it needs what the machine of a test has not
        return
    for name in ("a.zarr",):
        if Path(name).is_dir() and "overwrite" not in message and "Close" not in message:
            aqz.validate_store(name)
            Path(name).rename("earlier")
    remedy()


def test_a_stream_says_what_to_send_instead_of_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = settings()
    with aqz.ZarrStream(made) as stream:
        for call in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="give the other process the StreamSettings"):
                call(stream)
        stream.append(FRAME)
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_busy_store_says_whether_its_stream_is_here(tmp_path):
    store = tmp_path / "a.zarr"
    with aqz.open_stream(store, **GIVEN):
        for path in (store, store / "0", tmp_path):
            with pytest.raises(aqz.StoreBusyError, match="this very program"):
                aqz.open_stream(path, **GIVEN, overwrite=True)
    aqz.open_stream(store, **GIVEN, overwrite=True).close()


def test_one_directory_on_some_systems(tmp_path):
    made = settings()
    made.store_path = tmp_path / "a.zarr"
    for keys in (("img", "IMG"), ("a/left", "A/right"), ("x", "X/y")):
        made.arrays = [copy.deepcopy(made.arrays[0]) for _ in keys]
        for array, key in zip(made.arrays, keys, strict=True):
            array.output_key = key
        with pytest.raises(aqz.SettingsError, match="Windows and macOS; rename one"):
            aqz.ZarrStream(made)
    made.arrays[0].output_key, made.arrays[1].output_key = "a/left", "a/right"
    aqz.ZarrStream(made).close()


def test_the_module_lists_what_is_public():
    listed = {name for name in dir(aqz) if not name.startswith("__")}
    assert listed == {*aqz.__all__, "errors"} - {"__version__"}
    assert {"Codec", "FrameFunction", "Sink", "ShardFile"} <= set(aqz.__all__)


def test_an_upload_that_was_cut_off_is_sent_by_the_same_call(tmp_path):
    store, place = tmp_path / "a.zarr", f"memory://{tmp_path.name}.zarr"
    with aqz.open_stream(store, **GIVEN, chunks=(1, 8, 8), shards=(1, 1, 1)) as stream:
        for number in range(9):
            stream.append(FRAME * number)
    calls = []

    def interrupt(done, total):
        calls.append((done, total))
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload_store(store, place, on_progress=interrupt)
    assert all(0 < done < total for done, total in calls)
    files, nbytes = upload_store(store, place, on_progress=lambda done, total: calls.append(done))
    assert calls[-1] == nbytes
    assert files == 11
    assert aqz.validate_store(place).is_valid
    with pytest.raises(aqz.StoreExistsError):
        upload_store(store, place)
