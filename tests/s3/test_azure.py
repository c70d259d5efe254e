"""Azure storage through obstore, against Azurite (npm); and what is told without a service."""

from __future__ import annotations

import base64
import email.utils
import hmac
import os
import shutil
import urllib.request
import uuid
from pathlib import Path

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.recovery import validate_store
from tests.s3.process import end, free_port, start, wait_until_answering
from tests.s3.streams import frames, recorded, settings

obstore = pytest.importorskip("obstore", reason="obstore (extra object-stores) is not installed")

NODE_PROGRAMS = Path(__file__).parents[2] / ".node" / "node_modules" / ".bin"
ACCOUNT = "devstoreaccount1"  # these two are the same in every Azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

WRONG_KEY = base64.b64encode(b"another key").decode()


def connection(port):
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"


def make_container(port, name):
    """Make a container by the one request that obstore does not know, signed as Azure wants it."""
    date = email.utils.formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    text = "PUT" + "\n" * 12 + "".join(f"{key}:{value}\n" for key, value in headers.items())
    text += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    digest = hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"http://127.0.0.1:{port}/{ACCOUNT}/{name}?restype=container"
    request = urllib.request.Request(url, method="PUT", headers={**headers, "Content-Length": "0"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """The port of a running Azurite with a container "lab"."""
    program = shutil.which("azurite-blob", path=f"{NODE_PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("Azurite is not installed (npm install --prefix .node azurite)")
    folder, port = tmp_path_factory.mktemp("azurite"), free_port()
    command = [program, "--blobPort", str(port), "--location", str(folder), "--silent",
               "--skipApiVersionCheck", "--disableTelemetry"]  # fmt: skip
    process = start(command, folder / "log.txt")
    try:
        wait_until_answering(f"http://127.0.0.1:{port}", process, folder / "log.txt", 30)
        make_container(port, "lab")
        yield port
    finally:
        end(process)


@pytest.fixture
def lab(azurite, monkeypatch):
    """A place in the container, and the environment that leads there."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection(azurite))
    return f"az://lab/{uuid.uuid4().hex}.zarr"


def read(url, azurite):
    """Read an array with zarr-python, through an obstore of its own."""
    _, _, rest = url.partition("az://lab/")
    place = obstore.store.AzureStore(
        "lab",
        prefix=rest,
        account_name=ACCOUNT,
        account_key=KEY,
        endpoint=f"http://127.0.0.1:{azurite}/{ACCOUNT}",
        client_options={"allow_http": True},
    )
    return zarr.open_array(zarr.storage.ObjectStore(place, read_only=True), mode="r")[...]


def test_recorded_flushed_validated_and_read_by_others(azurite, lab):
    pixels = frames(40)
    with aqz.ZarrStream(settings(lab)) as stream:
        for number, frame in enumerate(pixels):
            stream.append(frame, metadata={"number": number})
            if number == 5:
                stream.flush()
                assert np.array_equal(read(lab, azurite), pixels[:6])
    assert np.array_equal(read(lab, azurite), pixels)
    report = validate_store(lab)
    assert report.state == "complete"
    assert not report.findings
    assert len(aqz.read_frame_metadata(lab)) == 40


def test_resumed_and_overwritten(azurite, lab):
    pixels = frames(24)
    recorded(pixels[:20], lab)
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(settings(lab))
    with aqz.ZarrStream.resume(lab) as stream:
        for frame in pixels[20:]:
            stream.append(frame)
    assert np.array_equal(read(lab, azurite), pixels)
    recorded(pixels[:3], lab, overwrite=True)
    assert np.array_equal(read(lab, azurite), pixels[:3])


def test_large_shards_go_in_parts(azurite, lab):
    pixels = frames(64)
    recorded(pixels, lab, shard=16)
    assert np.array_equal(read(lab, azurite), pixels)


@pytest.mark.parametrize(
    ("change", "kind", "part"),
    [
        (
            (f"AccountKey={KEY}", f"AccountKey={WRONG_KEY}"),
            aqz.SettingsError,
            "denies|credentials",
        ),
        (("lab", "never-made"), aqz.SettingsError, "no such bucket"),
        (("PORT", None), aqz.StorageError, "no connection could be made"),
    ],
    ids=["wrong key", "no container", "nothing listens"],
)
def test_what_is_told_when_it_cannot_be_opened(azurite, lab, monkeypatch, change, kind, part):
    before, after = change
    told = connection(free_port() if before == "PORT" else azurite)
    if after is not None:
        told, lab = told.replace(before, after), lab.replace(before, after)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", told)
    with pytest.raises(kind, match=part) as caught:
        aqz.ZarrStream(settings(lab))
    assert KEY not in str(caught.value), caught.value
