"""Servers for the tests: processes on 127.0.0.1 that are ended by their own process ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

__all__ = ["ServerError", "end", "free_port", "start", "wait_until_answering"]


class ServerError(RuntimeError):
    """A server did not start."""


def free_port(count: int = 1) -> int:
    """Return the first of `count` neighbouring ports that are free at this moment."""
    while True:
        with contextlib.ExitStack() as stack:
            first = 0
            for offset in range(count):
                sock = stack.enter_context(socket.socket())
                try:
                    sock.bind(("127.0.0.1", first + offset if offset else 0))
                except (OSError, OverflowError):
                    break
                first = first or sock.getsockname()[1]
            else:
                return first


def start(command: list[str], log: Path, environment: dict[str, str] | None = None):
    """Start a process whose output goes to a file."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, gently first."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def wait_until_answering(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float):
    """Return when something answers over HTTP; raise when the process ends or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"{process.args} ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise ServerError(f"{process.args} did not answer: {log.read_text(errors='replace')[-2000:]}")
