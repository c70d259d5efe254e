"""Plans, destinations, problems, estimates and scripts: what the form decides, without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari.form.codec_trial import try_codecs
from aqz_napari.form.destination import expand, free_bytes, next_free
from aqz_napari.form.estimates import estimate, memory_needed, readable_bytes
from aqz_napari.form.plan_problems import problems, store_path_of
from aqz_napari.form.python_script import settings_as_code, settings_as_script
from aqz_napari.form.recording_plan import CODECS, RecordingPlan, StoragePlan, array_keys, plan_for
from aqz_napari.form.remote_place import try_remote
from aqz_napari.recorder.recorder_status import StopRule
from aqz_napari.sources.frame_source import Axis, SourceSpec

SPEC = SourceSpec(
    "camera 1",
    (
        Axis("t", 0, "time", 0.01, "second"),
        Axis("y", 512, "space", 0.65, "micrometer"),
        Axis("x", 512, "space", 0.65, "micrometer"),
    ),
    np.dtype("uint16"),
    channels=(("camera 1", "00FF00", (0.0, 4000.0)),),
)


@pytest.fixture
def plan(tmp_path):
    return replace(plan_for({"": SPEC}), destination=str(tmp_path / "a.ome.zarr"))


@pytest.fixture
def not_temporary(monkeypatch):
    """The folders of tests are temporary; let them count as ordinary ones."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/nowhere")


def errors(plan):
    return [p for p in problems(plan) if p.is_error]


def with_axis(plan, position, **changes):
    array = plan.arrays[0]
    axes = list(array.axes)
    axes[position] = replace(axes[position], **changes)
    return plan.with_array(replace(array, axes=tuple(axes)))


def test_a_plan_for_a_source_is_recordable_as_it_is(plan, not_temporary):
    assert problems(plan) == []
    settings = plan.settings(store_path_of(plan))
    array = settings.arrays[0]
    assert [(d.name, d.unit, d.scale) for d in array.dimensions] == [
        ("t", "second", 0.01), ("y", "micrometer", 0.65), ("x", "micrometer", 0.65),
    ]  # fmt: skip
    assert array.channels == [aqz.Channel(name="camera 1", color="00FF00", window=(0.0, 4000.0))]
    with aqz.ZarrStream(settings) as stream:
        stream.append(np.zeros((512, 512), np.uint16))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("pyramid", ["none", "mean"])
def test_every_codec_of_the_form_can_be_recorded(plan, codec, pyramid):
    chosen = replace(plan, storage=StoragePlan(codec=codec, pyramid=pyramid))
    assert errors(chosen) == []


def test_nothing_chosen():
    (problem,) = problems(plan_for({}))
    assert (problem.field, problem.is_error) == ("source", True)


def test_an_existing_store_is_never_replaced_but_the_next_name_is_taken(plan, tmp_path):
    (tmp_path / "a.ome.zarr").mkdir()
    (tmp_path / "a_001.ome.zarr").mkdir()
    assert errors(plan) == []
    assert store_path_of(plan) == str(tmp_path / "a_002.ome.zarr")


def test_a_home_directory_is_written_out_for_those_who_do_not_know_it(plan, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = store_path_of(replace(plan, destination="~/a.zarr"))
    assert path == str(tmp_path / "a.zarr")


def test_a_missing_folder_can_be_made(plan, tmp_path):
    plan = replace(plan, destination=str(tmp_path / "new" / "deep" / "a.zarr"))
    (problem,) = problems(plan)
    assert problem.fix_label == "Make it"
    assert errors(problem.fix(plan)) == []


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("", "say where"),
        ("/proc/nothing/a.zarr", "does not exist"),
        ("{date}_{what}.zarr", "not known"),
        ("{n", "not known"),
    ],
)
def test_destinations_that_cannot_be(plan, destination, words):
    found = errors(replace(plan, destination=destination))
    assert [p.field for p in found] == ["destination"]
    assert words in found[0].message


def test_an_unwritable_folder(plan, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    (problem,) = errors(plan)
    assert (problem.field, "no permission" in problem.message) == ("destination", True)


def test_a_temporary_folder_is_warned_of(plan):
    assert [(p.field, p.is_error) for p in problems(plan)] == [("destination", False)]


def test_huge_chunks_name_their_size_and_can_be_mended(plan):
    (problem,) = errors(with_axis(plan, 0, chunk=100_000))
    assert (problem.field, problem.fix_label) == ("dimensions", "Use the suggested layout")
    assert "52.4 GB" in problem.message
    assert errors(problem.fix(plan)) == []


def test_sizes_that_the_source_does_not_deliver(plan):
    wrong = with_axis(plan, 1, size=100)
    (problem,) = errors(wrong)
    assert "delivers (512, 512)" in problem.message
    assert errors(problem.fix(wrong)) == []


def test_units_that_napari_does_not_know_are_a_warning(plan, not_temporary):
    pytest.importorskip("pint")
    odd = with_axis(plan, 2, unit="smoots")
    (problem,) = problems(odd)
    assert (problem.field, problem.is_error) == ("dimensions", False)
    assert problems(problem.fix(odd)) == []


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": ""}, "dimensions", "no name"),
        ({"name": "x"}, "dimensions", "rename one"),
        ({"chunk": 0}, "dimensions", "at least 1"),
        ({"scale": -1.0}, "dimensions", "positive"),
    ],
)
def test_what_the_engine_refuses_stands_beside_its_field(plan, change, field, words):
    found = errors(with_axis(plan, 0, **change))
    assert [p.field for p in found] == [field]
    assert words in found[0].message


