"""`overwrite=True` removes what was recorded at a place, and nothing else."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from tests.faults.stopped_disk import Stop, stopping
from tests.support.decoders import read_with_zarr_python
from tests.support.finished import stored_files
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

FRAMES = np.arange(5 * 256, dtype="u2").reshape(5, 16, 16)
OTHERS = np.full((3, 8, 8), 7, "u1")


def record(path, frames=FRAMES, **options):
    """Record one image at the root of a store."""
    shape = (0, *frames.shape[1:])
    with aqz.open_stream(path, shape=shape, dtype=frames.dtype, **options) as stream:
        stream.append(frames)


def recorded(path):
    """Read such an image."""
    return read_with_zarr_python(path, "0")


def plate_settings(path, version, **options):
    """Settings of a plate with a field and of an array beside it."""
    plan = ArrayPlan(axes=axes("tyx", (0, 16, 16), (2, 8, 8), (1, 1, 1)), frames=3)
    made = settings_for(aqz, StreamPlan((plan,), options), path)
    made.version = aqz.ZarrVersion(version)
    flat = made.arrays[0]
    flat.output_key = "overview"
    field = aqz.ArraySettings(dimensions=flat.dimensions, data_type="u2", is_ngff=True)
    made.hcs_plates = [
        aqz.Plate(
            path="plate",
            row_names=["A"],
            column_names=["1"],
            wells=[
                aqz.Well(
                    row_name="A",
                    column_name="1",
                    images=[aqz.FieldOfView(path="f0", array_settings=field)],
                )
            ],
        )
    ]
    return made, frames_of(plan)


@pytest.mark.parametrize("version", [2, 3])
def test_a_plate_with_logs_and_custom_metadata_is_replaced(tmp_path, version):
    for seed in (1, 2):
        made, frames = plate_settings(tmp_path / "s", version, overwrite=True)
        frames = (frames + seed).astype(frames.dtype)
        with aqz.ZarrStream(made) as stream:
            stream.append(frames, "overview")
            stream.write_custom_metadata('{"seed": 1}', True)
            stream.append(FRAMES[0], "plate/A/1/f0", metadata={"seed": seed})
    np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", "overview"), frames)
    table = aqz.read_frame_metadata(tmp_path / "s", "plate/A/1/f0")
    assert [row["seed"] for row in table] == [2]


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "0/notes.txt",
        "0/c/0/0/notes.txt",
        "analysis/cells.csv",
        "0/c/mask.tif",
        ".git/config",
    ],
)
@pytest.mark.parametrize("version", [2, 3])
def test_what_others_put_into_a_store_is_not_removed(tmp_path, name, version):
    store = tmp_path / "s"
    record(store, version=version)
    if version == 2:
        name = name.replace("/c/", "/")
    precious = store / name
    precious.parent.mkdir(parents=True, exist_ok=True)
    precious.write_text("all of it")
    before = stored_files(store)
    with pytest.raises(aqz.StoreExistsError, match="no part of a recording") as caught:
        record(store, overwrite=True)
    assert "Move it away" in str(caught.value)
    assert stored_files(store) == before
    np.testing.assert_array_equal(recorded(store), FRAMES)
    precious.rename(tmp_path / "rescued")  # the remedy
    for folder in (precious.parent, *precious.parent.parents):
        if folder == store or any(folder.iterdir()):
            break
        folder.rmdir()
    record(store, OTHERS, overwrite=True)
    np.testing.assert_array_equal(recorded(store), OTHERS)


@pytest.mark.parametrize("name", ["other.zarr", "run2"])
def test_another_store_inside_of_one_is_not_removed(tmp_path, name):
    record(tmp_path / "s")
    record(tmp_path / "s" / name, OTHERS)
    with pytest.raises(aqz.StoreExistsError, match=name):
        record(tmp_path / "s", overwrite=True)
    np.testing.assert_array_equal(recorded(tmp_path / "s" / name), OTHERS)
    np.testing.assert_array_equal(recorded(tmp_path / "s"), FRAMES)


def test_arrays_inside_of_an_image_are_replaced_with_it(tmp_path):
    image = ArrayPlan(axes=axes("tyx", (0, 16, 16), (2, 8, 8), (1, 1, 1)), is_ngff=True)
    labels = ArrayPlan(axes=image.axes, key="extra/nuclei", frames=2)
    for _ in range(2):
        settings = settings_for(
            aqz, StreamPlan((image, labels), {"overwrite": True}), tmp_path / "s"
        )
        with aqz.ZarrStream(settings) as stream:
            stream.append(frames_of(labels), "extra/nuclei")
    np.testing.assert_array_equal(
        read_with_zarr_python(tmp_path / "s", "extra/nuclei"), frames_of(labels)
    )


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "thesis.zarr").write_text("all of it")
    with pytest.raises(aqz.StoreExistsError, match="is a file"):
        record(tmp_path / "thesis.zarr", overwrite=overwrite)
    assert (tmp_path / "thesis.zarr").read_text() == "all of it"


def test_a_link_is_followed_and_kept(tmp_path):
    target, link = tmp_path / "disk" / "run.zarr", tmp_path / "run.zarr"
    target.parent.mkdir()
    record(target)
    link.symlink_to(target)
    record(link, OTHERS, overwrite=True)
    assert link.is_symlink()
    np.testing.assert_array_equal(recorded(target), OTHERS)


def test_a_link_does_not_let_a_second_stream_in(tmp_path):
    target, link = tmp_path / "disk" / "run.zarr", tmp_path / "run.zarr"
    target.parent.mkdir()
    target.mkdir()
    link.symlink_to(target)
    options = {"shape": (0, 16, 16), "dtype": "u2", "overwrite": True}
    with aqz.open_stream(link, **options) as stream:
        stream.append(FRAMES)
        for path in (link, target):
            with pytest.raises(aqz.StoreBusyError):
                aqz.open_stream(path, **options)
    np.testing.assert_array_equal(recorded(target), FRAMES)


def test_links_inside_of_a_store_are_removed_and_not_what_they_lead_to(tmp_path):
    record(tmp_path / "s")
    (tmp_path / "s" / "0").rename(tmp_path / "elsewhere")
    (tmp_path / "s" / "0").symlink_to(tmp_path / "elsewhere")
    record(tmp_path / "s", OTHERS, overwrite=True)
    assert (tmp_path / "elsewhere" / "zarr.json").exists()
    np.testing.assert_array_equal(recorded(tmp_path / "s"), OTHERS)


def test_the_directory_itself_stays(tmp_path):
    record(tmp_path / "s")
    Path(tmp_path / "s").chmod(0o2775)
    before = (tmp_path / "s").stat()
    record(tmp_path / "s", OTHERS, overwrite=True)
    after = (tmp_path / "s").stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="file managers of Windows make another file")
def test_files_of_a_file_manager_are_in_nobodys_way(tmp_path):
    record(tmp_path / "s")
    for name in (".DS_Store", "0/.DS_Store", "._zarr.json"):
        (tmp_path / "s" / name).touch()
    record(tmp_path / "s", OTHERS, overwrite=True)
    assert not os.path.lexists(tmp_path / "s" / ".DS_Store")


def test_to_continue_and_to_overwrite_exclude_each_other(tmp_path):
    record(tmp_path / "s")
    with pytest.raises(aqz.SettingsError, match="overwrite") as caught:
        record(tmp_path / "s", mode="append", overwrite=True)
    assert "mode" in str(caught.value)
    np.testing.assert_array_equal(recorded(tmp_path / "s"), FRAMES)


@pytest.mark.parametrize("version", [2, 3])
def test_results_of_others_in_a_group_of_arrays_are_not_removed(tmp_path, version):
    plan = ArrayPlan(axes=axes("tyx", (0, 16, 16), (2, 8, 8), None), key="raw", frames=3)
    options = {"version": aqz.ZarrVersion(version)}
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), options), tmp_path / "s")) as stream:
        stream.append(frames_of(plan))
    group = zarr.open_group(tmp_path / "s", mode="a", zarr_format=version)
    group.create_array("segmented", data=OTHERS)
    plan = replace(plan, key="again")  # what was recorded under another name goes
    settings = settings_for(aqz, StreamPlan((plan,), options), tmp_path / "s")
    settings.overwrite = True
    with pytest.raises(aqz.StoreExistsError, match="segmented"):
        aqz.ZarrStream(settings)
    del group["segmented"]
    aqz.ZarrStream(settings).close()
    assert not (tmp_path / "s" / "raw").exists()


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_whose_opening_was_cut_off_is_replaced(tmp_path, version):
    for after in range(40):
        settings, _ = plate_settings(tmp_path / str(after), version, overwrite=True)
        stop = Stop("kill", after)
        with stopping(stop):
            try:
                aqz.ZarrStream(settings).close()
            except aqz.AqzError:
                assert stop.is_dead
        aqz.ZarrStream(settings).close()
        if not stop.is_dead:
            break
    assert after > 5
