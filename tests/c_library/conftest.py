"""The library, built once by its command, and programs compiled against it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples" / "c"
PROGRAMS = Path(__file__).parent / "programs"

COMPILERS = {
    "c11": ["gcc", "-std=c11", "-D_GNU_SOURCE"],
    "c++17": ["g++", "-x", "c++", "-std=c++17"],
}
STRICT = ["-Wall", "-Wextra", "-Werror", "-g"]


class Library(NamedTuple):
    """A folder that ``aqz c-library`` filled."""

    folder: Path

    @property
    def path(self):
        """The library itself."""
        return next((self.folder / "lib").glob("libacquire_zarr.*"))

    def compile(self, source, target, language="c11", generation="", flags=()):
        """Compile a program as pkg-config says."""
        package = "acquire-zarr" + generation
        env = {**os.environ, "PKG_CONFIG_PATH": str(self.folder / "lib" / "pkgconfig")}
        told = subprocess.run(
            ["pkg-config", "--cflags", "--libs", package],
            check=True,
            capture_output=True,
            text=True,
            env=env,
        ).stdout.split()
        command = [*COMPILERS[language], *STRICT, *flags, str(source), "-o", str(target)]
        done = subprocess.run(
            [*command, "-x", "none", *told, "-pthread", "-ldl"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return target

    def run(self, source, folder, *arguments, env=None, code=0, **options):
        """Compile a program, run it in a folder, and return what it printed."""
        program = self.compile(source, folder / source.stem, **options)
        return run(program, folder, *arguments, env=env, code=code)


def run(program, folder, *arguments, env=None, code=0):
    """Run a program and return what it did."""
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def build(folder, **variables):
    """Run the command."""
    subprocess.run(
        [sys.executable, "-m", "aqz_core", "c-library", "--output", str(folder)],
        check=True,
        capture_output=True,
        timeout=100,
        env={**os.environ, **variables},
    )
    return Library(folder)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The library of this environment."""
    if sys.platform == "win32":
        pytest.skip("the programs are for POSIX")
    for tool in ("gcc", "g++", "pkg-config"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt-get install gcc g++ pkg-config")
    return build(tmp_path_factory.mktemp("library"))
