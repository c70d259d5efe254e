"""Draws the layers of the engine, and a frame's way through it, into docs/architecture.md.

    python docs/draw_architecture.py            rewrite the drawings
    python docs/draw_architecture.py --figures  count modules, layers, circles and lines

Both are read from the code: imports with ``ast``, type-only and lazy ones too, and every step of
the frame's way must be a call that is really there. A test holds the page current.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from itertools import pairwise
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
CORE = CHECKOUT / "core" / "aqz_core"
PAGE = CHECKOUT / "docs" / "architecture.md"

LAYERS = [
    ["cli", "testing"],
    ["c_library"],
    ["compat"],
    ["aqz_core"],
    ["open_stream", "transcoding"],
    ["stream", "upload", "dataset"],
    ["recovery", "recording"],
    ["reading", "pipeline"],
    ["chunks"],
    ["planning", "processors"],
    ["plugins"],
    ["storage"],
    ["settings"],
    ["codecs", "metadata", "downsampling"],
    ["display", "enums", "errors", "events", "log_level", "version"],
]
"""Packages and modules of the engine from top to bottom. A module imports what is below its own
layer, or in its own package; the packages of one layer do not know each other, except in the last,
the vocabulary."""

FACADE = "get_maximum_memory_usage"
"""The one function that may import upwards: acquire-zarr's settings answer for what is planned."""

FRAME = [
    ("stream.py", "append", "append"),
    ("recording/array.py", "append", "put"),
    ("pipeline/layer.py", "scatter", "scatter"),
    ("pipeline/intake.py", "end_run", "hand_over_complete"),
    ("pipeline/level_writer.py", "hand_over_complete", "hand_over"),
    ("pipeline/layer_jobs.py", "_store_batch", "put"),
    ("chunks/sharded_chunks.py", "put", "add_batch"),
    ("chunks/growing_shard.py", "add_batch", "write_at"),
]
"""File, method, and what it calls on a frame's way to the disk."""

READERS = [
    ("recording/session.py", "_publish", "publish"),
    ("recording/publishing.py", "publish", "advance"),
    ("pipeline/level_writer.py", "advance", "expose"),
    ("chunks/sharded_chunks.py", "expose", "write_index"),
    ("chunks/growing_shard.py", "write_index", "write_at"),
    ("recording/publishing.py", "_publish", "grow"),
    ("recording/array_metadata.py", "grow", "write"),
]
"""The same for what readers see."""


def modules(package: Path = CORE) -> dict[str, Path]:
    """Return the files of a package by module name."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def engine_imports() -> dict[str, set[str]]:
    """Return what each module of the engine imports, type-only and lazy imports too."""
    files = modules()
    graph = {}
    for module, file in files.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                node.body = [one for one in node.body if getattr(one, "name", "") != FACADE]
        named = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                one = node.module or ""
                named |= {
                    f"{one}.{alias.name}" if f"{one}.{alias.name}" in files else one
                    for alias in node.names
                }
        graph[module] = (named & set(files)) - {module}
    return graph


def layer_of(module: str) -> tuple[int, str]:
    """Return the position of a module's layer, and the name by which `LAYERS` has it."""
    name = module.split(".")[1] if "." in module else module
    name = "cli" if name == "__main__" else name
    return next(n for n, layer in enumerate(LAYERS) if name in layer), name


def climbing() -> list[str]:
    """Return the imports that do not go down the layers."""
    return sorted(
        f"{module} imports {target}"
        for module, targets in engine_imports().items()
        for target in targets
        if layer_of(target)[0] <= layer_of(module)[0] < len(LAYERS) - 1
        and layer_of(target)[1] != layer_of(module)[1]
    )


def packages() -> dict[str, set[str]]:
    """Return what each package imports, the vocabulary left out."""
    vocabulary = set(LAYERS[-1])
    graph: dict[str, set[str]] = {}
    for module, targets in engine_imports().items():
        own = layer_of(module)[1]
        below = {layer_of(target)[1] for target in targets} - vocabulary - {own}
        if own not in vocabulary:
            graph.setdefault(own, set()).update(below)
    return graph


