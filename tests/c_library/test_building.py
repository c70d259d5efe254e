"""``aqz c-library``: what it makes can be found, moved and looked into; what lacks is said."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from aqz_core.c_library import building
from aqz_core.cli import main
from aqz_core.errors import AqzError
from tests.c_library.conftest import COMPILERS, EXAMPLES, build, run


def test_cmake_finds_both_generations_in_a_folder_that_moved(library, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed: apt-get install cmake")
    moved = shutil.copytree(library.folder, tmp_path / "moved")
    configure = ["cmake", "-S", EXAMPLES, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={moved}"]
    subprocess.run(configure, check=True, capture_output=True)
    wanted = ["cmake", "--build", tmp_path, "--target", "raw", "v0_5"]
    subprocess.run(wanted, check=True, capture_output=True)
    run(tmp_path / "raw", tmp_path)
    assert (tmp_path / "raw.zarr" / "camera" / "zarr.json").is_file()


@pytest.mark.usefixtures("library")  # which looks for compilers
def test_sanitizers_find_nothing(tmp_path):
    """The whole library instrumented; what Python itself never frees is not looked at."""
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all -g"
    library = build(tmp_path / "library", CFLAGS=flags, LDFLAGS=flags)
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    options = {"flags": flags.split(), "env": env}
    for name in ("multiscale", "plate"):
        library.run(EXAMPLES / f"{name}.c", tmp_path, **options)
    library.run(EXAMPLES / "v0_5.c", tmp_path, generation="-0.5", **options)


def exported(library):
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(library.path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {line.split()[2].partition("@")[0] for line in listed.splitlines()}


@pytest.mark.skipif(sys.platform != "linux", reason="nm lists dynamic symbols of ELF files")
def test_library_has_what_the_headers_declare_and_nothing_else(library):
    declared = set()
    for header in building.INCLUDE.rglob("acquire.zarr.h"):
        text = header.read_text()
        renamed = dict(re.findall(r"#define (Zarr\w+) (Zarr\w+)", text))
        names = set(re.findall(r"AQZ_API [^;]*?(Zarr\w+)\(", text))
        declared |= {renamed.get(name, name) for name in names}
    assert exported(library) - {"PyInit__aqz_c_library"} == declared


def test_headers_stand_alone(library, tmp_path):
    for language, command in COMPILERS.items():
        for folder in ("include", "include/acquire-zarr-0.5"):
            source = tmp_path / f"{language}.c"
            source.write_text('#include "acquire.zarr.h"\n#include "acquire.zarr.h"\n')
            checked = [*command, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
            subprocess.run([*checked, f"-I{library.folder / folder}", source], check=True)


def test_missing_parts_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    assert main(["c-library", "--output", str(tmp_path)]) == 1
    assert "there is no C compiler (no-such-compiler): install one" in capsys.readouterr().err
    monkeypatch.delenv("CC")
    monkeypatch.setattr(building, "find_spec", lambda name: None)
    with pytest.raises(AqzError, match=r'cffi and setuptools .* pip install "\.\[c\]"'):
        building.check_tools()
