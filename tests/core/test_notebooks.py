"""What a notebook shows of settings, streams and reports, and the progress of a stream."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.settings.checks import SettingsError


def record(path, **options):
    with aqz.open_stream(path, shape=(0, 8, 8), dtype="u1", **options) as stream:
        stream.append(np.zeros((5, 8, 8), "u1"))
        return stream, stream._repr_html_()


def test_settings_are_a_table_without_secrets_and_with_nothing_that_a_browser_runs():
    s3 = aqz.S3Settings(bucket_name="lab", key="AKIA", secret="hush")
    settings = aqz.StreamSettings(store_path="<script>run</script>", s3=s3)
    shown = settings._repr_html_()
    assert "&lt;script&gt;run" in shown
    assert "<script>" not in shown
    assert "lab" in shown
    assert "hush" not in shown


def test_a_url_is_shown_without_its_password():
    settings = aqz.StreamSettings(store_path="ftp://me:hush@host/run.zarr")
    assert "hush" not in settings._repr_html_()
    assert "host" in settings._repr_html_()


def test_a_stream_shows_its_frames_and_a_report_its_arrays(tmp_path):
    _, shown = record(tmp_path / "a.zarr")
    assert "<th style='text-align:left'>frames</th><td style='text-align:left'>5</td>" in shown
    report = aqz.validate_store(tmp_path / "a.zarr")._repr_html_()
    assert "ValidationReport" in report
    assert "complete" in report


def test_progress_is_a_line_on_a_terminal_and_nothing_in_a_pipe(tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    record(tmp_path / "pipe.zarr", progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    record(tmp_path / "terminal.zarr", progress=True)
    last = capsys.readouterr().err.split("\r")[-1]
    assert last.startswith("\x1b[K5 frames, ")
    assert last.endswith(", complete\n")


def test_progress_replaces_the_output_of_a_cell(tmp_path, monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data["text/html"]))

    def display(data, raw, display_id):
        shown.append(data["text/html"])
        return handle

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    record(tmp_path / "cell.zarr", progress=True)
    assert "complete" in shown[-1]
    assert ">5<" in shown[-1]


def test_progress_is_true_or_false(tmp_path):
    with pytest.raises(SettingsError, match="progress must be True or False"):
        record(tmp_path / "a.zarr", progress="yes")
