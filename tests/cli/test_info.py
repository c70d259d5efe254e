"""``aqz info`` on stores that zarr-python wrote."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec

import aqz_core as aqz
from aqz_core.cli import main
from aqz_core.cli.store_tree import read_tree
from aqz_core.cli.wording import write_bytes

IMAGE = {
    "ome": {
        "version": "0.5",
        "multiscales": [
            {
                "name": "cells",
                "axes": [
                    {"name": "y", "type": "space", "unit": "micrometer"},
                    {"name": "x", "type": "space", "unit": "micrometer"},
                ],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": [0.65, 0.5]}],
                    }
                ],
            }
        ],
    },
    "operator": "ada",
}


@pytest.fixture
def store(tmp_path):
    """A store with an image of one level inside a folder, and a plain array beside it."""
    path = tmp_path / "night.zarr"
    root = zarr.create_group(path)
    image = root.create_group("image", attributes=IMAGE)
    level = image.create_array(
        "0",
        shape=(8, 8),
        chunks=(2, 2),
        shards=(4, 4),
        dtype="uint16",
        dimension_names=["y", "x"],
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),
    )
    level[...] = np.arange(1, 65).reshape(8, 8)
    plain = root.create_array("plain", shape=(4,), chunks=(2,), dtype="float32", compressors=None)
    plain[...] = 1
    return path


def test_it_shows_groups_arrays_and_how_they_are_stored(store, capsys):
    assert main(["info", str(store)]) == 0
    shown = capsys.readouterr().out

    for expected in (
        "image  group, OME-NGFF 0.5",
        "image 'cells': axes y (space, micrometer), x (space, micrometer)",
        "attributes operator",
        "0  array uint16 8 x 8",
        "in 4 files",
        "chunks 2 x 2, shards 4 x 4 (index at the end), codec blosc lz4 5 bitshuffle",
        "scale 0.65 x 0.5",
        "plain  array float32 4, 16 B in 2 files",
        "chunks 2, no shards, codec none",
    ):
        assert expected in shown


def test_bytes_on_disk_are_those_of_the_files(store):
    tree = read_tree(store)
    files = [f for f in store.rglob("*") if f.is_file() and f.name != "zarr.json"]

    assert tree.files == len(files)
    assert tree.nbytes == sum(f.stat().st_size for f in files)


def test_an_array_can_be_named_itself(store, capsys):
    assert main(["info", str(store / "plain")]) == 0
    assert "array float32 4" in capsys.readouterr().out


def test_levels_are_listed_in_the_order_of_their_numbers(tmp_path):
    root = zarr.create_group(tmp_path)
    for name in ("10", "9", "labels", "1"):
        root.create_group(name)

    assert [node.path.name for node in read_tree(tmp_path).members] == ["1", "9", "10", "labels"]


def test_a_broken_node_is_shown_and_is_exit_code_1(store, capsys):
    (store / "image" / "0" / "zarr.json").write_text("{")

    assert main(["info", str(store)]) == 1
    shown = capsys.readouterr().out
    assert "0  unreadable: " in shown
    assert "plain  array float32" in shown
    assert "1 of the nodes cannot be read" in shown


def test_malformed_ome_metadata_are_told(tmp_path, capsys):
    zarr.create_group(tmp_path, attributes={"ome": {"multiscales": [3]}})

    for command in (["info"], ["validate"]):
        assert main([*command, str(tmp_path)]) == (command == ["validate"])
        shown = capsys.readouterr().out
        assert "malformed OME metadata: a value in them is of another type" in shown
        assert "Error(" not in shown


def test_brackets_in_names_are_not_taken_for_markup(tmp_path, capsys):
    zarr.create_group(tmp_path, attributes={"[bold]": 1}).create_group("[red]")

    assert main(["info", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "[red]" in shown
    assert "[bold]" in shown


@pytest.mark.parametrize("content", [None, "{", '{"zarr_format": 2}'])
def test_what_is_no_store_is_one_line_and_exit_code_1(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "zarr.json").write_text(content)

    assert main(["info", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"aqz: error: {tmp_path}")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5e9, "5.0 GB"),
        (2.5e12, "2.5 TB"),
    ],
)
def test_bytes_are_written_with_decimal_units(nbytes, text):
    assert write_bytes(nbytes) == text


def test_a_recording_that_nobody_continues_is_told_from_one_that_goes_on(tmp_path, capsys):
    ended = "the recording ended before it was closed; `aqz repair` finishes the store"
    with aqz.open_stream(tmp_path / "live.zarr", shape=(0, 8, 8), dtype="uint8") as stream:
        stream.append(np.ones((8, 8), "uint8"))
        stream.flush()
        assert main(["info", str(tmp_path / "live.zarr")]) == 0
        shown = capsys.readouterr().out
    assert "state recording" in shown
    assert ended not in shown

    crash = (
        "import os, sys, numpy as np, aqz_core as aqz\n"
        "stream = aqz.open_stream(sys.argv[1], shape=(0, 8, 8), dtype='uint8')\n"
        "stream.append(np.ones((8, 8), 'uint8'))\n"
        "stream.flush()\n"
        "os._exit(1)\n"
    )
    store = str(tmp_path / "dead.zarr")
    subprocess.run([sys.executable, "-c", crash, store], check=False)
    assert main(["info", store]) == 0
    assert ended in capsys.readouterr().out
