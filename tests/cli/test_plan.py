"""``aqz plan``, and the proposals behind it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.cli import main
from aqz_core.planning.suggestion import TARGETS
from aqz_core.storage.filesystem import FilesystemSink
from tests.support.finished import array_nodes, stored_files

FRAME_SIZES = st.integers(1, 3000)
LEAD_SIZES = st.lists(st.integers(1, 50), max_size=3)


def plan(*options):
    """Run ``aqz plan`` and return its exit code."""
    return main(["plan", *options])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--shape", "2048x2048", "--fps", "100"],
            ["tyx: unlimited x 2048 x 2048 uint16", "838.9 MB/s", "3.0 TB an hour", "per hour"],
        ),
        (["--shape", "0x512x512", "--dtype", "uint8"], ["files per TB", "262.1 kB a frame"]),
        (["--shape", "0x3x40x1024x1024"], ["tczyx: unlimited x 3 x 40 x 1024 x 1024"]),
        (["--shape", "7,512,512", "--axes", "zyx"], ["zyx: 7 x 512 x 512", "files  "]),
        (["--shape", "512x512", "--target", "viewing", "--raw"], ["viewing", "128 x 512 x 512"]),
        (["--shape", "1501x2003", "--pyramid"], ["1 x 501 x 501", "0.2%"]),
    ],
)
def test_it_says_what_each_proposal_costs(options, expected, capsys):
    assert plan(*options) == 0
    said = capsys.readouterr().out
    for text in [*expected, "memory", "open_stream("]:
        assert text in said
    assert ("object-store" in said) == ("--target" not in options)


def test_what_it_proposes_can_be_pasted(capsys, tmp_path):
    plan("--shape", "64x96", "--dtype", "uint8")
    call = capsys.readouterr().out.partition("to record so:\n")[2]
    with eval(call, {"aqz_core": aqz, "path": tmp_path / "s.zarr"}) as stream:
        stream.append(np.zeros((64, 96), np.uint8))
    assert (tmp_path / "s.zarr" / "0" / "c" / "0" / "0" / "0").is_file()


@pytest.mark.parametrize("shape", ["", "0x512x", "512", "2kx2k", "-1x4x4"])
def test_a_shape_that_is_none(shape, capsys):
    code = plan("--shape", shape)
    assert code == (1 if shape == "512" else 2)
    assert "rror" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "5x0x4"], "only the first"),
        (["--shape", "0x99999999999x5"], "shape must be"),
        (["--shape", "4x4", "--dtype", "rgb"], "not a data type"),
        (["--shape", "4x4", "--axes", "tzyx"], "must name the same axes"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(options, message, capsys):
    assert plan(*options) == 1
    error = capsys.readouterr().err
    assert error.startswith("aqz: error: ")
    assert message in error


def test_a_shard_has_no_index_that_memory_cannot_hold():
    layout = aqz.suggest_layout((0, 1, 1, 1), "uint8", "czyx", target="object-store")
    assert layout.least_memory_nbytes < 1 << 30


@settings(max_examples=40)
@given(
    lead=LEAD_SIZES,
    unlimited=st.booleans(),
    frame=st.tuples(FRAME_SIZES, FRAME_SIZES),
    dtype=st.sampled_from(["uint8", "uint16", "float64"]),
    target=st.sampled_from(sorted(TARGETS)),
    compressed=st.booleans(),
    pyramid=st.booleans(),
)
def test_every_proposal_can_be_recorded_in_the_memory_it_names(
    lead, unlimited, frame, dtype, target, compressed, pyramid
):
    shape = (*([0] if unlimited else []), *lead, *frame)
    axes = "stczyx"[-len(shape) :]
    layout = aqz.suggest_layout(
        shape, dtype, axes, target=target, compressed=compressed, pyramid=pyramid
    )
    assert layout.chunk_shape[-2:] == tuple(
        min(c, n) for c, n in zip(layout.chunk_shape[-2:], frame, strict=True)
    )
    assert all(s >= n for s, n in zip(layout.shard_shape[-2:], frame, strict=True))
    plane = math.prod(layout.shard_shape[-2:]) * np.dtype(dtype).itemsize
    assert layout.shard_nbytes <= max(
        TARGETS[target].shard_nbytes, plane * max(layout.chunk_shape[:-2], default=1)
    )

    stream = aqz.StreamSettings(
        store_path="not made",
        s3=aqz.S3Settings(endpoint="http://host", bucket_name="bucket")
        if target == "object-store"
        else None,
        max_memory=layout.least_memory_nbytes,
        arrays=[
            aqz.ArraySettings(
                data_type=dtype,
                compression=aqz.CompressionSettings(
                    compressor=aqz.Compressor.BLOSC1, codec=aqz.CompressionCodec.BLOSC_LZ4
                )
                if compressed
                else None,
                downsampling_method=aqz.DownsamplingMethod.MEAN if pyramid else None,
                dimensions=[
                    aqz.Dimension(
                        name=name,
                        kind={"t": aqz.DimensionType.TIME, "c": aqz.DimensionType.CHANNEL}.get(
                            name,
                            aqz.DimensionType.OTHER if name == "s" else aqz.DimensionType.SPACE,
                        ),
                        array_size_px=size,
                        chunk_size_px=chunk,
                        shard_size_chunks=chunks,
                    )
                    for name, size, chunk, chunks in zip(
                        axes, shape, layout.chunk_shape, layout.shard_chunks, strict=True
                    )
                ],
            )
        ],
    )
    assert stream.get_maximum_memory_usage() == layout.least_memory_nbytes
    stream.max_memory -= 1
    with pytest.raises(aqz.MemoryBudgetError):
        stream.get_maximum_memory_usage()
    stream.max_memory = None
    assert stream.get_maximum_memory_usage() == layout.memory_nbytes


@pytest.mark.parametrize(
    ("shape", "frames"),
    [((0, 20, 30), 11), ((0, 2, 3, 20, 30), 13), ((0, 2, 3, 20, 30), 12), ((4, 3, 20, 30), 5)],
)
def test_files_are_counted_as_they_are_made(tmp_path, shape, frames):
    axes = "tczyx"[-len(shape) :] if len(shape) > 3 else "tyx"
    chunks = (2,) + (1,) * (len(shape) - 3) + (16, 16)
    layout = aqz.suggest_layout(shape, "uint8", axes, chunk_shape=chunks)
    with aqz.open_stream(
        tmp_path / "s.zarr",
        shape=shape,
        dtype="uint8",
        axes=axes,
        chunks=layout.chunk_shape,
        shards=layout.shard_chunks,
    ) as stream:
        stream.append(np.ones((frames, *shape[-2:]), np.uint8))
    made = [name for name in stored_files(tmp_path / "s.zarr") if "/c/" in name]
    assert len(made) == layout.file_count(frames)


@pytest.mark.parametrize(
    ("shape", "axes", "chunk"),
    [
        ((0, 64, 64), "tyx", (128, 64, 64)),  # small planes share a chunk
        ((0, 2, 64, 64), "tcyx", (128, 1, 64, 64)),  # but never those of different channels
        ((0, 5, 64, 64), "tzyx", (1, 5, 64, 64)),  # and no more than there are
        ((0, 2048, 2048), "tyx", (2, 512, 512)),
        ((0, 700, 1501), "tyx", (1, 700, 501)),  # little is left over at the edges
        ((300, 400), "yx", (300, 400)),
    ],
)
def test_chunks_for_recording(shape, axes, chunk):
    assert aqz.suggest_layout(shape, "uint8", axes).chunk_shape == tuple(
        min(c, n) if n else c for c, n in zip(chunk, shape, strict=True)
    )


def test_small_stacks_share_a_shard_along_several_axes():
    layout = aqz.suggest_layout((0, 3, 5, 512, 512), "uint16", "tczyx")
    assert layout.shard_chunks[1:3] == (3, 5)
    assert layout.shard_chunks[0] > 1


def test_chunks_that_are_settled_get_shards_that_fit():
    layout = aqz.suggest_layout((0, 2048, 2048), "uint16", chunk_shape=(64, 64, 64))
    assert layout.chunk_shape == (64, 64, 64)
    assert layout.shard_chunks == (1, 32, 32)


@pytest.mark.parametrize(
    ("scheme", "target"), [("", "recording"), ("file://", "recording"), ("mine://", "object-store")]
)
def test_a_stream_takes_what_suits_its_store(scheme, target, tmp_path):
    class Plugin:
        @aqz.hookimpl
        def aqz_sinks(self):
            return aqz.SinkProvider(
                schemes=("mine",), open=lambda url, settings: FilesystemSink(tmp_path / "s.zarr")
            )

    path = f"{scheme}{tmp_path}/s.zarr"
    shape = (0, 1100, 1100)
    with aqz.open_stream(path, shape=shape, dtype="uint8", plugins=[Plugin()]) as stream:
        stream.append(np.zeros(shape[1:], np.uint8))
    (array,) = array_nodes(tmp_path / "s.zarr").values()
    shard = array["chunk_grid"]["configuration"]["chunk_shape"]
    assert tuple(shard) == aqz.suggest_layout(shape, "uint8", target=target).shard_shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 4, 4), "target": "tape"}, "target 'tape' is unknown; choose one of rec"),
        ({"shape": (4,)}, "two at least"),
        ({"shape": (0, 4)}, "only the first of three or more"),
        ({"shape": (0, 4, 4), "axes": "yx"}, "must name the same axes"),
        ({"shape": (0, 4, 4), "chunk_shape": (1, 4)}, "one size, 1 at least, for each axis"),
        ({"shape": (0, 4, 4), "chunk_shape": (0, 4, 4)}, "one size, 1 at least, for each axis"),
    ],
)
def test_what_has_no_layout(arguments, message):
    with pytest.raises(aqz.SettingsError, match=message):
        aqz.suggest_layout(dtype="uint8", **arguments)
