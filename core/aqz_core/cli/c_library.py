"""``aqz c-library``: builds the library for programs in C, and says how to use it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from aqz_core.c_library.building import build_library

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build"]


def build(output: Path) -> int:
    """Build the library below a folder and return the exit code.

    Parameters
    ----------
    output : Path
        Made if need be.

    Raises
    ------
    AqzError
        Something is missing, or the compiler refuses.
    """
    folder = output.resolve()
    for made in build_library(folder):
        typer.echo(made)
    packages = shlex.quote(str(folder / "lib" / "pkgconfig"))
    typer.echo(
        "\nCompile programs with\n"
        f"  export PKG_CONFIG_PATH={packages}\n"
        "  cc program.c $(pkg-config --cflags --libs acquire-zarr)\n"
        "or with CMake: find_package(acquire-zarr), target_link_libraries(... "
        "acquire-zarr::acquire-zarr), and\n"
        f"  cmake -DCMAKE_PREFIX_PATH={shlex.quote(str(folder))} ...\n"
        "Programs for acquire-zarr 0.5 use acquire-zarr-0.5 in place of acquire-zarr."
    )
    return 0
