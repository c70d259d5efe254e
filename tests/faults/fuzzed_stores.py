"""Inputs that nobody thought of: documents, logs, shard indexes and settings, changed at random.

``python -m tests.faults.fuzzed_stores SECONDS [SEED]`` goes on for as long as it is told.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import aqz_core as aqz
from aqz_core.recovery import repair_store, validate_store
from tests.faults.hostile_stores import honest_store

__all__ = ["fuzz", "originals"]

ODD_VALUES = (
    *(None, True, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**400, -(2**70), 0.5, 1e308, -0.0),
    *(float("nan"), float("inf"), "", "/", "..", "../../x", "\x1b[2J", "\udc80", "é" * 300, "0"),
    *([], {}, [[]], {"a": []}, [None], [0], [2**40, 1, 1], {"name": "zstd"}, "zstd", "uint8"),
)
FILES = ("zarr.json", "0/zarr.json", "0/aqz.frames.jsonl", "0/c/0/0/0")
CONFIG = """\
version: 2
store_path: run.zarr
overwrite: false
max_memory: 1000000000
arrays:
  - output_key: a
    data_type: uint16
    dimensions:
      - {name: t, type: time, array_size_px: 0, chunk_size_px: 1, shard_size_chunks: 2}
      - {name: y, type: space, array_size_px: 16, chunk_size_px: 16, shard_size_chunks: 1}
      - {name: x, type: space, array_size_px: 16, chunk_size_px: 16, shard_size_chunks: 1}
    compression: {compressor: blosc1, codec: blosc-zstd, level: 1, shuffle: 1}
"""


def originals(folder: Path) -> tuple[Path, Path]:
    """Record a store that is closed, and one whose recording was cut off."""
    made = folder / "closed", folder / "open"
    for path, closed in zip(made, (True, False), strict=True):
        honest_store(path, closed=closed)
    return made


def fuzz(number: int, stores: tuple[Path, Path], folder: Path) -> str:
    """Use everything that reads on one input; return what it was.

    Raises whatever is no `AqzError`.
    """
    chance = random.Random(number)
    if number % 4 == 3:
        text = _changed_text(CONFIG, chance)
        with contextlib.suppress(aqz.AqzError):
            _use_settings(text)
        return f"settings {text!r}"
    path = folder / "s"
    shutil.copytree(chance.choice(stores), path)
    try:
        name = chance.choice(FILES)
        _change(path / name, chance)
        _use(path, chance)
    finally:
        shutil.rmtree(path)
    return name


def _change(file: Path, chance: random.Random) -> None:
    """Change one file of a store."""
    content = file.read_bytes()
    if file.suffix == ".json" and chance.random() < 0.8:
        document = json.loads(content)
        for _ in range(chance.choice((1, 1, 2, 4))):
            _change_value(document, chance)
        file.write_text(json.dumps(document))
    elif file.suffix == ".jsonl" and chance.random() < 0.6:
        lines = [json.loads(line) for line in content.splitlines()]
        lines.append({chance.choice(("skipped", "appended", "index", "resumed", "lost")): 0})
        for _ in range(2):
            _change_value(lines, chance)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        file.write_bytes(_changed_bytes(content, chance))


def _change_value(document: object, chance: random.Random) -> None:
    """Put something odd in the place of a value, anywhere."""
    places = []
    waiting = [document]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        places += [(one, key) for key in keys]
        waiting += [one[key] for key in keys if isinstance(one[key], dict | list)]
    if not places:
        return
    inside, key = chance.choice(places)
    if chance.random() < 0.15:
        del inside[key]
    else:
        inside[key] = json.loads(json.dumps(chance.choice(ODD_VALUES)))


def _changed_bytes(content: bytes, chance: random.Random) -> bytes:
    """Change, add or cut off some bytes."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 3, 16))):
        place = chance.randrange(len(changed) + 1)
        what = chance.random()
        if what < 0.6 and place < len(changed):
            changed[place] = chance.choice((0, 255, chance.randrange(256)))
        elif what < 0.8:
            changed[place:place] = chance.randbytes(chance.choice((1, 8, 40)))
        else:
            del changed[place : place + chance.choice((1, 16, 1000))]
    return bytes(changed)


def _changed_text(text: str, chance: random.Random) -> str:
    """Change some words of a text."""
    words = text.split(" ")
    for _ in range(chance.choice((1, 2, 4))):
        odd = chance.choice(ODD_VALUES)
        marks = ("&a", "*a", "!!python/none", "<<:", "- -", "\t", ": :", "%", "2001-99-99", "0x")
        words[chance.randrange(len(words))] = chance.choice((*marks, repr(odd), "\n"))
    return " ".join(words)


def _use_settings(text: str) -> None:
    """Read settings and say whether they can be recorded."""
    aqz.validate_settings(aqz.StreamSettings.from_string(text))


def _use(path: Path, chance: random.Random) -> None:
    """Read a store in three of the ways that there are; some write."""
    ways = [validate_store, aqz.list_frames, aqz.read_frame_metadata, repair_store, _look, _read]
    chance.shuffle(ways)
    if chance.random() < 0.3:
        ways.insert(2, chance.choice((_resume, _repair, _transcode)))
    for way in ways[:3]:
        with contextlib.suppress(aqz.AqzError):
            way(path)


def _look(path: Path) -> None:
    with aqz.open_dataset(path) as dataset:
        assert "\x1b" not in repr(dataset)
        html = dataset._repr_html_()
        assert "\udc80" not in html
        html.encode()
        for image in dataset.images.values():
            image.metadata_rows()
            image.coordinates()


def _read(path: Path) -> None:
    reader = aqz.ZarrArrayReader(path / "0")
    with contextlib.suppress(IndexError):
        reader.read_plane(*(0 for _ in reader.shape[:-2]))


def _resume(path: Path) -> None:
    aqz.ZarrStream.resume(path).close()


def _repair(path: Path) -> None:
    repair_store(path, apply=True)


def _transcode(path: Path) -> None:
    made = path.with_name("made")
    try:
        aqz.transcode(path, made, threads=1)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _go_on(seconds: float, number: int) -> int:
    """Fuzz for some time, say what came out, and return how many inputs failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = originals(folder)
        end = time.monotonic() + seconds
        first, failures = number, 0
        while time.monotonic() < end:
            try:
                fuzz(number, stores, folder)
            except Exception as error:
                failures += 1
                trace = error.__traceback__
                while trace.tb_next is not None:
                    trace = trace.tb_next
                where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
                print(f"{number}: {error!r} at {where}", flush=True)
            number += 1
        print(f"{number - first} inputs, {failures} failures")
    return failures


if __name__ == "__main__":
    sys.exit(_go_on(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) > 0)
