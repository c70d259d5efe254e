"""Every example compiles without a warning, as C and as C++, and other readers read its store."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.c_library.conftest import COMPILERS, EXAMPLES, run
from tests.s3 import fault_endpoint
from tests.support.decoders import DECODERS
from tests.support.validators import assert_valid_ngff, validate_with_yaozarrs


def exposures(frames, height, width):
    """What the examples' camera sends."""
    number, y, x = np.ogrid[:frames, :height, :width]
    return (number * 1000 + y * 10 + x).astype("uint16")


def with_lost_frame():
    """Two frames, one that was lost, and the first again."""
    seen = exposures(2, 32, 32)
    return np.stack([seen[0], seen[1], np.zeros_like(seen[0]), seen[0]])


# Arrays by key, with their pixels.
STORES = {
    "raw": {"camera": exposures(10, 48, 64)},
    "compressed": {"camera": exposures(12, 48, 64).reshape(4, 3, 48, 64)},
    "multiscale": {"0": exposures(6, 96, 128)},
    "several_arrays": {
        "sample/brightfield": exposures(5, 48, 64),
        "sample/fluorescence": with_lost_frame(),
    },
    "plate": {
        "experiment/A/1/fov1/0": exposures(3, 64, 64),
        "experiment/B/3/fov1/0": exposures(2, 64, 64),
    },
}


def test_every_example_is_run():
    assert {file.stem for file in EXAMPLES.glob("*.c")} == {*STORES, "s3", "v0_5"}


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("language", COMPILERS)
def test_example(library, tmp_path, name, language):
    done = library.run(EXAMPLES / f"{name}.c", tmp_path, language=language)
    assert done.stderr == ""
    for key, pixels in STORES[name].items():
        for read in DECODERS.values():
            np.testing.assert_array_equal(read(tmp_path / f"{name}.zarr", key), pixels)
    if name in CHECKS:
        CHECKS[name](tmp_path / f"{name}.zarr")


def check_pyramid(store):
    """The image of the example is valid, and its levels are means."""
    assert_valid_ngff(store)
    mean = exposures(6, 96, 128).reshape(6, 48, 2, 64, 2).sum(axis=(2, 4)) // 4
    np.testing.assert_array_equal(DECODERS["tensorstore"](store, "1"), mean)


CHECKS = {
    "multiscale": check_pyramid,
    "plate": lambda store: validate_with_yaozarrs(store / "experiment"),
}


@pytest.mark.parametrize("language", COMPILERS)
def test_program_for_0_5(library, tmp_path, language):
    done = library.run(EXAMPLES / "v0_5.c", tmp_path, language=language, generation="-0.5")
    assert "acquire.json already" in done.stderr
    store = tmp_path / "v0_5.zarr"
    assert json.loads((store / "acquire.json").read_text()) == {"objective": "20x"}
    assert json.loads((store / "first" / ".zarray").read_text())["shape"] == [2, 16, 16]
    stored = DECODERS["zarr-python"](store, "second")
    pixels = np.arange(256, dtype="uint8").reshape(16, 16)
    np.testing.assert_array_equal(stored, np.stack([pixels + 1, pixels + 3]))


def test_object_store(library, tmp_path):
    """Connections that the service closes, which raise SIGPIPE, do not end the program."""
    program = library.compile(EXAMPLES / "s3.c", tmp_path / "s3")
    env = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "NO_PROXY": "127.0.0.1",
    }
    with fault_endpoint.running() as service:
        service.fail("reset", "PUT", times=2)
        run(program, tmp_path, service.endpoint, "bucket", "data/s3.zarr", env=env)
        found = service.objects
    for name, body in found.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    stored = DECODERS["zarr-python"](tmp_path / "data" / "s3.zarr", "0")
    np.testing.assert_array_equal(stored, exposures(9, 64, 64))
