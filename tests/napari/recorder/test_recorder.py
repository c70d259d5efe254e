"""The recorder, without any window."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari import GeneratorSource, Recorder, RecorderState, SourceError, StopRule

DEADLINE = 20.0


def recorded(report, key=""):
    return aqz.ZarrArrayReader(Path(report.store_path, key, "0"))


def attributes(report, key=""):
    return json.loads(Path(report.store_path, key, "zarr.json").read_text())["attributes"]


def test_pushed_frames_are_stored_in_order(settings, frame_of):
    with Recorder(settings()) as recorder:
        buffer = np.empty((32, 48), np.uint16)
        for number in range(30):
            buffer[...] = frame_of(number)  # one buffer, overwritten at once
            assert recorder.push(buffer)
        status = recorder.status()
        assert status.accepted == 30
    report = recorder.report
    assert report.status.state is RecorderState.FINISHED
    assert (report.status.written, report.status.dropped) == (30, 0)
    assert report.stream.arrays[0].frames == 30
    array = recorded(report)
    assert array.shape == (30, 32, 48)
    for number in range(30):
        assert np.array_equal(array.read_plane(number), frame_of(number))


def test_frames_from_several_threads_all_arrive(settings, frame_of):
    recorder = Recorder(settings())
    recorder.start()

    def produce(first):
        for number in range(first, first + 25):
            assert recorder.push(frame_of(number))

    threads = [threading.Thread(target=produce, args=(25 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    report = recorder.close()
    got = {int(recorded(report).read_plane(i)[0, 0]) for i in range(100)}
    assert got == {7 * number for number in range(100)}


def test_a_generator_is_recorded_to_its_end_without_loss(settings, frame_of):
    source = GeneratorSource(lambda: (frame_of(n) for n in range(40)), "made up")
    one_frame = 32 * 48 * 2
    recorder = Recorder(settings(), {"": source}, queue_nbytes=2 * one_frame)
    recorder.start()
    report = recorder.wait(DEADLINE)
    assert report.status.state is RecorderState.FINISHED
    assert (report.status.written, report.status.dropped) == (40, 0)
    assert report.status.message == "made up has no more frames"
    assert attributes(report)["recording"]["source"]["name"] == "made up"


def test_a_generator_that_fails_ends_the_recording_and_keeps_its_frames(settings, frame_of):
    def frames():
        yield from (frame_of(n) for n in range(3))
        raise OSError("the cable is out")

    recorder = Recorder(settings(), {"": GeneratorSource(frames, "made up")})
    recorder.start()
    report = recorder.wait(DEADLINE)
    assert report.status.message == "made up failed: the cable is out"
    assert recorded(report).shape == (3, 32, 48)


def test_exactly_the_frames_asked_for_are_taken(settings, frame_of):
    recorder = Recorder(settings(), stop_rule=StopRule(frames=12))
    recorder.start()
    taken = [recorder.push(frame_of(n)) for n in range(20)]
    report = recorder.wait(DEADLINE)
    assert taken == [True] * 12 + [False] * 8
    assert report.status.written == 12
    assert report.status.dropped == 0
    assert report.status.message == "the limit of 12 frames is reached"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (StopRule(seconds=0.3), "the limit of 0.3 s is reached"),
        (StopRule(nbytes=5 * 32 * 48 * 2), "the limit of 0 MB is reached"),
        (StopRule(disk_floor=1 << 60), "the disk is almost full"),
    ],
)
def test_limits_end_the_recording(settings, frame_of, rule, message):
    recorder = Recorder(settings(), stop_rule=rule)
    recorder.start()
    deadline = time.monotonic() + DEADLINE
    while not recorder.state.is_over and time.monotonic() < deadline:
        recorder.push(frame_of(0))
        recorder.wait(0.01)
    report = recorder.wait(0)
    assert report.status.state is RecorderState.FINISHED
    assert report.status.message.startswith(message)
    assert recorded(report).shape[0] == report.status.written > 0


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_be_positive(limit):
    with pytest.raises(ValueError, match="positive"):
        StopRule(frames=limit)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((32, 47), np.uint16), r"changed its shape from \(32, 48\) to \(32, 47\)"),
        (np.zeros((32, 48), np.uint8), "changed its data type from uint16 to uint8"),
        (np.zeros(7, np.uint16), "changed its shape"),
        (np.array([object()]), "changed its data type"),
    ],
)
def test_a_frame_that_does_not_fit_ends_the_recording_and_never_raises(
    settings, frame_of, bad, message
):
    recorder = Recorder(settings())
    recorder.start()
    assert recorder.push(frame_of(0))
    assert recorder.push(bad) is False
    report = recorder.wait(DEADLINE)
    assert report.status.state is RecorderState.FINISHED
    import re

    assert re.search(message, report.status.message)
    assert recorded(report).shape == (1, 32, 48)


def test_a_pause_takes_nothing_and_is_marked(settings, frame_of):
    with Recorder(settings()) as recorder:
        recorder.push(frame_of(0))
        recorder.pause()
        assert recorder.state is RecorderState.PAUSED
        assert recorder.push(frame_of(1)) is False
        recorder.resume()
        recorder.push(frame_of(2))
    report = recorder.report
    assert recorded(report).shape[0] == 2
    account = attributes(report)["recording"]
    assert account["pauses"][0]["after_frame"] == 1
    assert account["dropped"] == 0


class SlowStore:
    """A frame processor that holds up the writer until it is let go."""

    def __init__(self):
        self.go = threading.Event()

    @aqz.hookimpl
    def aqz_frame_processors(self):
        def prepare(spec):
            def wait(frame, index):
                self.go.wait(DEADLINE)
                return frame

            return wait

        return [aqz.FrameProcessor("slow", prepare)]


def test_what_does_not_fit_into_the_queue_is_counted_by_number(settings, frame_of):
    slow = SlowStore()
    frames = 4
    recorder = Recorder(settings(), queue_nbytes=frames * 32 * 48 * 2, wait=0.0, plugins=[slow])
    recorder.start()
    taken = [recorder.push(frame_of(n)) for n in range(10)]
    assert taken == [True] * frames + [False] * 6
    status = recorder.status()
    assert (status.dropped, status.arrays[""].first_dropped) == (6, frames)
    assert status.queue_fill == 1.0
    slow.go.set()
    report = recorder.close()
    assert report.status.written == frames
    account = attributes(report)["recording"]
    assert (account["dropped"], account["first_dropped"]) == (6, frames)


class FailingStore:
    """A frame processor that fails at one frame."""

    @aqz.hookimpl
    def aqz_frame_processors(self):
        def fail(frame, index):
            if index[0] == 3:
                raise OSError("no space left on device")
            return frame

        return [aqz.FrameProcessor("failing", lambda spec: fail)]


def test_a_failing_store_is_told_and_never_raised_into_a_producer(settings, frame_of):
    recorder = Recorder(settings(), plugins=[FailingStore()])
    recorder.start()
    for number in range(10):
        recorder.push(frame_of(number))
    report = recorder.wait(DEADLINE)
    assert report.status.state is RecorderState.FAILED
    assert "no space left" in report.status.message
    assert report.status.dropped >= 1
    assert report.status.arrays[""].first_dropped == 3
    with pytest.raises(aqz.AqzError):
        recorder.close()


class SlowToOpen:
    """A frame processor that holds up the opening of the store until it is let go."""

    def __init__(self):
        self.opening, self.go = threading.Event(), threading.Event()

    @aqz.hookimpl
    def aqz_frame_processors(self):
        def prepare(spec):
            self.opening.set()
            self.go.wait(DEADLINE)
            return lambda frame, index: frame

        return [aqz.FrameProcessor("slow to open", prepare)]


def test_a_store_that_opens_slowly_can_be_asked_about_and_stopped(settings, frame_of):
    slow = SlowToOpen()
    source = GeneratorSource(lambda: (frame_of(n) for n in range(9)), "made up")
    recorder = Recorder(settings(), {"": source}, plugins=[slow])
    starting = threading.Thread(target=recorder.start)
    starting.start()
    assert slow.opening.wait(DEADLINE)
    status = recorder.status()
    assert (status.state, status.seconds) == (RecorderState.STARTING, 0.0)
    assert recorder.push(frame_of(0)) is False
    recorder.pause()
    with pytest.raises(RuntimeError, match="once"):
        recorder.start()
    recorder.stop()
    slow.go.set()
    report = recorder.close()
    starting.join(DEADLINE)
    assert (report.status.state, report.status.written) == (RecorderState.FINISHED, 0)
    assert recorded(report).shape == (0, 32, 48)


def test_who_waits_for_a_recording_that_cannot_begin_is_woken(settings, frame_of):
    with Recorder(settings()):
        pass  # the store is there already
    asked, told = threading.Event(), threading.Event()

    class Slow(GeneratorSource):
        def describe(self):
            asked.set()
            told.wait(DEADLINE)
            return super().describe()

    recorder = Recorder(settings(), {"": Slow(lambda: [frame_of(0)])})
    problems = []

    def start():
        try:
            recorder.start()
        except aqz.AqzError as error:
            problems.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    assert asked.wait(DEADLINE)
    closing = threading.Thread(target=recorder.close)
    closing.start()
    told.set()
    starting.join(DEADLINE)
    closing.join(DEADLINE)
    assert not closing.is_alive()
    assert (len(problems), recorder.state) == (1, RecorderState.IDLE)


def test_without_memory_for_the_taps_the_store_is_let_go(settings, frame_of, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    here = settings(overwrite=True)
    with monkeypatch.context() as patched:
        patched.setattr("aqz_napari.recorder.recorder.SourceTap", no_memory)
        recorder = Recorder(here)
        with pytest.raises(MemoryError):
            recorder.start()
    assert recorder.state is RecorderState.IDLE
    with Recorder(here) as again:  # would be refused while a stream is open
        again.push(frame_of(0))
    assert again.report.status.written == 1


def test_a_source_that_describes_itself_oddly_costs_no_frame(settings, frame_of):
    class Odd(GeneratorSource):
        def describe(self):
            return replace(super().describe(), metadata=None)

    recorder = Recorder(settings(), {"": Odd(lambda: (frame_of(n) for n in range(5)), "odd")})
    recorder.start()
    report = recorder.wait(DEADLINE)
    assert report is not None
    assert (report.status.state, report.status.written) == (RecorderState.FINISHED, 5)
    assert "what is known of the recording of odd could not be stored" in report.status.message
    assert recorded(report).shape[0] == 5


def test_several_arrays_each_at_its_own_rate(settings, frame_of):
    slow = GeneratorSource(lambda: (frame_of(n) for n in range(3)), "slow")
    fast = GeneratorSource(lambda: (frame_of(n) for n in range(11)), "fast")
    recorder = Recorder(settings(keys=("slow", "fast")), {"slow": slow, "fast": fast})
    recorder.start()
    report = recorder.wait(DEADLINE)
    assert recorded(report, "slow").shape[0] == 3
    assert recorded(report, "fast").shape[0] == 11
    assert report.status.arrays["fast"].written == 11


def test_without_frames_the_store_is_valid_and_the_message_says_so(settings):
    with Recorder(settings()) as recorder:
        pass
    assert "no frames came" in recorder.report.status.message
    assert recorded(recorder.report).shape == (0, 32, 48)


def test_a_stack_per_delivery(settings, frame_of):
    with Recorder(settings(lead=(("t", 0), ("z", 4)))) as recorder:
        for number in range(5):
            stack = np.stack([frame_of(10 * number + z) for z in range(4)])
            assert recorder.push(stack)
    array = recorded(recorder.report)
    assert array.shape == (5, 4, 32, 48)
    assert np.array_equal(array.read_plane(3, 2), frame_of(32))


def test_a_store_that_exists_is_refused_before_anything_starts(settings, frame_of):
    with Recorder(settings()) as recorder:
        recorder.push(frame_of(0))
    again = Recorder(settings())
    with pytest.raises(aqz.StoreExistsError):
        again.start()
    assert again.state is RecorderState.IDLE
    assert again.push(frame_of(0)) is False
    again.stop()  # without effect


def test_a_source_of_an_unknown_array_is_refused(settings):
    with pytest.raises(ValueError, match="'other'"):
        Recorder(settings(), {"other": GeneratorSource(lambda: [])}).start()


def test_a_source_that_cannot_start_ends_the_recording(settings, frame_of):
    class Broken:
        def describe(self):
            return GeneratorSource(lambda: [frame_of(0)]).describe()

        def start(self, sink):
            raise SourceError("the camera is off")

        def stop(self):
            pass

    recorder = Recorder(settings(), {"": Broken()})
    with pytest.raises(SourceError, match="camera is off"):
        recorder.start()
    assert "camera is off" in recorder.wait(DEADLINE).status.message


def test_a_recorder_records_once(settings):
    with Recorder(settings()) as recorder, pytest.raises(RuntimeError, match="once"):
        recorder.start()


def test_a_recording_under_way_is_finished_when_the_program_ends(settings, tmp_path):
    import subprocess
    import sys

    code = f"""
import numpy as np, aqz_core as aqz
from aqz_napari import Recorder
d = [aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1, shard_size_chunks=8)]
d += [aqz.Dimension(name=n, array_size_px=16, chunk_size_px=16) for n in "yx"]
s = aqz.StreamSettings(store_path={str(tmp_path / "left.zarr")!r},
                       arrays=[aqz.ArraySettings(dimensions=d, data_type=np.uint16)])
r = Recorder(s)
r.start()
for n in range(20):
    r.push(np.full((16, 16), n, np.uint16))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert aqz.ZarrArrayReader(tmp_path / "left.zarr").shape == (20, 16, 16)


def test_a_store_at_a_url(settings, frame_of):
    here = settings()
    here.store_path = "memory://recorder/a.ome.zarr"
    with Recorder(here) as recorder:
        recorder.push(frame_of(4))
        assert recorder.status().free_disk is None
    zarr = pytest.importorskip("zarr", reason="reads the store back")
    stored = zarr.open_array("memory://recorder/a.ome.zarr/0", mode="r")
    assert np.array_equal(stored[0], frame_of(4))
