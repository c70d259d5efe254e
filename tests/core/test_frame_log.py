"""The log of frames: nobody waits for it, and an error loses none of its lines."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import aqz_core as aqz
from aqz_core.recording.frame_log import FrameLog
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.memory import MemorySink

LOG = "0/aqz.frames.jsonl"


class SlowLogs(MemorySink):
    """A store whose logs wait for a gate."""

    def __init__(self):
        super().__init__("slow://store")
        self.asked = threading.Event()
        self.gate = threading.Event()

    def append(self, name, data):
        self.asked.set()
        assert self.gate.wait(60)
        super().append(name, data)


def test_a_frame_is_taken_while_the_log_is_stored():
    sink = SlowLogs()
    log = FrameLog(sink, LOG)
    log.add((0,), {"stage": 1})
    with ThreadPoolExecutor(1) as thread:
        storing = thread.submit(log.write)
        assert sink.asked.wait(60)
        log.add((1,), None)  # would wait for ever
        sink.gate.set()
        storing.result(60)
    log.write()
    assert sink.read(LOG) == b'{"index":[0],"metadata":{"stage":1}}\n{"index":[1]}\n'


def test_lines_that_could_not_be_stored_are_stored_later(tmp_path, monkeypatch):
    """The disk was full for a while, in the middle of a line."""
    write, fits = os.write, [7]

    def full(descriptor, data):
        if not fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: fits.pop()])

    log = FrameLog(FilesystemSink(tmp_path), LOG)
    log.add((0,), None)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        log.write()
    monkeypatch.undo()
    log.add((1,), None)
    log.write()
    assert (tmp_path / LOG).read_text() == '{"index":[0]}\n{"index":[1]}\n'


class BadEnd(FilesystemSink):
    """A store that fails at its very end."""

    def close(self):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_store_that_fails_when_it_is_let_go_is_unlocked(tmp_path, monkeypatch):
    store = tmp_path / "a.zarr"
    monkeypatch.setattr("aqz_core.storage.builtin.FilesystemSink", BadEnd)
    stream = aqz.open_stream(store, shape=(0, 16, 16), dtype="uint8")
    with pytest.raises(OSError, match="Input/output"):
        stream.close()
    monkeypatch.undo()
    aqz.ZarrStream.resume(store).close()
