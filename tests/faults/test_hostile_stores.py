"""Stores that are not to be trusted: every reader gives an error or a right answer, and in time.

Each runs in a child process with limits of memory and time.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.cli.store_tree import read_tree
from aqz_core.dataset.picture import contact_sheet, png
from aqz_core.errors import StoreExistsError
from aqz_core.recovery import repair_store, validate_store
from aqz_core.recovery.frame_listing import list_frames
from aqz_core.storage import builtin
from aqz_core.storage.lock import StoreLock, lock_path
from tests.faults.hostile_stores import BOMBS, TRAPS, _log, honest_store
from tests.faults.limits import outcomes
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="limits of memory, links and FIFOs of Linux"
)


def resume(store):
    with aqz.ZarrStream.resume(store) as stream:
        for _ in range(4):
            stream.append(np.full((16, 16), 99, "uint8"))


def look(store):
    """Do what a notebook does with a store."""
    with aqz.open_dataset(store) as dataset:
        for image in [*dataset.images.values(), *dataset.labels.values()]:
            assert "\x1b" not in repr(dataset) + repr(image)
            image.coordinates()
            image.recorded()
            image.metadata_table()
            image.to_dask()
            image.read_image(**dict.fromkeys(image.axes[:-2], 0))
        dataset._repr_html_()
        png(contact_sheet(list(dataset.images.values())))


def copy(store):
    """Make another store of it, in the place of what an earlier try made."""
    copied = store.with_name("copied")
    aqz.transcode(store, copied, threads=1, overwrite=copied.exists())


READERS = {
    "look": look,
    "copy": copy,
    "validate": validate_store,
    "info": read_tree,
    "list_frames": list_frames,
    "read_frame_metadata": aqz.read_frame_metadata,
    "read_plane": lambda store: aqz.ZarrArrayReader(store / "0").read_plane(1),
    "dry repair": repair_store,
    "repair": lambda store: repair_store(store, apply=True),
    "resume": resume,
}


@pytest.mark.parametrize(
    ("name", "closed"),
    [(name, False) for name in BOMBS] + [(name, True) for name in BOMBS if "frames" in name],
)
def test_work_is_bounded_by_what_is_there(tmp_path, name, closed):
    store = tmp_path / "s"
    honest_store(store, closed=closed)
    BOMBS[name](store, tmp_path)
    assert set(outcomes(READERS, store)) == set(READERS)


@pytest.mark.parametrize("name", TRAPS)
def test_nothing_outside_of_a_store_is_touched(tmp_path, name):
    store, outside = tmp_path / "s", tmp_path / "outside"
    outside.mkdir()
    victim = outside / "victim"
    victim.write_text("precious")
    honest_store(store, closed=False)
    TRAPS[name](store, victim)
    found = outcomes(READERS, store)
    assert set(found) == set(READERS)
    for writer in ("repair", "resume"):
        assert "link or another special file" in found[writer]
    assert victim.read_text() == "precious"
    assert list(outside.iterdir()) == [victim]


@pytest.mark.parametrize("what", ["FIFO", "link"])
def test_a_lock_file_that_is_none_is_neither_waited_for_nor_followed(tmp_path, what, caplog):
    store, victim = tmp_path / "s", tmp_path / "victim"
    lock = lock_path(store)
    if what == "FIFO":
        os.mkfifo(lock)
    else:
        lock.symlink_to(victim)
    honest_store(store)
    assert not victim.exists()
    assert "cannot be locked" in caplog.text
    assert validate_store(store).is_valid


def test_a_new_recording_makes_nothing_behind_a_linked_folder(tmp_path):
    store, outside = tmp_path / "s", tmp_path / "outside"
    outside.mkdir()
    honest_store(store)
    (store / "more").symlink_to(outside)
    plan = ArrayPlan(axes=axes("tyx", (0, 8, 8), (1, 8, 8)), key="more")
    with pytest.raises((OSError, StoreExistsError)):
        aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), store)).close()
    assert not list(outside.iterdir())


def test_leftovers_that_are_links_are_replaced_not_followed(tmp_path):
    from aqz_core.storage.filesystem import FilesystemSink

    victim = tmp_path / "victim"
    victim.write_text("precious")
    sink = FilesystemSink(tmp_path / "s")
    (tmp_path / "s" / "a.aqz-partial").symlink_to(victim)
    sink.write("a", b"new", sync=False)
    assert sink.read("a") == b"new"
    (tmp_path / "s" / "b.aqz-partial").symlink_to(victim)
    sink.create_shard("b", None, visible=True).write_at(0, b"new")
    (tmp_path / "s" / "log").symlink_to(victim)
    with pytest.raises(OSError, match="it is a link"):
        sink.append("log", b"new")
    assert victim.read_text() == "precious"


# ---- locks of object stores -----------------------------------------------------------------


@pytest.mark.parametrize("trap", ["link", "open to all", "file"])
def test_a_lock_directory_that_is_not_the_users_own_is_not_used(tmp_path, monkeypatch, trap):
    import getpass
    import tempfile

    from aqz_core.storage.objects.machine_lock import (
        is_locked_on_this_machine,
        lock_on_this_machine,
    )

    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / f"aqz-locks-{getpass.getuser()}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if trap == "link":
        folder.symlink_to(elsewhere)
    elif trap == "file":
        folder.write_text("")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    lock = lock_on_this_machine("s3://bucket/store", None)
    assert lock is not None
    assert is_locked_on_this_machine("s3://bucket/store", None)
    assert not list(elsewhere.iterdir())
    own = tmp_path / "home" / ".cache" / "aqz" / "locks"
    assert list(own.iterdir())
    assert not stat.S_IMODE(own.stat().st_mode) & 0o077
    lock.release()


# ---- what is shown --------------------------------------------------------------------------


def test_control_characters_of_a_store_are_shown_by_their_codes(tmp_path, capsys):
    from aqz_core.cli import main

    store = tmp_path / "s"
    honest_store(store)
    (store / "0" / "\x1b]0;owned\x07").write_text("")
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"]["aqz"]["state"] = "\x1b[2Jgone\u202e"
    document["attributes"]["\x1b[31mred"] = 1
    document["attributes"]["ome"]["multiscales"][0]["name"] = "\x1b[1A"
    (store / "zarr.json").write_text(json.dumps(document))
    for command in ("info", "validate", "repair"):
        main([command, str(store)])
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "\u202e" not in said.out
    main(["validate", str(store)])
    assert r"\x1b[2Jgone\u202e" in capsys.readouterr().out
    main(["info", str(tmp_path / "\x1b[2J")])
    assert "\x1b" not in capsys.readouterr().err


def test_text_of_a_store_is_shown_as_text_in_a_notebook(tmp_path):
    store = tmp_path / "s"
    honest_store(store)
    document = json.loads((store / "zarr.json").read_text())
    tag = "<img src=x onerror=alert(1)>\x1b[2J\udc80"
    document["attributes"]["aqz"]["state"] = tag
    document["attributes"]["ome"]["multiscales"][0]["name"] = tag
    (store / "zarr.json").write_text(json.dumps(document))
    with aqz.open_dataset(store) as dataset:
        (image,) = dataset.images.values()
        for html in (dataset._repr_html_(), image._repr_html_()):
            assert "<img src=x" not in html
            assert html.count("&lt;img src=x") == 2
            assert "\x1b" not in html
            html.encode()


def test_a_row_for_each_key_takes_no_square_of_memory(tmp_path):
    store = tmp_path / "s"
    honest_store(store)
    with (store / "0/aqz.frames.jsonl").open("w") as file:
        for number in range(20_000):
            entry = {"index": [number % 6], "metadata": {f"key {number}": number}}
            file.write(json.dumps(entry) + "\n")
    with aqz.open_dataset(store) as dataset:
        found = dataset.read_metadata(t=5)
    assert len(found) == 19_998  # what the lines of frame 5, and those before, say
    assert found["key 19997"] == 19_997


def test_objects_whose_names_lead_out_of_a_store_are_no_part_of_it(tmp_path):
    from aqz_core.reading.object_files import _is_inside
    from aqz_core.storage.filesystem import FilesystemSink

    assert _is_inside("0/c/0/0/0")
    assert not any(map(_is_inside, ("../x", "0/../../x", "0//x", "0\\..\\..\\x", "./x")))
    sink = FilesystemSink(tmp_path / "s")
    with pytest.raises(OSError, match="leads out of the store"):
        sink.write("0/../../x/zarr.json", b"{}", sync=False)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_link_to_a_store_is_followed_once(tmp_path):
    one, other, link = tmp_path / "one", tmp_path / "other", tmp_path / "link"
    for path in (one, other):
        honest_store(path)
    link.symlink_to(one)
    before = sorted((file, file.stat().st_mtime_ns) for file in other.rglob("*"))
    with aqz.open_stream(link, shape=(0, 8, 8), dtype="u1", overwrite=True) as stream:
        assert lock_path(one).exists()
        link.unlink()
        link.symlink_to(other)
        stream.append(np.ones((3, 8, 8), "u1"))
    assert sorted((file, file.stat().st_mtime_ns) for file in other.rglob("*")) == before
    assert aqz.open_dataset(one).read_image(t=2).all()


WRITERS = {
    "record": lambda link: aqz.open_stream(link, shape=(0, 8, 8), dtype="u1", overwrite=True),
    "resume": lambda link: aqz.ZarrStream.resume(link),
    "repair": lambda link: repair_store(link, apply=True),
    "transcode": lambda link: aqz.transcode(link.with_name("three"), link, overwrite=True),
    "add_pyramid": lambda link: aqz.add_pyramid(link),
}


@pytest.mark.parametrize("is_parent", [False, True], ids=["root", "folder of it"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_link_that_is_changed_between_lock_and_opening_is_noticed(
    tmp_path, monkeypatch, name, is_parent
):
    one, other = tmp_path / "one/s", tmp_path / "other/s"
    for path in (one, other, tmp_path / "three"):
        path.parent.mkdir(exist_ok=True)
        honest_store(path, closed=name not in ("repair", "resume"))
        if path == one and name == "repair":
            _log(path, '{"appended":1')  # something to repair
    link = tmp_path / "link"
    link.symlink_to(one.parent if is_parent else one)
    given = link / "s" if is_parent else link
    if name == "transcode":
        (tmp_path / "three").rename(given.with_name("three"))

    def contents():
        return {file: file.read_bytes() for file in other.rglob("*") if file.is_file()}

    before = contents()

    class Swapped(StoreLock):
        def __init__(self, store):
            super().__init__(store)
            link.unlink()
            link.symlink_to(other.parent if is_parent else other)

    monkeypatch.setattr(builtin, "StoreLock", Swapped)
    with pytest.raises(aqz.StorageError, match="a link on the way to the store was changed"):
        WRITERS[name](given)
    assert contents() == before
    assert not lock_path(one).exists()


@pytest.mark.parametrize("bounded", [True, False])
def test_a_plugins_codec_is_told_how_large_a_chunk_can_be(tmp_path, bounded):
    asked = []

    class Growing:
        """Decodes to a hundred times as much as it should, if it is let."""

        name = "growing"

        def encode(self, data):
            return bytes(data)

        def decode(self, data):
            return bytes(data) * 100

        def max_encoded_size(self, nbytes):
            return nbytes

        def v3_metadata(self):
            return {"name": "growing"}

        def v2_metadata(self):
            return None

    class Bounded(Growing):
        def decode_at_most(self, data, nbytes):
            asked.append(nbytes)
            raise ValueError("too much")

    class Plugin:
        @aqz.hookimpl
        def aqz_codecs(self):
            return [aqz.CodecProvider("growing", lambda *_: (Bounded if bounded else Growing)())]

    store, plugins = tmp_path / "s", [Plugin()]
    honest_store(store)
    document = json.loads((store / "0/zarr.json").read_text())
    document["codecs"][0]["configuration"]["codecs"].append({"name": "growing"})
    (store / "0/zarr.json").write_text(json.dumps(document))
    with (
        aqz.open_dataset(store, plugins=plugins) as dataset,
        pytest.raises(aqz.StorageError, match="too much" if bounded else "larger than 256 bytes"),
    ):
        dataset.read_image(t=0)
    assert asked == [256] * bounded
