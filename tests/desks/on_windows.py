"""Run with -p tests.desks.windows: what the engine does for Windows alone."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.settings.paths import local_path
from aqz_core.storage import platform
from aqz_core.storage.lock import is_locked

SIGBREAK = signal.SIGUSR2  # which stands for it
FRAMES = np.arange(6 * 256, dtype="u2").reshape(6, 16, 16)
OPTIONS = {"shape": (0, 16, 16), "dtype": "u2", "chunks": (2, 16, 16)}


def test_this_is_windows():
    assert platform.DIRECT == 0
    assert platform.machine_nbytes() > 0
    with pytest.raises(PermissionError):
        platform.os.open("/", 0)


def test_break_finishes_the_store_and_a_second_one_ends_the_program(tmp_path):
    before = signal.getsignal(SIGBREAK)
    with (  # noqa: PT012
        pytest.raises(SystemExit) as caught,
        aqz.exit_on_sigterm(),
        aqz.open_stream(tmp_path / "s", **OPTIONS) as stream,
    ):
        stream.append(FRAMES)
        signal.raise_signal(SIGBREAK)
    assert caught.value.code == 128 + SIGBREAK
    assert signal.getsignal(SIGBREAK) is before
    assert np.array_equal(aqz.ZarrArrayReader(tmp_path / "s/0").read(), FRAMES)


def test_a_replaced_file_waits_for_its_reader(tmp_path, monkeypatch):
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    reader = (tmp_path / "old").open("rb")
    monkeypatch.setattr(platform.time, "sleep", lambda _: reader.close())
    platform.replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new"


def test_a_file_that_stays_open_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "REPLACE_SECONDS", 0)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    with (tmp_path / "old").open("rb"), pytest.raises(PermissionError):
        platform.replace(tmp_path / "new", tmp_path / "old")


def test_one_writer(tmp_path):
    with aqz.open_stream(tmp_path / "s", **OPTIONS) as stream:
        stream.append(FRAMES)
        assert is_locked(tmp_path / "s")
        with pytest.raises(aqz.StoreBusyError):
            aqz.open_stream(tmp_path / "S", overwrite=True, **OPTIONS)
    assert not is_locked(tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("aux.zarr", "'aux.zarr' is the name of a device on Windows"),
        ("COM1", "'COM1' is the name of a device on Windows"),
        ("run.", "'run.' ends with a dot or a blank"),
        ("12:30.zarr", "'12:30.zarr' has ':' in it"),
        ("x" * 240, "Windows takes 259"),
    ],
)
def test_stores_that_windows_could_not_name(tmp_path, name, why):
    with pytest.raises(aqz.SettingsError, match=re.escape(why)):
        aqz.open_stream(tmp_path / name, **OPTIONS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///C:/data/s.zarr", "C:/data/s.zarr"),
        ("file://server/share/s.zarr", "//server/share/s.zarr"),
    ],
)
def test_urls_of_drives_and_shares(url, path):
    assert local_path(url) == Path(path)


@pytest.mark.parametrize("path", [r"D:\data\s.zarr", "D:/data/s.zarr", r"\\server\share\s.zarr"])
def test_paths_of_drives_and_shares_are_not_refused(path):
    assert local_path(path).is_absolute()
