"""Secrets in what services answer and client libraries say: shown in no message, chain or log."""

from __future__ import annotations

import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import aqz_core as aqz

SECRET = "hunter2/hunter2+hunter2"
TOKEN = "token-of-mine-0123456789"


class Echo(BaseHTTPRequestHandler):
    """A service that answers with everything that it was sent."""

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = " ".join(self.headers.values()).replace("<", "").replace("&", "")
        error = f"<Code>Odd</Code><Message>{sent} {SECRET}</Message>"
        body = f"<?xml version='1.0'?><Error>{error}</Error>".encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def shown(error):
    """Return everything that anybody could see of an error, suppressed contexts too."""
    seen, waiting = [], [error]
    while waiting:
        one = waiting.pop()
        if one is not None and all(one is not other for other in seen):
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return "".join(f"{one} {one!r} {vars(one)}" for one in seen) + "".join(
        traceback.format_exception(error)
    )


def use(how, endpoint, **changes):
    """Open a store at the service."""
    given = {"bucket_name": "bucket", "key": "id", "secret": SECRET, "token": TOKEN}
    given |= {"endpoint": endpoint, "region": "us-east-1", "retry_timeout": 1.0}
    s3 = aqz.S3Settings(**{**given, **changes})
    if how == "read":
        aqz.open_dataset("a.zarr", s3=s3)
    else:
        aqz.open_stream("a.zarr", shape=(0, 4, 4), dtype="u1", s3=s3).close()


ODD = f"{TOKEN}\nX-Odd: 1"
"""A token that no header can have."""


@pytest.mark.parametrize("changes", [{}, {"token": ODD}, {"secret": f"{SECRET}\r"}])
@pytest.mark.parametrize("how", ["read", "record"])
def test_no_secret_of_a_bucket_is_shown(endpoint, changes, how, caplog):
    caplog.set_level(logging.DEBUG, "aqz")
    with pytest.raises(aqz.AqzError) as caught:
        use(how, endpoint, **changes)
    said = shown(caught.value) + caplog.text
    assert SECRET not in said
    assert TOKEN not in said


def test_no_key_of_azure_is_shown(monkeypatch):
    pytest.importorskip("obstore", reason="obstore reaches Azure")
    for name in ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    key = "not base64: %% of-mine"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    for name, value in (
        ("AZURE_STORAGE_ACCOUNT_KEY", key),
        ("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=me;AccountKey={key}"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(aqz.AqzError) as caught:
                aqz.validate_store("az://container/a.zarr")
            assert key not in shown(caught.value)


def test_words_that_hold_no_secret_stay():
    from aqz_core.storage.objects.redaction import Redaction

    redaction = Redaction("sftp://me:pass%2Fword@host/a", None)
    error = OSError("no route to host")
    assert redaction.error(error) is error
    assert redaction.text("pass/word and pass%2Fword at host") == "*** and *** at host"
    assert "word" not in repr(redaction)
