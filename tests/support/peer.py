"""acquire-zarr as the reference: run in processes of its own, its metadata made comparable.

0.10.0 lives in the environment of the tests, 0.5.1 in one that `venv_of_0_5_1` makes below
``.cache``. 0.5.1 crashes or hangs in some runs, whatever it records: each run is a process with a
deadline, and is tried again.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any

from tests.support.plans import StreamPlan

__all__ = ["Peer", "PeerError", "comparable_metadata", "venv_of_0_5_1"]

CHECKOUT = Path(__file__).resolve().parents[2]
_VENV_0_5_1 = CHECKOUT / ".cache" / "acquire-zarr-0.5.1"


class PeerError(Exception):
    """acquire-zarr cannot record a plan, so that there is nothing to compare with."""


class Peer:
    """A release of acquire-zarr.

    Parameters
    ----------
    python
        Interpreter of the environment that it is installed in.
    once
        Whether every plan gets a process of its own.
    """

    def __init__(self, python: str, *, once: bool) -> None:
        self._python = python
        self._once = once
        self._process: subprocess.Popen[bytes] | None = None

    def record(self, plan: StreamPlan, path: Path, attempts: int = 4) -> None:
        """Record a plan.

        Raises
        ------
        PeerError
            acquire-zarr refuses it, crashes or hangs again and again.
        """
        answers = []
        for _ in range(attempts):
            shutil.rmtree(path, ignore_errors=True)
            answers.append(self._try(plan, path) or "no answer")
            if answers[-1] == "ok":
                return
        raise PeerError(f"acquire-zarr says {answers} to {plan}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                stream.close()
            self._process = None

    def _try(self, plan: StreamPlan, path: Path) -> str:
        """Return the answer, empty if the process died or hung."""
        if self._process is None:
            self._process = subprocess.Popen(
                [self._python, "-m", "tests.support.record_with_peer"],
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = Timer(6 if self._once else 10, process.kill)
        deadline.start()
        try:
            pickle.dump((plan, path), process.stdin)
            process.stdin.flush()
            answer = process.stdout.readline().decode().strip()
        except BrokenPipeError:
            answer = ""
        finally:
            deadline.cancel()
        if self._once or not answer:
            self.close()
        return answer


def venv_of_0_5_1() -> str:
    """Return the interpreter of an environment with acquire-zarr 0.5.1, made if need be.

    Raises
    ------
    subprocess.CalledProcessError
        It could not be installed.
    """
    python = _VENV_0_5_1 / "bin" / "python"
    done = _VENV_0_5_1 / "aqz-installed"
    _VENV_0_5_1.parent.mkdir(exist_ok=True)
    with (_VENV_0_5_1.parent / "acquire-zarr-0.5.1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", _VENV_0_5_1], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "acquire-zarr==0.5.1", "numpy"], check=True)
            done.touch()
    return str(python)


def comparable_metadata(store: Path) -> dict[str, Any]:
    """Return every metadata document of a store by name, without what is documented to differ.

    See the table in ``docs/from-acquire-zarr.md``.
    """
    names = ("zarr.json", ".zarray", ".zgroup", ".zattrs", "acquire.json")
    found = {
        file.relative_to(store).as_posix(): _comparable(json.loads(file.read_text("utf-8")))
        for name in names
        for file in store.rglob(name)
    }
    return {name: document for name, document in found.items() if document != {}}


def _comparable(document: Any) -> Any:
    """Drop notes of aqz, empty fields of acquire-zarr, names and descriptions for people."""
    if not isinstance(document, dict):
        return document
    attributes = document.get("attributes", document)
    attributes.pop("aqz", None)
    for name in ("consolidated_metadata", "storage_transformers"):
        document.pop(name, None)
    if isinstance(document.get("compressor"), dict):  # of Zarr V2
        document["compressor"].pop("blocksize", None)
    block = attributes.get("ome", attributes)
    # 0.10.0 gives the image's name beside the list of images, where NGFF has no name.
    if isinstance(block, dict) and "multiscales" in block:
        block.pop("name", None)
        for image in block["multiscales"]:
            image.pop("name", None)
            image.get("metadata", {}).pop("description", None)
    return document
