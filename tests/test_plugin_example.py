"""The example of a plug-in: built, installed in an empty environment, and used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
EXAMPLE = CHECKOUT / "examples" / "aqz_plugin_example"

RECORD = """
import lzma, sqlite3, sys
import numpy as np
import aqz_core as aqz

frames = np.full((3, 8, 8), 7, "uint16")
frames[:, 2, 3] = 60000
array = aqz.ArraySettings(
    output_key="image", data_type=np.uint16,
    compression=aqz.PluginCompression("example.lzma"),
    dimensions=[
        aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1, shard_size_chunks=2),
        *(aqz.Dimension(name=n, kind=aqz.DimensionType.SPACE, array_size_px=8, chunk_size_px=8)
          for n in "yx"),
    ],
)
for path in ("plain.zarr", "sqlite://" + sys.argv[1] + "/store.sqlite"):
    with aqz.ZarrStream(aqz.StreamSettings(store_path=path, arrays=[array])) as stream:
        for frame in frames:
            stream.append(frame)
shard = open("plain.zarr/image/c/1/0/0", "rb").read()
offset, nbytes = np.frombuffer(shard[-36:-20], "<u8")  # first of two entries, and a checksum
chunk = np.frombuffer(lzma.decompress(shard[offset : offset + nbytes]), "<u2")
print(chunk.reshape(8, 8)[2, 3], aqz.validate_store("plain.zarr").is_valid)
rows = dict(sqlite3.connect("store.sqlite").execute("select name, length(data) from objects"))
print(sorted(name for name in rows if name.startswith("image/c/")))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter with the plug-in, aqz and what aqz needs, and no other plug-in.

    It takes some seconds: building and installing is what users do, so no part of it is staged.
    """
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, folder / "source")  # builds leave files beside it
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, source],
        check=True,
        timeout=100,
    )
    venv.create(folder / "venv", with_pip=False)
    interpreter = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    pip_there = [*pip, "--python", str(interpreter)]
    subprocess.run([*pip_there, "install", *offline, str(wheel)], check=True, timeout=100)
    site = next((folder / "venv" / "lib").glob("python*")) / "site-packages"
    paths = [CHECKOUT / "core", sysconfig.get_path("purelib")]
    (site / "aqz.pth").write_text("\n".join(map(str, paths)) + "\n", encoding="utf-8")
    return str(interpreter)


def run(python, folder, *arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={**kept, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_installed_plugin_is_listed(python, tmp_path):
    done = run(python, tmp_path, "-m", "aqz_core", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    plugins = {one["name"]: one for one in json.loads(done.stdout)["plugins"]}
    example = plugins["example"]
    assert example["distribution"] == "aqz-plugin-example 0.1.0"
    assert example["location"] == "aqz_plugin_example.hooks"
    assert example["offers"] == {"codec": ["example.lzma"], "URL scheme": ["sqlite"]}
    assert example["problems"] == []


def test_every_part_takes_part_in_a_recording(python, tmp_path):
    done = run(
        python,
        tmp_path,
        "-c",
        RECORD,
        str(tmp_path),
        AQZ_EXAMPLE_HOT_PIXELS="2,3",
        AQZ_EXAMPLE_DASHBOARD="1",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "7 True\n['image/c/0/0/0', 'image/c/1/0/0']\n"
    assert "3 frames are in" in done.stderr


def test_it_keeps_the_contracts(python, tmp_path):
    contracts = EXAMPLE / "tests" / "test_contracts.py"
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    arguments += [str(contracts), "-c", os.devnull]
    done = run(python, tmp_path, *arguments, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == 0, done.stdout
