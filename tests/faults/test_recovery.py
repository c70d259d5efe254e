"""Resuming recordings: what a resumed one holds is what an uninterrupted one would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from random import Random

import fsspec
import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import ResumeError, StoreBusyError, StreamClosedError
from aqz_core.recovery import repair_store, validate_store
from aqz_core.storage.lock import lock_path
from tests.support.decoders import DECODERS
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.published import level_keys

CHECKOUT = Path(__file__).resolve().parents[2]
PLANS = {
    "half-full chunks": ArrayPlan(
        axes=axes("tyx", (0, 20, 24), (4, 16, 16), (2, 2, 2)), key="img", method="MEAN", frames=19
    ),
    "z in pairs": ArrayPlan(
        axes=axes("tzyx", (0, 5, 16, 16), (2, 2, 8, 8), (2, 1, 2, 2)),
        key="img",
        codec="zstd",
        method="MEAN",
        frames=23,
    ),
    "z without end": ArrayPlan(
        axes=axes("zyx", (0, 16, 16), (2, 8, 8), (2, 2, 2)), key="img", method="MAX", frames=19
    ),
    "plain": ArrayPlan(axes=axes("tcyx", (0, 2, 16, 16), (1, 1, 8, 8), (4, 1, 2, 2)), frames=19),
    "bounded": ArrayPlan(
        axes=axes("tyx", (19, 16, 16), (4, 16, 16), (2, 1, 1)), codec="blosc-lz4", frames=19
    ),
    "stored in another order": ArrayPlan(
        axes=axes("tczyx", (0, 2, 3, 16, 16), (2, 1, 1, 8, 16)),
        key="a",
        storage=("t", "z", "c", "y", "x"),
        frames=19,
    ),
    "chunk files": ArrayPlan(axes=axes("tyx", (0, 16, 16), (3, 8, 8)), frames=19),
}


ANY_VERSION = pytest.mark.parametrize("version", [aqz.ZarrVersion.V3, aqz.ZarrVersion.V2])
pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")


def opened(store, plan, **options):
    return aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), options), store))


def record(store, plan, count, **options):
    with opened(store, plan, **options) as stream:
        for frame in frames_of(plan)[:count]:
            stream.append(frame)


def go_on(store, plan, **options):
    """Resume, append what is missing; return at which frame it began."""
    with aqz.ZarrStream.resume(store, **options) as stream:
        first = stream.statistics().frames
        for frame in frames_of(plan)[first:]:
            stream.append(frame)
    return first


def assert_whole(store, plan):
    for key, wanted in zip(level_keys(plan), expected_levels(plan), strict=True):
        if not (store / key / "zarr.json").exists() and not key:
            key = "0"  # a V2 array at the root is an image
        np.testing.assert_array_equal(DECODERS["zarr-python"](store, key), wanted)
    report = validate_store(store)
    assert report.is_valid, report.findings
    assert report.state == "complete"


# ---- resume -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "live"), list(product(PLANS, [True, False])))
def test_a_closed_recording_goes_on(tmp_path, name, live):
    plan, store = PLANS[name], tmp_path / "s"
    for count in (0, 1, 7, 12, 18):
        record(store, plan, count, overwrite=True, live=live)
        assert go_on(store, plan) == count
        assert_whole(store, plan)


@ANY_VERSION
@pytest.mark.parametrize("name", PLANS)
def test_a_recording_can_be_gone_on_with_many_times(tmp_path, name, version):
    plan, store = PLANS[name], tmp_path / "s"
    record(store, plan, 2, version=version)
    for number in range(2, 19, 3):
        with aqz.ZarrStream.resume(store) as stream:
            assert stream.statistics().frames == number
            for frame in frames_of(plan)[number : number + 3]:
                stream.append(frame)
            stream.flush()
    go_on(store, plan)
    assert_whole(store, plan)


@ANY_VERSION
def test_frames_written_by_index_go_on(tmp_path, version):
    plan, store = PLANS["z in pairs"], tmp_path / "s"
    frames = frames_of(plan)
    order = list(range(plan.frames))
    Random(7).shuffle(order)

    def write(stream, numbers):
        for number in numbers:
            stream.write(frames[number], {"t": number // 5, "z": number % 5})

    with opened(store, plan, version=version) as stream:
        write(stream, order[:9])
    with aqz.ZarrStream.resume(store) as stream:
        write(stream, order[9:])
        with pytest.raises(aqz.AqzError, match="already"):
            write(stream, order[:1])
    assert_whole(store, plan)


def test_open_stream_appends(tmp_path):
    options = {"shape": (0, 8, 8), "dtype": "uint8", "mode": "append"}
    for number in range(3):
        with aqz.open_stream(tmp_path / "s", **options) as stream:
            stream.append(np.full((8, 8), number, "uint8"))
    assert aqz.ZarrArrayReader(tmp_path / "s" / "0").read()[:, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dtype": "uint8"}, "data_type"),
        ({"codec": "gzip"}, "compression"),
        ({"method": "MIN"}, "downsampling_method"),
        ({"fill_value": 3}, "fill_value"),
        ({"axes": axes("tyx", (0, 20, 24), (4, 8, 16), (2, 2, 2))}, "chunk_size_px of axis 'y'"),
        ({"axes": axes("tyx", (0, 20, 24), (4, 16, 16), (1, 2, 2))}, "shard_size_chunks of axis"),
        ({"axes": axes("zyx", (0, 20, 24), (4, 16, 16), (2, 2, 2))}, "the axes"),
        ({"key": "other"}, "'other'"),
    ],
)
def test_settings_that_differ_are_refused_by_name(tmp_path, change, named):
    from dataclasses import replace

    plan, store = PLANS["half-full chunks"], tmp_path / "s"
    record(store, plan, 3)
    settings = settings_for(aqz, StreamPlan((replace(plan, **change),)), store)
    with pytest.raises(ResumeError) as caught:
        aqz.ZarrStream.resume(store, settings)
    assert named in str(caught.value)
    aqz.ZarrStream.resume(store, settings_for(aqz, StreamPlan((plan,)), store)).close()


def placed(version=aqz.ZarrVersion.V3, name="DAPI", key="", **axis):
    """Settings of an image with a channel, `axis` being what the axis y has."""
    kinds = zip("tcyx", ("TIME", "CHANNEL", "SPACE", "SPACE"), (0, 1, 16, 16), strict=True)
    dimensions = [
        aqz.Dimension(
            name=axis_name,
            kind=aqz.DimensionType[kind],
            array_size_px=size,
            chunk_size_px=size or 1,
            shard_size_chunks=1,
            **(axis if axis_name == "y" else {}),
        )
        for axis_name, kind, size in kinds
    ]
    array = aqz.ArraySettings(
        output_key=key,
        data_type="uint8",
        is_ngff=True,
        dimensions=dimensions,
        channels=[aqz.Channel(name=name)],
    )
    return aqz.StreamSettings(arrays=[array], version=version)


@ANY_VERSION
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scale": 0.5}, "scale of axis 'y' is 0.65 in the store, 0.5 in the settings"),
        ({"unit": "nm"}, "unit of axis 'y' is micrometer in the store, nanometer in the"),
        ({"origin": 3.0}, "origin of axis 'y' is 2.0 in the store, 3.0 in the settings"),
        ({"name": "GFP"}, "channels are ['DAPI'] in the store, ['GFP'] in the settings"),
    ],
)
def test_positions_and_channels_that_differ_are_refused_by_name(tmp_path, version, change, named):
    recorded = {"scale": 0.65, "unit": "um", "origin": 2.0}
    settings = placed(version, **recorded)
    settings.store_path = tmp_path / "s"
    aqz.ZarrStream(settings).close()
    with pytest.raises(ResumeError) as caught:
        aqz.ZarrStream.resume(tmp_path / "s", placed(version, **recorded | change))
    assert named in str(caught.value)
    other_spelling = placed(version, **recorded | {"unit": "\u00b5m"})
    aqz.ZarrStream.resume(tmp_path / "s", other_spelling).close()


@pytest.mark.parametrize(("axes", "matters"), [("tzyx", True), ("tcyx", False)])
def test_another_rule_for_z_in_the_pyramid_is_refused_where_there_is_z(tmp_path, axes, matters):
    def image(rule):
        array = aqz.ArraySettings(
            data_type="uint8",
            is_ngff=True,
            downsampling_method=aqz.DownsamplingMethod.MEAN,
            pyramid_z=rule,
            dimensions=[
                aqz.Dimension(
                    name=name,
                    kind={"t": aqz.DimensionType.TIME, "c": aqz.DimensionType.CHANNEL}.get(
                        name, aqz.DimensionType.SPACE
                    ),
                    array_size_px=0 if name == "t" else 16,
                    chunk_size_px=1 if name == "t" else 8,
                    shard_size_chunks=1,
                )
                for name in axes
            ],
        )
        return aqz.StreamSettings(store_path=tmp_path / "s", arrays=[array])

    aqz.ZarrStream(image("finer")).close()
    if not matters:
        aqz.ZarrStream.resume(tmp_path / "s", image("never")).close()
        return
    with pytest.raises(ResumeError, match="pyramid_z is finer in the store, never in the settings"):
        aqz.ZarrStream.resume(tmp_path / "s", image("never"))


@pytest.mark.parametrize("key", ["", "img"])
@pytest.mark.parametrize("shards", [1, 2, None])
@pytest.mark.parametrize("is_ngff", [True, False])
def test_zarr_v2_goes_on_with_its_own_settings(tmp_path, key, shards, is_ngff):
    """Shards mean nothing there, and an array at the root becomes an image."""

    def opened(open_with):
        settings = placed(aqz.ZarrVersion.V2, key=key)
        settings.store_path = tmp_path / "s"
        (array,) = settings.arrays
        array.is_ngff = is_ngff
        if not is_ngff:
            array.channels = []
        for dimension in array.dimensions:
            dimension.shard_size_chunks = shards
        return open_with(settings)

    opened(aqz.ZarrStream).close()
    with opened(lambda settings: aqz.ZarrStream.resume(tmp_path / "s", settings)) as stream:
        stream.append(np.ones((16, 16), "uint8"))
        assert stream.statistics().frames == 1


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_open_stream_goes_on_with_zarr_v2(tmp_path, place):
    store = tmp_path / "s" if place == "disk" else "memory://aqz-v2/append.zarr"
    settings = placed(aqz.ZarrVersion.V2)
    settings.store_path = store
    with aqz.ZarrStream(settings) as stream:
        stream.append(np.ones((16, 16), "uint8"))
    options = {"shape": (0, 1, 16, 16), "chunks": (1, 1, 16, 16), "compression": "none"}
    options |= {"axes": "tcyx", "dtype": "uint8", "channels": ["DAPI"], "mode": "append"}
    with aqz.open_stream(store, **options) as stream:
        assert stream.statistics().frames == 1
        stream.append(np.ones((16, 16), "uint8"))
    with pytest.raises(ResumeError, match="version is V2 in the store, V3 in the settings"):
        aqz.ZarrStream.resume(store, placed())
    if place == "memory":
        fsspec.filesystem("memory").rm("/aqz-v2", recursive=True)


@ANY_VERSION
def test_attributes_of_others_stay(tmp_path, version):
    plan, store = PLANS["half-full chunks"], tmp_path / "s"
    with opened(store, plan, version=version) as stream:
        stream.write_custom_metadata({"mine": 1})
    go_on(store, plan)
    if version is aqz.ZarrVersion.V2:
        attributes = json.loads((store / "img" / ".zattrs").read_text())
        assert attributes["multiscales"][0]["version"] == "0.4"
    else:
        attributes = json.loads((store / "img" / "zarr.json").read_text())["attributes"]
    assert attributes["mine"] == 1
    assert attributes["aqz"]["state"] == "complete"


# ---- kill -9 ----------------------------------------------------------------------------

KILLED = """
import sys, pickle, aqz_core as aqz
from pathlib import Path
from tests.support.plans import *
plan, store, flushes, version = pickle.load(sys.stdin.buffer)
options = {"version": aqz.ZarrVersion[version]}
stream = aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), options), Path(store)))
for number, frame in enumerate(frames_of(plan), 1):
    stream.append(frame)
    if number in flushes:
        stream.flush()
        print(number, flush=True)
