"""The log of frames: nobody waits for it, and an error loses none of its lines."""

from __future__ import annotations

import errno
import math
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
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
    log.add(FrameLog.line((0,), {"stage": 1}))
    with ThreadPoolExecutor(1) as thread:
        storing = thread.submit(log.write)
        assert sink.asked.wait(60)
        log.add(FrameLog.line((1,), None))  # would wait for ever
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
    log.add(FrameLog.line((0,), None))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        log.write()
    monkeypatch.undo()
    log.add(FrameLog.line((1,), None))
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


@pytest.mark.parametrize("call", ["append", "write"])
def test_a_frame_is_not_given_up_for_a_number_that_json_lacks(tmp_path, caplog, call):
    metadata = {
        "t": float("nan"),
        "stage": {"z": [1.5, -math.inf]},
        "np": np.float32("nan"),
        "n": 3,
    }
    with aqz.open_stream(tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u1") as stream:
        for number in range(2):
            frame = np.full((4, 4), number + 1, "u1")
            if call == "append":
                stream.append(frame, metadata=metadata)
            else:
                stream.write(frame, {"t": number}, metadata=metadata)
    rows = aqz.read_frame_metadata(tmp_path / "a.zarr")
    assert [row["metadata.t"] for row in rows] == [None, None]
    assert rows[1]["stage"] == {"z": [1.5, None]}
    assert rows[0]["np"] is None
    assert rows[0]["n"] == 3
    assert aqz.ZarrArrayReader(tmp_path / "a.zarr/0").read()[:, 0, 0].tolist() == [1, 2]
    told = [record.getMessage() for record in caplog.records if "null" in record.getMessage()]
    assert [re.search("'.*?'", line)[0] for line in told] == ["'t'", "'stage.z[1]'", "'np'"]


def test_metadata_that_are_refused_say_that_the_frame_is_not_recorded(tmp_path):
    with aqz.open_stream(tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u1") as stream:
        for wrong in ({"when": datetime.now()}, [1]):
            with pytest.raises(aqz.MetadataError, match="frame was not recorded") as caught:
                stream.append(np.zeros((4, 4), "u1"), metadata=wrong)
            assert "custom" not in str(caught.value)
        assert stream.statistics().frames == 0
