"""Metadata files that are gone: made again from the others, or told with what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import ResumeError
from aqz_core.reading import files
from aqz_core.recovery import Severity, repair_store, validate_store
from tests.faults.test_recovery import PLANS, go_on
from tests.support.decoders import DECODERS
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

FORMATS = {
    "V3": (aqz.ZarrVersion.V3, "zarr.json"),
    "V2": (aqz.ZarrVersion.V2, ".zarray"),
}
IMAGES = ["half-full chunks", "z in pairs", "z without end"]
AMBIGUOUS = {
    ("half-full chunks", "V3"),  # the smaller level holds fewer chunks than a shard could
    ("z in pairs", "V3"),
    ("z without end", "V3"),
    ("half-full chunks", "V2"),  # chunks of the smaller level are cut to its size
}


def recorded(store, plan, count, version=aqz.ZarrVersion.V3):
    settings = settings_for(aqz, StreamPlan((plan,), {"version": version}), store)
    with aqz.ZarrStream(settings) as stream:
        for frame in frames_of(plan)[:count]:
            stream.append(frame)


def content(store):
    """Every file of a store; metadata as JSON."""
    found = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    return {
        path.relative_to(store).as_posix(): json.loads(data) if _is_metadata(path) else data
        for path, data in found.items()
    }


def _is_metadata(path):
    return path.name.startswith(".z") or path.suffix == ".json"


def errors(report):
    return [found for found in report.findings if found.severity is Severity.ERROR]


@pytest.mark.parametrize("version", FORMATS)
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("level", [0, 1])
def test_a_level_is_made_again_from_another(tmp_path, name, version, level):
    plan, store = PLANS[name], tmp_path / "s"
    zarr_version, file = FORMATS[version]
    recorded(store, plan, 17, zarr_version)
    before = content(store)
    (store / "img" / str(level) / file).unlink()
    assert not validate_store(store).is_valid
    with pytest.raises(ResumeError, match="aqz repair"):
        aqz.ZarrStream.resume(store)
    report = repair_store(store, apply=True)
    if level == 0 and (name, version) in AMBIGUOUS:
        (told,) = errors(report)
        assert "cannot be made again" in told.what
        assert "Put back those of a recording with the same settings" in told.what
        return
    assert content(store) == before
    assert validate_store(store).is_valid
    assert go_on(store, plan) == 17
    for number, wanted in enumerate(expected_levels(plan)):
        read = DECODERS["zarr-python"](store, f"img/{number}")
        np.testing.assert_array_equal(read, wanted)


def test_a_dry_run_only_tells(tmp_path):
    plan, store = PLANS["half-full chunks"], tmp_path / "s"
    recorded(store, plan, 17)
    (store / "img" / "1" / "zarr.json").unlink()
    before = content(store)
    report = repair_store(store)
    assert [(action.where, "made again" in action.what) for action in report.actions] == [
        ("img/1/zarr.json", True)
    ]
    assert content(store) == before


def field(path, acquisition):
    array = settings_for(aqz, StreamPlan((PLANS["half-full chunks"],), {}), Path("x")).arrays[0]
    array.output_key = ""
    return aqz.FieldOfView(path=path, acquisition_id=acquisition, array_settings=array)


@pytest.fixture
def plate(tmp_path):
    """A plate of two wells in a group, recorded."""
    return recorded_plate(tmp_path / "s", aqz.ZarrVersion.V3)


def recorded_plate(store, version):
    wells = [
        aqz.Well(row_name="A", column_name=column, images=[field("0", 0), field("1", 0)])
        for column in ("1", "2")
    ]
    plates = [
        aqz.Plate(
            path="inside/plate",
            name="plate",
            row_names=["A"],
            column_names=["1", "2"],
            acquisitions=[aqz.Acquisition(id=0, name="first")],
            wells=wells,
        )
    ]
    settings = aqz.StreamSettings(store_path=store, hcs_plates=plates, version=version)
    with aqz.ZarrStream(settings) as stream:
        for key in settings.get_array_keys():
            stream.append(frames_of(PLANS["half-full chunks"])[0], key=key)
    return store


@pytest.mark.parametrize("name", ["", "inside", "inside/plate/A", "inside/plate/A/2"])
def test_groups_that_others_tell_are_made_again(plate, name):
    before = content(plate)
    (plate / name / "zarr.json").unlink()
    report = repair_store(plate, apply=True)
    assert not report.findings
    assert content(plate) == before


@pytest.mark.parametrize("name", ["inside/plate", "inside/plate/A/1/0"])
def test_what_nothing_tells_is_said(plate, name):
    (plate / name / "zarr.json").unlink()
    before = content(plate)
    report = repair_store(plate, apply=True)
    (told,) = errors(report)
    assert told.where == name
    assert "Put back the metadata" in told.what
    assert content(plate) == before


def test_an_array_that_nothing_tells_of_keeps_its_files(tmp_path):
    store = tmp_path / "s"
    recorded(store, PLANS["plain"], 9)
    (store / "zarr.json").unlink()
    before = content(store)
    (told,) = errors(repair_store(store, apply=True))
    assert "put back the metadata" in told.what
    assert content(store) == before


def test_a_level_of_which_everything_is_gone_is_empty(tmp_path):
    plan, store = PLANS["half-full chunks"], tmp_path / "s"
    recorded(store, plan, 17)
    shutil.rmtree(store / "img" / "1")
    repair_store(store, apply=True)
    report = validate_store(store)
    (told,) = errors(report)
    assert "chunks that were recorded are missing: the file c/0/0/0 is not there" in told.what


# ---- what is there and cannot be read is not gone -------------------------------------------


@pytest.fixture
def annotated(tmp_path):
    """A store whose root is a plain group above an array, with attributes of a user."""
    plan, store = PLANS["half-full chunks"], tmp_path / "s"
    recorded(store, plan, 17)
    document = json.loads((store / "zarr.json").read_bytes())
    document["attributes"]["mine"] = {"sample": "7b"}
    (store / "zarr.json").write_text(json.dumps(document))
    return store


def test_broken_metadata_are_told_and_never_replaced(annotated):
    for broken in (annotated / "zarr.json", annotated / "img" / "1" / "zarr.json"):
        whole = broken.read_text()
        damaged = whole.rstrip().removesuffix("}") + ",}"
        broken.write_text(damaged)
        report = repair_store(annotated, apply=True)
        assert broken.read_text() == damaged
        (told,) = errors(report)
        assert "not valid JSON" in told.what
        where = broken.parent.relative_to(annotated).as_posix()
        assert where in [found.where for found in errors(validate_store(annotated))]
        broken.write_text(whole)
    assert validate_store(annotated).is_valid


def test_a_level_that_cannot_be_read_leaves_the_others_their_length(tmp_path):
    store = tmp_path / "s"
    sizes = axes("zyx", (0, 32, 32), (2, 8, 8), (2, 2, 2))
    recorded(store, ArrayPlan(axes=sizes, key="img", method="MAX", frames=19), 19)
    before = content(store)
    assert [before[f"img/{level}/zarr.json"]["shape"][0] for level in range(3)] == [19, 10, 5]
    (store / "img" / "1" / "zarr.json").write_text("{")
    assert repair_store(store, apply=True).actions == ()
    (store / "img" / "1" / "zarr.json").write_text(json.dumps(before["img/1/zarr.json"]))
    assert content(store) == before


def test_metadata_on_a_disk_that_fails_are_not_replaced(annotated, monkeypatch):
    original = files.open_regular
    broken = {annotated / "zarr.json", annotated / "img/1/zarr.json"}

    def open_regular(path, *arguments, **options):
        if Path(path) in broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(path, *arguments, **options)

    monkeypatch.setattr(files, "open_regular", open_regular)
    before = content(annotated)
    report = repair_store(annotated, apply=True)
    assert content(annotated) == before
    assert report.actions == ()
    assert {found.where for found in errors(report)} == {".", "img/1"}
    assert all("cannot be read" in found.what for found in errors(report))


def test_attributes_beside_a_missing_group_of_zarr_v2_stay(tmp_path):
    store = recorded_plate(tmp_path / "s", aqz.ZarrVersion.V2)
    well = store / "inside" / "plate" / "A" / "1"
    attributes = json.loads((well / ".zattrs").read_bytes()) | {"mine": "7b"}
    (well / ".zattrs").write_text(json.dumps(attributes))
    (well / ".zgroup").unlink()
    before = content(store)
    assert not errors(repair_store(store, apply=True))
    after = content(store)
    assert after.pop("inside/plate/A/1/.zgroup") == {"zarr_format": 2}
    assert after == before
