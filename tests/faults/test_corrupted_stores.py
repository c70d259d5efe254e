"""Damaged stores: checked, repaired and resumed without a crash, a hang, or a lost pixel."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.errors import AqzError
from aqz_core.recovery import repair_store, validate_store
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

FRAMES = 11


METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
PLAN = ArrayPlan(axes=axes("tyx", (0, 24, 16), (2, 8, 8), (2, 2, 2)), method="MEAN")


def record(store, codec, version, *, close):
    plan = StreamPlan((replace(PLAN, codec=codec),), {"version": aqz.ZarrVersion[version]})
    stream = aqz.ZarrStream(settings_for(aqz, plan, store))
    for number in range(FRAMES):
        stream.append(np.full((24, 16), number + 1, "uint16"), metadata={"number": number})
    stream.flush()
    if close:
        stream.close()
    return stream


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Stores to damage: finished and interrupted, with a codec and without."""
    folder = tmp_path_factory.mktemp("originals")
    for codec, version in product(("none", "blosc-lz4"), ("V3", "V2")):
        record(folder / f"{codec}-{version}-closed", codec, version, close=True)
        stream = record(folder / "open", codec, version, close=False)
        shutil.copytree(folder / "open", folder / f"{codec}-{version}-interrupted")
        stream.close()
        shutil.rmtree(folder / "open")
    return sorted(folder.iterdir())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(value, path=()):
    """Yield the path to everything in a JSON document."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def put(document, path, value):
    if not path:
        return value
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def is_json(content):
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def damage(data, store):
    """Do one thing to one file of a store; return whether pixels may have been hurt."""
    files = sorted(file for file in store.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    ways = ["cut", "flip", "remove", "empty", "foreign", "grow"]
    if file.name in METADATA and is_json(content):
        ways += ["value", "value", "value", "value"]
    way = data.draw(st.sampled_from(ways))
    if way == "cut":
        file.write_bytes(content[: data.draw(st.integers(0, max(0, len(content) - 1)))])
    elif way == "flip" and content:
        place = data.draw(st.integers(0, len(content) - 1))
        flipped = bytearray(content)
        flipped[place] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(flipped)
    elif way == "remove":
        file.unlink()
    elif way == "empty":
        file.write_bytes(b"")
    elif way == "grow":
        file.write_bytes(content + data.draw(st.binary(min_size=1, max_size=40)))
    elif way == "foreign":
        name = data.draw(st.sampled_from(["x", "c.aqz-partial", "zarr.json.aqz-partial", "7"]))
        (file.parent / name).write_bytes(data.draw(st.binary(max_size=9)))
    elif way == "value":
        document = json.loads(content)
        path = data.draw(st.sampled_from(list(places(document))))
        file.write_text(json.dumps(put(document, path, data.draw(JSON))))


def chunk_bytes(store):
    """Return the bytes of every file that may hold pixels."""
    return {
        file: file.read_bytes()
        for file in store.rglob("*")
        if file.is_file() and file.name not in METADATA and file.suffix != ".jsonl"
    }


def assert_nothing_lost(before, store):
    """Every byte that was there is there, in its place; only index blocks may have changed."""
    for file, content in before.items():
        if not content or file.name in ("zarr.json.aqz-partial",):
            continue
        now = file.read_bytes()
        assert len(now) >= len(content)
        index = 16 * 8 + 4
        assert now[index : len(content)] == content[index:], file


@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_is_reported_and_never_made_worse(originals, data):
    original = data.draw(st.sampled_from(originals))
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s"
        shutil.copytree(original, store)
        for _ in range(data.draw(st.integers(1, 2))):
            damage(data, store)
        json.dumps(validate_store(store).to_dict())
        before = chunk_bytes(store)
        assert repair_store(store).applied is False
        assert chunk_bytes(store) == before
        repair_store(store, apply=True)
        assert_nothing_lost(before, store)
        json.dumps(validate_store(store).to_dict())
        again = repair_store(store)
        assert not [action for action in again.actions if "index" in action.what]
        try:
            stream = aqz.ZarrStream.resume(store)
        except AqzError:
            return
        stream.append(np.full(stream._session.plan.arrays[0].frame_shape, 99, "uint16"))
        stream.close()


def test_what_is_no_store_is_refused(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        if path.exists():
            assert not validate_store(path).is_valid
            assert repair_store(path).actions == ()
        else:
            with pytest.raises(AqzError, match="no such directory"):
                validate_store(path)
        with pytest.raises(AqzError):
            aqz.ZarrStream.resume(path)