def test_a_level_that_the_codec_has_not_can_be_mended(plan):
    high = replace(plan, storage=StoragePlan(codec="gzip", level=12))
    (problem,) = errors(high)
    assert (problem.field, problem.fix_label) == ("storage", "Use level 1")
    assert errors(problem.fix(high)) == []


def test_too_little_space_is_told(plan):
    full = replace(plan, stop=StopRule(disk_floor=1 << 60))
    assert [p.field for p in errors(full)] == ["stop"]


def test_templates(tmp_path):
    now = datetime(2026, 3, 4, 5, 6, 7)
    assert (
        expand("/d/{layer}_{date}_{time}.zarr", "GFP 1/2", now)
        == "/d/GFP_1_2_2026-03-04_050607.zarr"
    )
    taken = {"a_001.zarr", "a_002.zarr"}
    assert expand("a_{n:03}.zarr", exists=taken.__contains__) == "a_003.zarr"
    assert next_free("a_001.zarr", exists=taken.__contains__) == "a_003.zarr"
    assert next_free("a{b}.ome.zarr", exists=lambda _: False) == "a{b}_001.ome.zarr"
    assert expand("taken.zarr", exists=lambda _: True) == "taken.zarr"  # no number to count up


def test_space_is_that_of_the_nearest_folder_that_exists(tmp_path):
    assert free_bytes(str(tmp_path / "not" / "yet" / "a.zarr")) > 0
    assert free_bytes("s3://bucket/a.zarr") is None


def test_a_remote_place_is_tried():
    assert try_remote("memory://somewhere/a.zarr") == ""
    assert "cannot be written" in try_remote("nosuchscheme://a/b.zarr")


def test_keys_of_several_sources():
    assert array_keys(["one"]) == [""]
    assert array_keys(["GFP", "GFP", "a/b", "***"]) == ["GFP", "GFP_2", "a_b", "array"]


def test_estimates():
    array = plan_for({"": SPEC}).arrays[0]
    found = estimate(array)
    assert found.nbytes_per_1000 == 1000 * 512 * 512 * 2
    assert found.shard_nbytes <= 128 << 20
    assert found.files_per_1000 == -(-1000 * 512 * 512 * 2 // found.shard_nbytes)
    assert memory_needed(plan_for({"": SPEC})) > 0
    assert [readable_bytes(n) for n in (12, 1500, 2_345_678, 5e11)] == [
        "12 B", "1.5 kB", "2.35 MB", "500 GB",
    ]  # fmt: skip


def test_codecs_are_tried_on_a_frame():
    frame = np.repeat(np.arange(256, dtype=np.uint16)[None], 256, axis=0)
    results = {r.codec: r for r in try_codecs(frame, (128, 128))}
    assert set(results) == set(CODECS)
    assert results["none"].ratio == 1.0
    assert results["blosc-zstd"].ratio > 5
    assert all(r.megabytes_per_second > 0 for r in results.values())


def test_settings_as_python_make_equal_settings(plan):
    settings = plan.settings(store_path_of(plan))
    assert eval(settings_as_code(settings), {"aqz": aqz}) == settings


def test_the_script_records(plan, tmp_path):
    script = settings_as_script(plan.settings(store_path_of(plan)))
    assert max(map(len, script.splitlines())) <= 100
    exec(compile(script, "script", "exec"), {})
    assert aqz.ZarrArrayReader(tmp_path / "a.ome.zarr" / "0").shape == (10, 512, 512)


def test_an_answer_that_comes_during_a_look_at_a_bucket_does_not_refuse_the_recording(plan):
    plan = replace(plan, destination="s3://bucket/a_{n:03}.ome.zarr")
    answers = iter([False])  # nothing is known yet; then a_001 turns out to be taken
    assert not problems(plan, lambda path: next(answers, "a_001" in path))
    assert store_path_of(plan, lambda path: "a_001" in path).endswith("a_002.ome.zarr")


def test_a_snapshot_has_a_name_of_its_own_whatever_its_folder_is_called():
    plan = RecordingPlan(destination="/data/week.ome.zarr.d/run.zarr")
    assert plan.snapshot().destination == "/data/week.ome.zarr.d/run_snap.zarr"
