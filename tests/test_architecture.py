"""Rules of the source tree: who may import whom, and what stays unloaded."""

from __future__ import annotations

import ast
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from docs import draw_architecture

CHECKOUT = Path(__file__).parent.parent
CORE = CHECKOUT / "core" / "aqz_core"
PLUGINS = [
    CHECKOUT / "napari_plugin" / "aqz_napari",
    CHECKOUT / "micromanager_hook" / "aqz_micromanager",
]
NEVER_IN_CORE = {
    "aqz_micromanager",
    "aqz_napari",
    "magicgui",
    "napari",
    "pycromanager",
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "qtpy",
    "tensorstore",
    "zarr",
}
LOADED_WHEN_NEEDED = [
    "cffi",
    "dask",
    "distributed",
    "fsspec",
    "mm_test_adapters",
    "pandas",
    "pymmcore",
    "rich",
    "s3fs",
    "tifffile",
    "typer",
    "xarray",
    "yaml",
]


def sources(package):
    """Every Python file of a package, by its path in the checkout."""
    files = sorted(package.rglob("*.py"))
    assert files, f"{package} has no Python files"
    return [pytest.param(file, id=str(file.relative_to(CHECKOUT))) for file in files]


def imports(tree):
    """Yield module, name (None for a whole module) and line of every import in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.module or "", alias.name, node.lineno


def dynamic_imports(tree):
    """Yield module and line of every import_module("...") and __import__("...")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value), node.lineno


@pytest.mark.parametrize("file", sources(CORE))
def test_the_engine_knows_no_viewer_no_plugin_and_no_other_zarr(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {
        (module, line)
        for module, _, line in imports(tree)
        if module.partition(".")[0] in NEVER_IN_CORE
    }
    # The demo's verification borrows zarr-python, by name, where it is installed.
    borrows = {"zarr"} if file == CORE / "cli" / "verification.py" else set()
    found |= {
        (module, line)
        for module, line in dynamic_imports(tree)
        if module.partition(".")[0] in NEVER_IN_CORE - borrows
    }
    assert not found


def test_imports_go_down_the_layers():
    assert draw_architecture.climbing() == []


def test_no_circle_of_imports():
    graphlib.TopologicalSorter(
        draw_architecture.engine_imports()
    ).prepare()  # raises CycleError, which names one


def test_the_drawings_show_the_code():
    text = draw_architecture.PAGE.read_text(encoding="utf-8")
    assert text == draw_architecture.page(text), "run: python docs/draw_architecture.py"


@pytest.mark.parametrize("file", [file for plugin in PLUGINS for file in sources(plugin)])
def test_plugins_use_public_names_only(file):
    """``import aqz_core`` and ``from aqz_core import Name``, with Name in ``__all__``."""
    public = set(importlib.import_module("aqz_core").__all__)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "aqz_core"
    }
    private = [
        (module, name, line)
        for module, name, line in imports(tree)
        if module.partition(".")[0] == "aqz_core"
        and (module != "aqz_core" or (name is not None and name not in public))
    ]
    private += [
        (node.value.id, node.attr, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in aliases
        and node.attr not in public
    ]
    assert not private


def test_importing_the_engine_loads_nothing_it_may_not_need():
    unwanted = sorted(NEVER_IN_CORE | set(LOADED_WHEN_NEEDED))
    code = f"import sys, aqz_core; print([n for n in {unwanted} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    aqz = importlib.import_module("aqz_core")
    assert [name for name in aqz.__all__ if not hasattr(aqz, name)] == []


@pytest.mark.parametrize("package", [CORE, *PLUGINS], ids=lambda path: path.name)
def test_packages_carry_their_types(package):
    assert (package / "py.typed").is_file()


NAPARI = CHECKOUT / "napari_plugin" / "aqz_napari"
FLOORS = {"sources": 0, "recorder": 1, "form": 2, "ome_zarr": 3, "widget": 4}


@pytest.mark.parametrize("file", sources(NAPARI))
def test_rooms_of_the_napari_plugin_import_downwards_only(file):
    room = file.relative_to(NAPARI).parts[0]
    if room not in FLOORS:
        return  # the package itself, which offers the public names
    tree = ast.parse(file.read_text(encoding="utf-8"))
    upwards = [
        (module, line)
        for module, _, line in imports(tree)
        if module.startswith("aqz_napari.") and FLOORS[module.split(".")[1]] > FLOORS[room]
    ]
    assert not upwards
    assert "aqz_napari" not in [module for module, _, _ in imports(tree)]


def test_files_of_the_napari_plugin_import_in_no_circle():
    arrows = {}
    for file in sorted(NAPARI.rglob("*.py")):
        module = ".".join(file.relative_to(NAPARI.parent).with_suffix("").parts)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        arrows[module] = {name for name, _, _ in imports(tree) if name.startswith("aqz_napari.")}
    left = set(arrows)
    while free := {module for module in left if not arrows[module] & left}:
        left -= free
    assert not left


@pytest.mark.parametrize("file", sources(CORE))
def test_few_modules_know_which_system_it_is(file):
    compiler = CORE / "c_library" / "building.py"
    if file in (CORE / "storage" / "platform.py", CORE / "settings" / "file_names.py", compiler):
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    asked = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not asked & {"os.name", "sys.platform", "platform.system"}
