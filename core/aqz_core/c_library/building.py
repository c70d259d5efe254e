"""Builds the library, and lays it out as C and CMake programs find it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path
from string import Template

from aqz_core.c_library import INTERFACE
from aqz_core.errors import AqzError
from aqz_core.version import __version__

__all__ = ["API_VERSION", "build_library"]

API_VERSION = "0.10.0"
"""The acquire-zarr that the newest header is that of."""

HERE = Path(__file__).parent
INCLUDE = HERE / "include"
SOURCE = HERE / "source"

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

_FUNCTIONS = """
typedef struct { const ZarrStreamSettings *settings; size_t array_size; bool is_v0_5; } AqzSettings;
ZarrLogLevel Zarr_get_log_level(void);
bool engine_is_ours(void);
void aqz_log(int, const char *);
void aqz_note(int, const char *);
char *aqz_copy(const char *);
"""


def build_library(output: Path) -> list[Path]:
    """Build the library and its companions.

    Parameters
    ----------
    output : Path
        A folder, made if need be, with ``include`` and ``lib`` in it afterwards, as below
        ``/usr/local``. What an earlier build left there is replaced.

    Returns
    -------
    list of Path
        What was made.

    Raises
    ------
    AqzError
        Something is missing, or the compiler refuses; the message says what to do.
    """
    check_tools()
    lib = output / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        built = Path(compile_library(Path(folder), lib))
        library = lib / built.name
        library.unlink(missing_ok=True)  # programs that run keep the old one
        shutil.copy2(built, library)
    return [library, *_copy_headers(output / "include"), *_write_packages(lib, library)]


def check_tools() -> None:
    """Raise if this Python cannot build a library to be loaded by programs in C.

    Raises
    ------
    AqzError
        A package, the compiler, a header or the shared library of Python is missing.
    """
    missing = [name for name in ("cffi", "setuptools") if find_spec(name) is None]
    if missing:
        raise AqzError(
            f"{' and '.join(missing)} needed to build the library; install with python -m pip "
            'install ".[c]", in the folder that aqz was installed from'
        )
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if sys.platform != "win32" and shutil.which(compiler) is None:
        raise AqzError(
            f"there is no C compiler ({compiler}): install one (Debian and Ubuntu: apt install gcc "
            "libc6-dev; macOS: xcode-select --install), or name one in the variable CC"
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise AqzError(
            f"{header} is missing: install the headers of this Python (Debian and Ubuntu: apt "
            f"install libpython{_PYTHON}-dev)"
        )
    if sys.platform != "win32" and not (
        sysconfig.get_config_var("Py_ENABLE_SHARED") or sysconfig.get_config_var("PYTHONFRAMEWORK")
    ):
        raise AqzError(
            f"{sys.executable} has no shared library of Python, which programs in C would load: "
            "use the Python of the system, of conda or of uv, or one that was configured with "
            "--enable-shared"
        )


def declarations() -> str:
    """Return what Python sees of the headers: the types, without what only a compiler reads."""
    text = (INCLUDE / "zarr.types.h").read_text(encoding="utf-8")
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.DOTALL)
    return re.sub(r"^#.*\n", "", text, flags=re.MULTILINE) + _FUNCTIONS


def python_functions() -> str:
    """Return the functions that C calls in Python."""
    text = (SOURCE / "engine.h").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^extern (int python_.*;)$", text, flags=re.MULTILINE))


def compile_library(folder: Path, lib: Path) -> str:
    """Compile the library in a folder, to be installed in `lib`, and return its path."""
    from cffi import FFI
    from cffi.error import VerificationError

    ffi = FFI()
    ffi.cdef(declarations())
    ffi.cdef(f'extern "Python+C" {{ {python_functions()} }}')
    ffi.embedding_api("")
    ffi.embedding_init_code("import aqz_core.c_library.embedded")
    ffi.set_source(
        "_aqz_c_library",
        '#include "engine.h"',
        sources=[str(file) for file in sorted(SOURCE.glob("*.c"))],
        include_dirs=[str(INCLUDE), str(SOURCE)],
        define_macros=_macros(),
        **_flags(lib),
    )
    try:
        return str(ffi.compile(tmpdir=str(folder), target="libacquire_zarr.*"))
    except VerificationError as error:
        raise AqzError(f"the library could not be compiled: {error}") from error


def _macros() -> list[tuple[str, str | None]]:
    """Return what the sources know of this environment."""
    paths = dict.fromkeys(
        [str(HERE.parent.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    )
    return [
        ("_CFFI_NO_LIMITED_API", None),  # the start of Python is configured, which that lacks
        ("AQZ_INTERFACE", str(INTERFACE)),
        ("AQZ_API_VERSION", _c_text(API_VERSION)),
        ("AQZ_PYTHON_VERSION", _c_text(_PYTHON)),
        ("AQZ_BUILT_WITH", _c_text(sys.executable)),
        ("AQZ_BUILT_WITH_PATHS", _c_text("\n".join(paths))),
    ]


def _c_text(text: str) -> str:
    """Return a text as a string of C."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'


def _flags(lib: Path) -> dict[str, list[str]]:
    """Return what compiler and linker are told, by system."""
    if sys.platform == "win32":
        implib = f"/IMPLIB:{lib / 'acquire_zarr.lib'}"
        return {"extra_compile_args": ["/std:c11"], "extra_link_args": [implib]}
    python = sysconfig.get_config_var("LIBDIR")
    link = [f"-Wl,-rpath,{python}"]
    if sys.platform == "darwin":
        link.append("-Wl,-install_name,@rpath/libacquire_zarr.dylib")
    else:
        link += ["-Wl,-soname,libacquire_zarr.so", "-Wl,-z,nodelete", "-ldl", "-lpthread"]
    return {"extra_compile_args": ["-std=gnu11", "-fvisibility=hidden"], "extra_link_args": link}


def _copy_headers(include: Path) -> list[Path]:
    """Copy the headers of both generations."""
    copied = []
    for header in sorted(INCLUDE.rglob("*.h")):
        target = include / header.relative_to(INCLUDE)
        target.parent.mkdir(parents=True, exist_ok=True)
        copied.append(Path(shutil.copyfile(header, target)))
    return copied


def _write_packages(lib: Path, library: Path) -> list[Path]:
    """Write what pkg-config and CMake look for; all of it may be moved together."""
    names = {"version": API_VERSION, "library": library.name, "aqz_version": __version__}
    written = []
    for template in sorted((HERE / "packages").glob("*.in")):
        name = template.name.removesuffix(".in")
        folder = lib / ("pkgconfig" if name.endswith(".pc") else "cmake/acquire-zarr")
        folder.mkdir(parents=True, exist_ok=True)
        text = Template(template.read_text(encoding="utf-8")).substitute(names)
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written
