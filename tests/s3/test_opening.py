"""What a user is told when a store cannot be opened, and that it does not take long."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import aqz_core as aqz
from aqz_core import S3Settings, SettingsError, StorageError
from aqz_core.settings import location
from aqz_core.storage.objects.part_sizes import part_size
from tests.s3 import fault_endpoint
from tests.s3.process import free_port
from tests.s3.streams import frames, recorded, settings

SECRET = "quite-secret"
CHECKOUT = Path(__file__).parents[2]


def at(endpoint, **options):
    given = {"bucket_name": "bucket", "key": "id", "secret": SECRET, "retry_timeout": 4.0}
    return S3Settings(endpoint=endpoint.endpoint, **{**given, **options})


@contextlib.contextmanager
def tls_port(folder):
    """A port where TLS is spoken, and http answered as such services do: not at all."""
    certificate = folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", certificate, "-out", certificate.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    with fault_endpoint.FaultEndpoint() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def refused(s3, kind=SettingsError, store_path="a.zarr", **options):
    with pytest.raises(kind) as caught:
        aqz.ZarrStream(settings(store_path, s3, **options)).close()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_wrong_secret(bucket):
    assert "SignatureDoesNotMatch" in refused(bucket.settings(secret=SECRET))


def test_wrong_key(bucket):
    assert "InvalidAccessKeyId" in refused(bucket.settings(key="nobody"))


def test_no_such_bucket(bucket):
    assert "no such bucket" in refused(bucket.settings(bucket_name="never-made"))


def test_bucket_that_may_be_read_but_not_written(gateway, bucket):
    key, secret = gateway.add_user("reader")
    bucket.client.put_bucket_policy(
        Bucket=bucket.name,
        Policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": ["arn:aws:iam:::user/reader"]},
                        "Action": ["s3:ListBucket", "s3:GetObject"],
                        "Resource": [
                            f"arn:aws:s3:::{bucket.name}",
                            f"arn:aws:s3:::{bucket.name}/*",
                        ],
                    }
                ],
            }
        ),
    )
    assert "no permission to write" in refused(bucket.settings(key=key, secret=secret))
    assert bucket.listing() == []


def test_bucket_of_somebody_else(gateway, bucket):
    key, secret = gateway.add_user("stranger")
    assert "denies access" in refused(bucket.settings(key=key, secret=secret))


def test_nothing_listens():
    s3 = S3Settings(
        endpoint=f"http://127.0.0.1:{free_port()}",
        bucket_name="bucket",
        key="id",
        secret=SECRET,
        retry_timeout=4.0,
    )
    begun = time.monotonic()
    assert "nothing listens" in refused(s3, StorageError)
    assert time.monotonic() - begun < 30  # and not for ever


def test_expired_token(endpoint):
    endpoint.fail("expired")
    assert "expired" in refused(at(endpoint, token="old"))


def test_https_to_a_port_that_speaks_http(endpoint):
    s3 = at(endpoint)
    s3.endpoint = s3.endpoint.replace("http://", "https://")
    assert "http://" in refused(s3)


def test_http_to_a_port_that_speaks_tls(tmp_path):
    with tls_port(tmp_path) as server:
        port = server.server_port
        s3 = S3Settings(endpoint=f"http://127.0.0.1:{port}", bucket_name="bucket",
                        key="id", secret=SECRET, retry_timeout=2.0)  # fmt: skip
        assert "https://" in refused(s3, StorageError)


def test_dead_proxy(endpoint, monkeypatch):
    proxy = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    told = refused(at(endpoint, retry_timeout=2.0), StorageError)
    assert f"HTTP_PROXY={proxy}" in told
    assert "NO_PROXY" in told


def test_a_user_name_in_the_url_is_refused_without_its_password():
    told = refused(None, store_path=f"s3://me:{SECRET}@bucket/a.zarr")
    assert "user name" in told


def test_no_thread_can_be_started(endpoint, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("aqz_core.storage.objects.event_loop.threading.Thread.start", start)
    assert "no thread" in refused(at(endpoint), StorageError)


def test_the_opening_leaves_no_upload_behind_when_an_answer_is_lost(endpoint):
    endpoint.fail("lost", r"POST .*zarr.json.*uploads", times=1)
    recorded(frames(1), "a.zarr", at(endpoint))
    assert endpoint.uploads == {}


@pytest.mark.parametrize(("page", "kind"), [("html", StorageError), ("xhtml", SettingsError)])
def test_a_page_of_somebody_else_is_no_answer(endpoint, page, kind):
    endpoint.fail(page)
    assert " S3 " in refused(at(endpoint, retry_timeout=2.0), kind)


def test_service_that_never_answers(endpoint):
    endpoint.fail("stall")
    begun = time.monotonic()
    assert "in time" in refused(at(endpoint), StorageError)
    assert time.monotonic() - begun < 30  # and not for ever


def test_no_credentials_anywhere(endpoint):
    assert "no credentials were found" in refused(at(endpoint, key=None, secret=None))


def test_credentials_of_the_environment_are_read_when_the_stream_opens(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret)
    recorded(frames(1), "a.zarr", bucket.settings(key=None, secret=None))
    assert "a.zarr/zarr.json" in bucket.listing()


def test_unknown_profile(endpoint):
    assert "nowhere" in refused(at(endpoint, key=None, secret=None, profile="nowhere"))


def test_endpoint_without_a_scheme(bucket, caplog):
    location._tell_scheme.cache_clear()  # it is told once for each endpoint
    s3 = bucket.settings()
    s3.endpoint = s3.endpoint.removeprefix("http://")
    recorded(frames(1), "a.zarr", s3)
    assert "has no scheme and is taken as http://" in caplog.text


def test_store_that_is_there_is_not_touched(bucket):
    recorded(frames(1), "a.zarr", bucket.settings())
    before = bucket.listing()
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(settings("a.zarr", bucket.settings()))
    assert bucket.listing() == before


@pytest.mark.parametrize(
    ("store_path", "options", "part"),
    [
        ("s3://other/a.zarr", {}, "'other'"),
        ("gs://bucket/a.zarr", {}, "leave s3 out"),
        ("a/../b", {}, "'..'"),
        ("", {"overwrite": True}, "root of the bucket"),
        ("/", {"overwrite": True}, "root of the bucket"),
    ],
)
def test_place_that_cannot_be(store_path, options, part):
    s3 = S3Settings(endpoint="http://127.0.0.1:9", bucket_name="bucket")
    assert part in refused(s3, store_path=store_path, **options)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"key": "id"}, "secret is not"),
        ({"secret": SECRET}, "key is not"),
        ({"token": SECRET}, "token"),
        ({"anon": True, "key": "id", "secret": SECRET}, "anon"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"retry_timeout": 0}, "retry_timeout"),
        ({"endpoint": f"http://me:{SECRET}@127.0.0.1"}, "user name or a password"),
        ({"endpoint": "ftp://127.0.0.1"}, "ftp://127.0.0.1"),
        ({"key": "", "secret": ""}, "key is empty"),
        ({"key": "id", "secret": SECRET, "token": ""}, "token is empty"),
        ({"endpoint": "http:/127.0.0.1:9"}, "write http://127.0.0.1:9"),
        ({"endpoint": "https:127.0.0.1"}, "https://127.0.0.1"),
        ({"endpoint": "http://127.0.0.1:9/bucket"}, "the endpoint is 'http://127.0.0.1:9'"),
        ({"endpoint": "https://bucket.s3.eu-west-1.amazonaws.com"}, "the endpoint is 'https://s3."),
        ({"verify": "/no/such/bundle.pem"}, "'/no/such/bundle.pem'"),
    ],
)
def test_settings_of_a_bucket_that_cannot_be(fields, part):
    given = {"endpoint": "http://127.0.0.1:9", "bucket_name": "bucket", **fields}
    assert part in refused(S3Settings(**given))


RECORDING = """
import sys
import aqz_core as aqz
from tests.s3.streams import settings
s3 = aqz.S3Settings(endpoint=sys.argv[1], bucket_name="bucket", key="id", secret="no")
stream = aqz.ZarrStream(settings("a.zarr", s3, overwrite=True))
print("open", flush=True)
sys.stdin.read()
"""


def test_second_writer_on_this_machine(endpoint, caplog):
    with aqz.ZarrStream(settings("a.zarr", at(endpoint))):
        assert "another stream or program" in refused(at(endpoint), aqz.StoreBusyError)
        recorded(frames(1), "b.zarr", at(endpoint))
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDING, endpoint.endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    with process:
        assert process.stdout.readline() == b"open\n"
        refused(at(endpoint), aqz.StoreBusyError, overwrite=True)
        process.kill()
    recorded(frames(1), "a.zarr", at(endpoint), overwrite=True)
    assert caplog.text == ""


def test_unknown_scheme():
    with pytest.raises(SettingsError, match="nosuch://"):
        aqz.ZarrStream(settings("nosuch://place/a.zarr"))


def test_scheme_whose_package_is_missing():
    with pytest.raises(SettingsError, match="package that is not installed"):
        aqz.ZarrStream(settings("gs://bucket/a.zarr"))


def test_secrets_are_in_no_repr():
    s3 = S3Settings(bucket_name="bucket", key="my-key-id", secret=SECRET, token="my-token")
    for shown in (repr(s3), repr(settings("a.zarr", s3))):
        assert not any(part in shown for part in (SECRET, "my-key-id", "my-token"))


def test_a_stream_without_settings_goes_to_a_bucket_and_is_gone_on_with(endpoint):
    given = {"shape": (0, 512, 512), "dtype": "uint16", "s3": at(endpoint), "mode": "append"}
    for _ in range(2):
        with aqz.open_stream("a.zarr", **given) as stream:
            stream.append(frames(2))
    assert len(aqz.list_frames("a.zarr", s3=at(endpoint)).written) == 4


def test_a_shard_that_no_object_holds_is_refused():
    s3 = S3Settings(endpoint="http://127.0.0.1:9", bucket_name="bucket", key="id", secret=SECRET)
    told = refused(s3, shard=1 << 22)
    assert "5 TiB" in told
    assert "fewer chunks" in told


def test_parts_of_the_largest_shards_are_few_enough():
    for bound in (9 << 20, 80 << 30, 1 << 40, (5 << 40) - 1):
        nbytes = part_size(bound)
        assert -(-bound // nbytes) <= 10_000
        assert 5 << 20 <= nbytes <= 5 << 30
