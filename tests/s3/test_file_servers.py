"""Stores on file systems that fsspec reaches: over FTP, over SFTP, and here."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.cli import main
from tests.s3.file_servers import PASSWORD, USER, ftp_server, sftp_server
from tests.s3.test_other_stores import TIME, small_array

PIXELS = np.random.default_rng(0).integers(0, 65535, (20, 64, 64), np.uint16)


@pytest.fixture(params=["local", "ftp", "sftp"])
def url(request, tmp_path):
    """A place whose files are in the directory for temporary files."""
    if request.param == "local":
        yield f"local://{tmp_path}/a.zarr"
        return
    server = {"ftp": ftp_server, "sftp": sftp_server}[request.param]
    with server(tmp_path) as port:
        yield f"{request.param}://{USER}:{PASSWORD}@127.0.0.1:{port}/a.zarr"


def settings(url, **options):
    """Few bytes: servers and clients in Python share one interpreter here."""
    return aqz.StreamSettings(store_path=url, arrays=[small_array(TIME)], **options)


def append(stream, pixels):
    with stream:
        for frame in pixels:
            stream.append(frame)


def read(tmp_path):
    return zarr.open_array(tmp_path / "a.zarr", mode="r")[...]


def test_store_is_recorded_kept_overwritten_and_gone_on_with(url, tmp_path):
    append(aqz.ZarrStream(settings(url)), PIXELS[:8])
    assert np.array_equal(read(tmp_path), PIXELS[:8])
    with pytest.raises(aqz.StoreExistsError) as caught:
        aqz.ZarrStream(settings(url))
    assert PASSWORD not in str(caught.value)
    stream = aqz.ZarrStream(settings(url, overwrite=True))
    assert PASSWORD not in stream.store_path
    append(stream, PIXELS[:3])
    stream = aqz.ZarrStream.resume(url)
    append(stream, PIXELS[stream.statistics().frames :])
    assert np.array_equal(read(tmp_path), PIXELS)
    assert aqz.validate_store(url).is_valid


def test_messages_and_what_is_printed_have_no_password(tmp_path, capsys):
    with ftp_server(tmp_path) as port:
        url = f"ftp://{USER}:{PASSWORD}@127.0.0.1:{port}/a.zarr"
        append(aqz.ZarrStream(settings(url)), PIXELS[:3])
        for call in (aqz.list_frames, aqz.read_frame_metadata):
            with pytest.raises(aqz.AqzError, match="no array") as caught:
                call(url, "nowhere")
            assert PASSWORD not in str(caught.value)
            assert f"{USER}@127.0.0.1" in str(caught.value)
        assert main(["info", url]) == main(["validate", url]) == main(["repair", url]) == 0
        (tmp_path / "b").mkdir()
        append(aqz.ZarrStream(settings(tmp_path / "b" / "b.zarr")), PIXELS[:3])
        there = url.replace("a.zarr", "b.zarr")
        assert main(["upload", (tmp_path / "b" / "b.zarr").as_uri(), there]) == 0
        assert main(["upload", url, there]) == 1
        printed = "".join(capsys.readouterr())
    assert f"{USER}@127.0.0.1" in printed
    assert PASSWORD not in printed
    with pytest.raises(aqz.SettingsError) as caught:
        aqz.ZarrStream(settings(f"nothing://{USER}:{PASSWORD}@host/a.zarr"))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("server", [ftp_server, sftp_server])
def test_wrong_password_is_told_and_not_shown(server, tmp_path):
    with server(tmp_path) as port:
        scheme = server.__name__.partition("_")[0]
        with pytest.raises(aqz.AqzError) as caught:
            aqz.ZarrStream(settings(f"{scheme}://{USER}:wrong-word@127.0.0.1:{port}/a.zarr"))
    assert "wrong-word" not in str(caught.value)
    assert "connecting failed" in str(caught.value)
