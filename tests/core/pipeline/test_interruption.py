"""Whatever is raised in the thread that records, at any instruction: a frame is taken or not.

The full run, ``AQZ_ALL_INSTRUCTIONS=1``, tries every instruction; by default a few are tried.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from tests.core.pipeline.interruption import Interrupt, InterruptAt, frame, settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated"),
    pytest.mark.filterwarnings("ignore::aqz_core.PartialFrameWarning"),
]

EVERY = bool(os.environ.get("AQZ_ALL_INSTRUCTIONS"))
KINDS = ["plain", "codec", "edges", "pyramid", "v2"]


def stored(path):
    """The pixels at full resolution."""
    node = zarr.open(str(path), mode="r")
    return (node if hasattr(node, "shape") else node["0"])[:]


def append(stream, accepted):
    for number in range(len(accepted), len(accepted) + 2):
        stream.append(frame(number))
        accepted.append(number)


def append_with_metadata(stream, accepted):
    for number in range(len(accepted), len(accepted) + 2):
        stream.append(frame(number), metadata={"number": number})
        accepted.append(number)


def append_a_run(stream, accepted):
    for number in range(len(accepted), len(accepted) + 2):
        pixels = frame(number).ravel()
        stream.append(pixels[:100])
        stream.append(pixels[100:])
        accepted.append(number)


def append_a_stack(stream, accepted):
    first = len(accepted)
    stream.append(np.stack([frame(number) for number in range(first, first + 3)]))
    accepted.extend(range(first, first + 3))


def write(stream, accepted):
    for number in (5, 3, 8):
        stream.write(frame(number), {"t": number})
        accepted.append(number)


def replace(stream, accepted):
    stream.append(frame(4))
    accepted.append(4)
    stream.write(frame(4), {"t": 4}, replace=True)


def skip(stream, accepted):
    stream.skip_frames(1)
    stream.append(frame(5))
    accepted.append(5)


def flush(stream, accepted):
    stream.flush()
    append(stream, accepted)


def close(stream, accepted):
    stream.close()


def instructions():
    """Which instruction to interrupt in which try."""
    if EVERY:
        return range(1, 10_000)
    steps = random.Random(1)
    return [steps.randrange(1, 900) for _ in range(4)]


def check(path, accepted):
    pixels = stored(path)
    for number in accepted:
        assert number < len(pixels), f"frame {number} of {accepted} is lost"
        assert (pixels[number] == frame(number)).all(), f"frame {number} is wrong"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "call",
    [
        append,
        append_with_metadata,
        append_a_run,
        append_a_stack,
        write,
        replace,
        skip,
        flush,
        close,
    ],
)
def test_an_interrupted_call_is_done_or_not_done(tmp_path, call, kind):
    if call is replace and kind == "pyramid":
        pytest.skip("frames of a pyramid cannot be replaced")
    for instruction in instructions():
        path = tmp_path / "a.zarr"
        stream = aqz.ZarrStream(settings(path, kind))
        accepted = []
        append(stream, accepted)
        append(stream, accepted)
        interrupted = False
        try:
            with InterruptAt(instruction, times=1 + instruction % 2, distance=20):
                call(stream, accepted)
        except Interrupt:
            interrupted = True
        if interrupted and call in (append, append_with_metadata, append_a_stack, flush):
            # Whoever records goes on: with the frame that was interrupted if it was not taken.
            for number in range(stream.statistics().frames, 8):
                stream.append(frame(number))
            accepted = list(range(8))
        closing = threading.Thread(target=stream.close)  # no lock stays taken
        closing.start()
        closing.join(60)
        assert not closing.is_alive(), f"hangs after instruction {instruction}"
        stream.close()
        check(path, accepted)
        shutil.rmtree(path)
        if not interrupted:
            break


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_that_another_thread_raises_here_loses_nothing(tmp_path):
    """As notebooks and debuggers do."""
    path = tmp_path / "a.zarr"
    stream = aqz.ZarrStream(settings(path, "plain"))
    counted, ended = [], threading.Event()

    def record():
        appended, interrupts = 0, 0
        while interrupts < 30:
            try:
                while True:
                    stream.append(frame(appended % 50))
                    appended += 1
            except Interrupt:
                interrupts += 1
            appended = None
            while appended is None:
                with contextlib.suppress(Interrupt):
                    appended = stream.statistics().frames
        counted.append(appended)
        while not ended.is_set():  # what is still on its way ends with this thread
            with contextlib.suppress(Interrupt):
                ended.wait()

    # A thread of its own: an exception that comes late must not meet the test runner.
    recording = threading.Thread(target=record, daemon=True)
    recording.start()
    here = ctypes.c_ulong(recording.ident)
    while not counted and recording.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(here, ctypes.py_object(Interrupt))
        time.sleep(0.003)
    ended.set()
    recording.join(60)
    stream.close()
    (accepted,) = counted
    pixels = stored(path)
    assert len(pixels) == accepted
    for number in range(accepted):
        assert (pixels[number] == frame(number % 50)).all()


CHILD = """
import os, sys, signal
import aqz_core as aqz
from tests.core.pipeline.interruption import frame, settings
path, kind = sys.argv[1:]
stream = aqz.ZarrStream(settings(path, kind))
accepted = 0
print("ready", flush=True)
try:
    while True:
        stream.append(frame(accepted % 50))
        accepted += 1