def drawing_of_layers() -> str:
    """Return a drawing of the packages; arrows that follow from others are left out."""
    graph = packages()
    lines = ["flowchart TD"]
    for layer in LAYERS[:-1]:
        lines += [f'    {name}["{_owns(name)}"]' for name in layer]
    for name in (name for layer in LAYERS[:-1] for name in layer):
        reached = {far for near in graph[name] for far in _all_below(graph, near)}
        lines += [f"    {name} --> {below}" for below in sorted(graph[name] - reached)]
    return "\n".join(lines)


def _owns(name: str) -> str:
    """Return a package's name with the first sentence of its docstring."""
    file = CORE / f"{name}.py"
    if name == "aqz_core":
        return "<b>aqz_core</b><br/>the public names"
    if not file.exists():
        file = CORE / name / "__init__.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).rstrip(".")
    sentence = sentence.replace('"', "'").replace("`", "")
    return f"<b>{name}</b><br/>{sentence}"


def _all_below(graph: dict[str, set[str]], name: str) -> set[str]:
    """Return everything that a package imports, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def drawing_of_a_way(steps: list[tuple[str, str, str]]) -> str:
    """Return a drawing of calls, each of which must be in the code.

    Raises
    ------
    ValueError
        A method does not call what the next step says.
    """
    lines = ["flowchart TD"]
    for number, (file, method, call) in enumerate(steps):
        if call not in _calls(CORE / file, method):
            raise ValueError(f"{file}: {method} does not call {call}")
        lines.append(f'    s{number}["{file}<br/><b>{method}</b>"]')
    lines.append(f'    s{len(steps)}["storage/<br/><b>{steps[-1][2]}</b>"]')
    calls = [call for _, _, call in steps]
    for (number, _), call in zip(pairwise(range(len(steps) + 1)), calls, strict=True):
        lines.append(f'    s{number} -- "{call}" --> s{number + 1}')
    return "\n".join(lines)


def _calls(file: Path, method: str) -> set[str]:
    """Return the names that a method, and its helpers in the same file, call or hand on."""
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    found: set[str] = set()
    waiting = [method]
    while waiting:
        body = functions[waiting.pop()]
        named = {node.attr for node in ast.walk(body) if isinstance(node, ast.Attribute)}
        waiting += [name for name in named - found if name in functions and name != method]
        found |= named
    return found


def page(text: str) -> str:
    """Return the page with current drawings."""
    drawings = {
        "layers": drawing_of_layers(),
        "frame": drawing_of_a_way(FRAME),
        "readers": drawing_of_a_way(READERS),
    }
    for name, drawing in drawings.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        text = f"{before}{begin}\n\n```mermaid\n{drawing}\n```\n\n{end}{after}"
    return text


def figures() -> dict[str, int]:
    """Count what tells how large the engine is, and how deep."""
    floors: dict[str, int] = {}
    graph = packages()
    for name in graphlib.TopologicalSorter(graph).static_order():
        floors[name] = 1 + max((floors[below] for below in graph[name]), default=0)
    classes = {
        f"{module}.{node.name}": sum(isinstance(one, ast.FunctionDef) for one in node.body)
        for module, file in modules().items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    largest = max(classes, key=classes.__getitem__)
    return {
        "modules at the root": len(list(CORE.glob("*.py"))),
        "packages at the root": len(
            [one for one in CORE.iterdir() if (one / "__init__.py").exists()]
        ),
        "floors of packages, above the vocabulary": max(floors.values()),
        "imports that climb": len(climbing()),
        f"methods of the largest class ({largest})": classes[largest],
        "lines": sum(len(file.read_text("utf-8").splitlines()) for file in modules().values()),
    }


if __name__ == "__main__":
    if "--figures" in sys.argv:
        for what, count in figures().items():
            print(f"{count:7,}  {what}")
    else:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