print("all", flush=True)
sys.stdin.read()
import time; time.sleep(60)
"""


@pytest.mark.parametrize(
    ("name", "delay", "version"),
    [
        *product(["half-full chunks", "z in pairs", "plain"], [0.0, 0.02, 0.3], ["V3"]),
        ("half-full chunks", 0.02, "V2"),
        ("z in pairs", 0.0, "V2"),
    ],
)
def test_a_killed_recording_loses_nothing_that_was_flushed(tmp_path, name, delay, version):
    import pickle
    from time import sleep

    plan, store = PLANS[name], tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT
    )
    flushed = 0
    with process:
        process.stdin.write(pickle.dumps((plan, str(store), (3, 7, 13), version)))
        process.stdin.flush()
        stop_after = 2 if delay else 1
        for line in process.stdout:
            flushed = plan.frames if line.strip() == b"all" else int(line)
            stop_after -= 1
            if not stop_after:
                break
        flushed = 13 if flushed == plan.frames else flushed
        sleep(delay)  # a random instant: what happens meanwhile is not for this test to know
        process.kill()
    assert validate_store(store).is_valid
    assert validate_store(store).state == "interrupted"
    repair_store(store, apply=True)
    assert validate_store(store).is_valid
    assert go_on(store, plan) >= flushed
    assert_whole(store, plan)
    assert not lock_path(store).exists()


# ---- one stream for a store, one process for a stream -----------------------------------


def test_a_second_stream_is_refused(tmp_path):
    plan, store = PLANS["plain"], tmp_path / "s"
    with opened(store, plan) as stream:
        assert lock_path(store).exists()
        for open_again in (
            lambda: opened(store, plan, overwrite=True),
            lambda: aqz.ZarrStream.resume(store),
            lambda: repair_store(store, apply=True),
        ):
            with pytest.raises(StoreBusyError):
                open_again()
        stream.append(frames_of(plan)[0])
    assert not lock_path(store).exists()
    assert validate_store(store).is_valid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_store_to_its_parent(tmp_path):
    plan, store = PLANS["plain"], tmp_path / "s"
    with opened(store, plan) as stream:
        stream.append(frames_of(plan)[0])
        child = os.fork()
        if not child:
            code = 1
            try:
                stream.close()
                stream.append(frames_of(plan)[1])
            except StreamClosedError:
                code = 7 if not stream.is_active() else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        for frame in frames_of(plan)[1:]:
            stream.append(frame)
    assert_whole(store, plan)


SIGNALLED = """
import sys, numpy as np, aqz_core as aqz
from contextlib import nullcontext
with aqz.exit_on_sigterm(), aqz.open_stream(sys.argv[1], shape=(0, 8, 8), dtype="uint8") as stream:
    for number in range(5):
        stream.append(np.full((8, 8), number + 1, "uint8"))
    print("ready", flush=True)
    import time
    while True:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_finish_the_store(tmp_path, number):
    store = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-c", SIGNALLED, str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.wait(30)
    assert validate_store(store).state == "complete"
    assert aqz.ZarrArrayReader(store / "0").read()[:, 0, 0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no SIGHUP")
def test_a_terminal_that_goes_away_does_not_end_what_nohup_started(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with (
            aqz.exit_on_sigterm(),
            aqz.open_stream(tmp_path / "s", shape=(0, 4, 4), dtype="u1") as stream,
        ):
            stream.append(np.ones((4, 4), "u1"))
            os.kill(os.getpid(), signal.SIGHUP)
            stream.append(np.ones((4, 4), "u1"))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(aqz.ZarrArrayReader(tmp_path / "s" / "0").read()) == 2


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no SIGHUP")
def test_a_terminal_hangs_up_more_than_once(tmp_path):
    with pytest.raises(SystemExit) as caught, aqz.exit_on_sigterm():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)  # while the store is being finished
    assert caught.value.code == 128 + signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
