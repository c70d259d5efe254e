"""A small S3 service in memory that misbehaves on demand.

It knows what a recording needs: objects, listings, batch deletes, uploads in parts. It keeps the
rules of AWS for parts (5 MiB at least, except the last; known uploads only) and for writing
conditionally (``If-None-Match``, ``If-Match``), and checks no signatures. A `Fault` chooses
requests by a pattern and says what happens to them. For measurements it can throw bodies away;
``python -m tests.s3.fault_endpoint PORT`` runs it so in a process.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import time
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

__all__ = ["Fault", "FaultEndpoint", "running"]

XML = "<?xml version='1.0' encoding='UTF-8'?>"
ANSWERS = {
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "500": (500, "InternalError", "We encountered an internal error."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "unknown": (501, "NotImplemented", "A header you provided implies functionality"),
    "skew": (403, "RequestTimeTooSkewed", "The difference is too large."),
    "moved": (301, "PermanentRedirect", "The bucket must be addressed elsewhere."),
}
MIN_PART_NBYTES = 5 << 20


@dataclass
class Fault:
    """What happens to some requests.

    ``kind`` is a key of `ANSWERS`, or "reset" (the connection is closed without an answer), "stall"
    (the request is read and never answered), "deaf" (its body is never read), "slow" (answered
    after ``seconds``), "short" (the answer breaks off), "lost" (done, but the answer is lost),
    "forgotten" (the service forgets all uploads first) or "html" or "xhtml" (status 200, with a
    page that no S3 service gives). It happens to requests whose "METHOD /path?query"
    matches ``pattern``, after the first ``after`` of them, ``times`` times.
    """

    kind: str
    pattern: str = ""
    after: int = 0
    times: int = sys.maxsize
    seconds: float = 0.2
    met: int = 0


@dataclass
class _State:
    """What the service holds."""

    objects: dict[str, bytes] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fault: Fault | None = None
    discard: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    received: int = 0
    copied: int = 0


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: FaultEndpoint
    wbufsize = 1 << 16
    disable_nagle_algorithm = True  # or small answers wait 40 ms for each other

    def handle_expect_100(self):
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def log_message(self, *arguments):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def _serve(self):
        state = self.server.state
        line = f"{self.command} {self.path}"
        with state.lock:
            state.requests.append(line)
            kind, seconds = _chosen(state.fault, line)
        if kind == "deaf":
            state.released.wait()
        body = b"" if kind == "deaf" else self._body()
        if kind in ("stall", "deaf"):
            state.released.wait()
        if kind in ("stall", "deaf", "reset"):
            self.close_connection = True
            return
        if kind == "slow":
            state.released.wait(seconds)
        if kind == "forgotten":
            with state.lock:
                state.uploads.clear()
        if kind in ANSWERS:
            self._fail(*ANSWERS[kind])
        elif kind == "html":
            self._answer(200, b"<html><p>Welcome to the router of your home", {})
        elif kind == "xhtml":
            self._answer(200, b"<html><p>Log in to the network of this hotel</p></html>", {})
        else:
            status, content, headers = self._do(body)
            if kind == "lost":
                self.close_connection = True
                return
            self._answer(status, content, headers, short=kind == "short")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _body(self):
        """Read the request's body; throw large ones away where that is wanted."""
        left = int(self.headers.get("Content-Length", 0))
        with self.server.state.lock:
            self.server.state.received += left
        if not (self.server.state.discard and self.command == "PUT"):
            body = self.rfile.read(left)
            if len(body) < left:
                raise ConnectionResetError
            return body
        scratch = memoryview(bytearray(min(left, 1 << 20)))
        while left:
            count = self.rfile.readinto(scratch[: min(left, len(scratch))])
            if not count:
                raise ConnectionResetError
            left -= count
        return b""

    def _do(self, body):
        """Carry a request out; return status, body and headers."""
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        in_host = (url.hostname or "").startswith("bucket.")  # seen by a proxy, which this may be
        path = f"/bucket{url.path}" if in_host else url.path
        bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        state = self.server.state
        if bucket != "bucket":
            return _error(404, "NoSuchBucket", "The bucket does not exist")
        with state.lock:
            if not key:
                return self._bucket(state, query, body)
            if "uploads" in query or "uploadId" in query:
                return self._upload(state, key, query, body)
            return self._object(state, key, body)

    def _object(self, state, key, body):
        if self.command == "PUT":
            if not self._condition_holds(state.objects.get(key)):
                return _error(412, "PreconditionFailed", "A precondition did not hold")
            state.objects[key] = body
            state.times[key] = time.time()
            return 200, b"", {"ETag": _etag(body)}
        if self.command == "DELETE":
            state.objects.pop(key, None)
            return 204, b"", {}
        if key not in state.objects:
            return _error(404, "NoSuchKey", "The object does not exist")
        content = state.objects[key]
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            size = len(content)
            first = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
            last = min(int(wanted[2]), size - 1) if wanted[1] and wanted[2] else size - 1
            part = content[first : last + 1]
            return 206, part, {"Content-Range": f"bytes {first}-{last}/{size}"}
        stored = formatdate(state.times.get(key, time.time()), usegmt=True)
        return 200, content, {"ETag": _etag(content), "Last-Modified": stored}

    def _condition_holds(self, content):
        """Return whether an object may be stored where `content` is now."""
        if self.headers.get("If-None-Match") == "*":
            return content is None
        wanted = self.headers.get("If-Match")
        return wanted is None or (content is not None and wanted == _etag(content))

    def _bucket(self, state, query, body):
        if self.command == "POST" and "delete" in query:
            for item in ElementTree.fromstring(body).iter():
                if item.tag.endswith("Key"):
                    state.objects.pop(item.text, None)
            return 200, f"{XML}<DeleteResult></DeleteResult>".encode(), {}
        prefix = query.get("prefix", [""])[0]
        if "uploads" in query:
            items = "".join(
                f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></Upload>"
                for upload, (key, _) in state.uploads.items()
                if key.startswith(prefix)
            )
            return 200, _document("ListMultipartUploadsResult", items), {}
        keys = sorted(key for key in state.objects if key.startswith(prefix))
        groups = []
        if query.get("delimiter"):
            below = {key: key[len(prefix) :].partition("/") for key in keys}
            groups = sorted({prefix + head + "/" for head, slash, _ in below.values() if slash})
            keys = [key for key in keys if not below[key][1]]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(state.objects[key])}</Size></Contents>"
            for key in keys
        )
        items += "".join(
            f"<CommonPrefixes><Prefix>{escape(group)}</Prefix></CommonPrefixes>" for group in groups
        )
        return 200, _document("ListBucketResult", items), {}

    def _upload(self, state, key, query, body):
        if "uploads" in query:
            state.count += 1
            upload = f"upload-{state.count}"
            state.uploads[upload] = (key, {})
            items = f"<Bucket>bucket</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
            return 200, _document("InitiateMultipartUploadResult", items), {}
        upload = query["uploadId"][0]
        if upload not in state.uploads:
            return _error(404, "NoSuchUpload", "The upload does not exist")
        if self.command == "DELETE":
            del state.uploads[upload]
            return 204, b"", {}
        if self.command == "PUT":
            number = int(query["partNumber"][0])
            if "x-amz-copy-source" in self.headers:
                first, last = re.findall(r"\d+", self.headers["x-amz-copy-source-range"])
                state.copied += int(last) + 1 - int(first)
                body = state.objects[key][int(first) : int(last) + 1]
                state.uploads[upload][1][number] = body
                return 200, _document("CopyPartResult", f"<ETag>&quot;{number}&quot;</ETag>"), {}
            state.uploads[upload][1][number] = body
            return 200, b"", {"ETag": f'"{number}"'}
        parts = state.uploads[upload][1]
        numbers = [int(n) for n in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        if not set(numbers) <= set(parts):
            return _error(400, "InvalidPart", "A part could not be found")
        sizes = [len(parts[number]) for number in numbers[:-1]]
        if not state.discard and any(nbytes < MIN_PART_NBYTES for nbytes in sizes):
            return _error(400, "EntityTooSmall", "A part is smaller than the minimum")
        del state.uploads[upload]
        state.objects[key] = b"".join(parts[number] for number in numbers)
        return 200, _document("CompleteMultipartUploadResult", f"<Key>{escape(key)}</Key>"), {}

    def _fail(self, status, code, message):
        self._answer(*_error(status, code, message))

    def _answer(self, status, content, headers, *, short=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if short else content)
        self.wfile.flush()
        if short:
            self.close_connection = True


class FaultEndpoint(ThreadingHTTPServer):
    """The service; its state can be looked at and its fault be set at any time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, *, discard: bool = False) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = _State(discard=discard)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    @property
    def objects(self) -> dict[str, bytes]:
        return self.state.objects

    @property
    def uploads(self) -> dict[str, tuple[str, dict[int, bytes]]]:
        return self.state.uploads

    def count(self, pattern: str) -> int:
        """Return how many requests matched a pattern."""
        return sum(re.search(pattern, line) is not None for line in self.state.requests)

    def fail(self, *arguments, **options) -> None:
        """Let a fault happen from now on."""
        self.state.fault = Fault(*arguments, **options)

    def recover(self) -> None:
        """Behave again."""
        self.state.fault = None

    def handle_error(self, request, client_address):
        pass


def _chosen(fault: Fault | None, line: str) -> tuple[str | None, float]:
    """Tell what happens to a request."""
    if fault is None or not re.search(fault.pattern, line):
        return None, 0.0
    fault.met += 1
    if fault.after < fault.met <= fault.after + fault.times:
        return fault.kind, fault.seconds
    return None, 0.0


def _document(name: str, items: str) -> bytes:
    return f"{XML}<{name}><IsTruncated>false</IsTruncated>{items}</{name}>".encode()


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _error(status: int, code: str, message: str) -> tuple[int, bytes, dict[str, str]]:
    content = f"{XML}<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, content.encode(), {"Content-Type": "application/xml"}


@contextmanager
def running(*, discard: bool = False):
    """Run an endpoint on threads of this process."""
    endpoint = FaultEndpoint(discard=discard)
    thread = threading.Thread(target=endpoint.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.state.released.set()
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()


if __name__ == "__main__":
    FaultEndpoint(int(sys.argv[1]), discard=True).serve_forever()
