"""A process that reads a store while another one records it (``python -m`` this module).

It takes a pickled `LiveJob` on stdin, then one line per order: "look" reads every array of the
plan once and answers with one line of JSON (`Look`), anything else ends it. Recorder and reader
are kept in step by these lines alone, while the looks themselves run beside the recording.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tests.support.decoders import DECODERS, is_checksum_error
from tests.support.model import expected_levels
from tests.support.plans import StreamPlan
from tests.support.published import ChunkIndex, judge_chunks, level_keys, right_chunks, tally

__all__ = ["LiveJob", "LiveReader", "Look", "live_reader"]

_CHECKOUT = Path(__file__).resolve().parents[2]
_MOST_RETRIES = 100


@dataclass(frozen=True)
class LiveJob:
    """Which store to read, with what, and what it will hold in the end."""

    store: str
    decoder: str
    plan: StreamPlan


@dataclass
class Look:
    """What one pass over the store has found.

    Attributes
    ----------
    right, missing, wrong
        Chunks inside the shape of the moment, by what they held.
    lost
        Chunks that were right at an earlier look and no longer are.
    shrunk
        Arrays whose shape was larger at an earlier look.
    retries
        Reads repeated because an index was being rewritten (a checksum said so).
    error
        Any other failure of a reader, or None.
    """

    right: int = 0
    missing: int = 0
    wrong: int = 0
    lost: int = 0
    shrunk: int = 0
    retries: int = 0
    error: str | None = None


class LiveReader:
    """The recorder's end of a reader process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self) -> None:
        """Order one look; it runs while the caller goes on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"look\n")
        self._process.stdin.flush()

    def answer(self) -> Look:
        """Wait for the look that was ordered last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the reader process ended with {self._process.wait()}"
        return Look(**json.loads(line))


@contextmanager
def live_reader(job: LiveJob) -> Iterator[LiveReader]:
    """Start a reader process; its first answer comes when all imports are done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.live_reader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_CHECKOUT,
    )
    with process:
        try:
            assert process.stdin is not None
            pickle.dump(job, process.stdin)
            process.stdin.flush()
            yield LiveReader(process)
        except BaseException:
            process.kill()
            raise


@dataclass
class _Memory:
    """What the reader saw of one array so far."""

    right: set[ChunkIndex] = field(default_factory=set)
    length: int = 0


def main() -> None:
    """Serve looks until stdin ends."""
    job: LiveJob = pickle.load(sys.stdin.buffer)
    memories: dict[str, _Memory] = {}
    expected = {
        key: level
        for array in job.plan.arrays
        for key, level in zip(level_keys(array), expected_levels(array), strict=True)
    }
    for _ in sys.stdin.buffer:
        look = Look()
        try:
            _look(job, expected, memories, look)
        except Exception as error:
            look.error = f"{type(error).__name__}: {error}"
        print(json.dumps(asdict(look)), flush=True)


def _look(
    job: LiveJob, expected: dict[str, np.ndarray], memories: dict[str, _Memory], look: Look
) -> None:
    """Read every array once and add up the verdicts."""
    for array in job.plan.arrays:
        for key in level_keys(array):
            pixels = _read_with_retries(job, key, look)
            verdicts = judge_chunks(pixels, expected[key], array)
            counts = tally(verdicts)
            look.right += counts["right"]
            look.missing += counts["missing"]
            look.wrong += counts["wrong"]
            memory = memories.setdefault(key, _Memory())
            right = right_chunks(verdicts)
            look.lost += len(memory.right - right)
            look.shrunk += pixels.shape[0] < memory.length
            memory.right, memory.length = right, pixels.shape[0]


def _read_with_retries(job: LiveJob, key: str, look: Look) -> np.ndarray:
    """Read an array, again when the checksum of an index said that it was being rewritten."""
    for _ in range(_MOST_RETRIES):
        try:
            return DECODERS[job.decoder](Path(job.store), key)
        except Exception as error:
            if not is_checksum_error(error):
                raise
            look.retries += 1
    raise TimeoutError(f"{key}: a checksum error at each of {_MOST_RETRIES} reads")


if __name__ == "__main__":
    main()
