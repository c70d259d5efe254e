"""What goes past s3fs is addressed, signed and protected as s3fs would, and ends in time."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from aqz_core import S3Settings, StorageError
from aqz_core.storage.objects.http_threads import HttpThreads
from tests.s3.streams import frames, recorded
from tests.s3.test_flush import read
from tests.s3.test_opening import at, tls_port
from tests.s3.test_recording import with_zarr

PIXELS = frames(40)
"""Shards of several parts, and one that is not full."""


@pytest.fixture
def sent(monkeypatch):
    """The fast requests that are made: method, URL, headers."""
    made = []
    request = HttpThreads.request

    async def noted(self, method, url, prepare, body):
        def prepared():
            headers = prepare()
            made.append((method, url, {name.lower(): text for name, text in headers.items()}))
            return headers

        return await request(self, method, url, prepared, body)

    monkeypatch.setattr(HttpThreads, "request", noted)
    return made


def record(s3, place="a.zarr"):
    recorded(PIXELS, place, s3, chunk=4, shard=8)


@pytest.mark.parametrize("name", ["a.zarr", "a b+c=@&é~(1)'%41.zarr"])
def test_signatures_are_right_for_any_name(bucket, sent, name):
    """Ceph checks them."""
    record(bucket.settings(), name)
    assert np.array_equal(with_zarr(bucket, name), PIXELS)
    assert {method for method, *_ in sent} == {"PUT", "POST"}


@pytest.mark.parametrize("checked", [True, False])
def test_over_tls_with_a_certificate_of_ones_own(tmp_path, sent, checked):
    with tls_port(tmp_path) as server:
        given = {"endpoint": f"https://127.0.0.1:{server.server_port}", "bucket_name": "bucket"}
        verify = str(tmp_path / "certificate.crt") if checked else False
        record(S3Settings(**given, key="id", secret="s", verify=verify))
        assert np.array_equal(read(server, tmp_path / "read"), PIXELS)
    assert sent


@pytest.mark.parametrize(
    ("style", "base"), [("path", "s3.lab:81/bucket/"), ("virtual", "bucket.s3.lab:81/")]
)
def test_through_a_proxy_in_both_styles_of_address(
    endpoint, monkeypatch, tmp_path, sent, style, base
):
    monkeypatch.setenv("HTTP_PROXY", endpoint.endpoint)
    monkeypatch.setenv("http_proxy", endpoint.endpoint)
    s3 = S3Settings(
        endpoint="http://s3.lab:81",
        bucket_name="bucket",
        key="id",
        secret="s",
        token="session",
        region="eu-north-1",
        addressing_style=style,
    )
    record(s3)
    assert np.array_equal(read(endpoint, tmp_path), PIXELS)
    for _, url, headers in sent:
        assert url.startswith(f"http://{base}a.zarr")
        assert headers["x-amz-security-token"] == "session"
        assert "/eu-north-1/s3/aws4_request" in headers["authorization"]
        assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_bodies_carry_a_crc32c_unless_it_is_refused(endpoint, sent):
    record(at(endpoint))
    assert all("x-amz-checksum-crc32c" in told for method, _, told in sent if method == "PUT")
    sent.clear()
    record(at(endpoint, checksums=False), "b.zarr")
    assert not any("checksum" in name for *_, told in sent for name in told)


def test_a_bucket_that_moves_is_found_by_the_client(endpoint, tmp_path):
    endpoint.fail("moved", "PUT .*partNumber=2", times=1)
    record(at(endpoint))
    endpoint.recover()
    assert np.array_equal(read(endpoint, tmp_path), PIXELS)


def test_threads_end_with_the_stream_though_the_service_reads_nothing(endpoint):
    endpoint.fail("deaf", "PUT .*partNumber")
    with pytest.raises(StorageError, match="in time"):
        record(at(endpoint, retry_timeout=2.0))
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("aqz-http") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
