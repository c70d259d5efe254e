"""Install a wheel and an sdist into empty environments and use them: python use_built.py dist.

Also runs the program as ``uv tool run`` (``uvx``) does. Needs uv.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LARGEST_WHEEL = 1 << 20
"""Bytes; the package is Python alone."""


def run(*command, folder):
    """Run a command; its failure ends this program."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=folder, check=True)


def check_wheel(wheel):
    """Check that a wheel suits every system, is small, and holds the packages with their data."""
    assert wheel.name.endswith("-py3-none-any.whl"), wheel.name
    assert wheel.stat().st_size < LARGEST_WHEEL, f"{wheel.stat().st_size} bytes"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for wanted in [
        "aqz_core/py.typed",
        "aqz_napari/py.typed",
        "aqz_napari/napari.yaml",
        "aqz_micromanager/py.typed",
    ]:
        assert wanted in names, f"{wheel.name} lacks {wanted}"
    top = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"aqz_core", "aqz_napari", "aqz_micromanager"}, top


def use(built, folder):
    """Install a file into an environment of its own; record and look at the result."""
    folder.mkdir()
    environment = folder / "env"
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    run("uv", "venv", "--quiet", "--python", sys.executable, environment, folder=folder)
    run("uv", "pip", "install", "--quiet", "--python", environment, built, folder=folder)
    run(scripts / "aqz", "demo", "--camera", "simulated", folder=folder)
    run(scripts / "aqz", "validate", "demo.ome.zarr", folder=folder)
    run(scripts / "python", "-c", "import aqz_core, aqz_micromanager, aqz_napari", folder=folder)


def main(dist):
    """Check and use what is in a directory."""
    [wheel] = dist.glob("*.whl")
    [sdist] = dist.glob("*.tar.gz")
    check_wheel(wheel)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        use(wheel, folder / "wheel")
        use(sdist, folder / "sdist")
        tool = ["uv", "tool", "run", "--python", sys.executable, "--from", wheel]
        run(*tool, "aqz", "demo", "--camera", "simulated", folder=folder)
    print(f"{wheel.name} ({wheel.stat().st_size} bytes) and {sdist.name} work")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