except KeyboardInterrupt:
    pass
stream.close()
print(accepted, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("kind", ["plain", "pyramid"])
def test_ctrl_c_loses_no_frame(tmp_path, kind):
    tries = int(os.environ.get("AQZ_SIGNALS", "1"))
    chance = random.Random(time.time_ns())
    for number in range(tries):
        path = tmp_path / f"{number}.zarr"
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), kind],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.random() * 0.1)  # any moment will do
        child.send_signal(signal.SIGINT)
        told, _ = child.communicate(timeout=60)
        pixels = stored(path)
        accepted = int(told)
        assert accepted <= len(pixels) <= accepted + 1
        expected = np.stack([frame(one % 50) for one in range(len(pixels))] or [frame(0)])
        assert (pixels == expected[: len(pixels)]).all()
        shutil.rmtree(path)


def test_a_stream_can_be_closed_by_a_signal_handler_in_the_middle_of_an_append(tmp_path):
    path = tmp_path / "a.zarr"
    stream = aqz.ZarrStream(settings(path, "plain"))
    signal.signal(signal.SIGUSR1, lambda *_: stream.close())
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    accepted = 0
    try:
        while True:
            stream.append(frame(accepted % 50))
            accepted += 1
    except aqz.errors.StreamClosedError:
        pass
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        timer.join()
    pixels = stored(path)
    assert len(pixels) >= accepted
    assert all((pixels[one] == frame(one % 50)).all() for one in range(accepted))


def test_closing_while_another_thread_appends_stores_what_was_accepted(tmp_path):
    for _ in range(10):
        path = tmp_path / "a.zarr"
        stream = aqz.ZarrStream(settings(path, "plain"))
        accepted, begun = [], threading.Event()

        def camera(stream=stream, accepted=accepted, begun=begun):
            try:
                while True:
                    stream.append(frame(len(accepted) % 50))
                    accepted.append(0)
                    begun.set()
            except aqz.errors.StreamClosedError:
                pass

        thread = threading.Thread(target=camera)
        thread.start()
        begun.wait(60)
        stream.close()
        thread.join(60)
        assert not thread.is_alive()
        pixels = stored(path)
        assert len(pixels) >= len(accepted)
        for number in range(len(accepted)):
            assert (pixels[number] == frame(number % 50)).all()
        shutil.rmtree(path)


def test_a_stream_that_was_interrupted_while_it_closed_is_finished_with_the_program(tmp_path):
    path = tmp_path / "a.zarr"
    child = """
import sys
import aqz_core as aqz
from tests.core.pipeline.interruption import Interrupt, InterruptAt, frame, settings
stream = aqz.ZarrStream(settings(sys.argv[1], "plain"))
for number in range(5):
    stream.append(frame(number))
try:
    with InterruptAt(5):
        stream.close()
except Interrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", child, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == "interrupted\n", done.stderr
    check(path, range(5))
