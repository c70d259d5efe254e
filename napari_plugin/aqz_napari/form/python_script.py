"""Settings as a Python script that records the same without a window."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING

import aqz_core as aqz

if TYPE_CHECKING:
    from aqz_core import StreamSettings

__all__ = ["settings_as_code", "settings_as_script"]

_WIDTH = 96

_SCRIPT = '''"""Records what the dock widget Record to Zarr records, with the same settings."""

import numpy as np

import aqz_core as aqz

settings = {settings}

# Put your camera here: anything that yields frames of {shape} pixels, {dtype}.
frames = (np.zeros({shape}, "{dtype}") for _ in range(10))

with aqz.ZarrStream(settings) as stream:
    for frame in frames:
        stream.append(frame{key})
'''


def settings_as_script(settings: StreamSettings) -> str:
    """Return a script that opens a stream with these settings and records ten empty frames."""
    array = settings.arrays[0]
    rows, columns = (dimension.array_size_px for dimension in array.dimensions[-2:])
    return _SCRIPT.format(
        settings=settings_as_code(settings),
        shape=(rows, columns),
        dtype=array.data_type.dtype.name,
        key=f", {array.output_key!r}" if len(settings.arrays) > 1 else "",
    )


def settings_as_code(settings: StreamSettings) -> str:
    """Return an expression that makes equal settings, given ``import aqz_core as aqz``.

    A password in the URL of the store is left out.
    """
    shown = copy.deepcopy(settings)
    shown.store_path = aqz.without_password(settings.store_path)
    tree = _Prefix().visit(ast.parse(repr(shown), mode="eval"))
    return _laid_out(tree.body, 0)


class _Prefix(ast.NodeTransformer):
    """Puts ``aqz.`` in front of the names of the engine."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in ("nan", "inf"):
            return ast.Call(ast.Name("float"), [ast.Constant(node.id)], [])
        return ast.Attribute(ast.Name("aqz"), node.id)


def _laid_out(node: ast.expr, indent: int) -> str:
    """Write an expression over as many lines as it needs."""
    flat = ast.unparse(node)
    if len(flat) + indent <= _WIDTH:
        return flat
    inner, pad = indent + 4, " " * (indent + 4)
    if isinstance(node, ast.Call):
        parts = [_laid_out(argument, inner) for argument in node.args]
        parts += [f"{word.arg}={_laid_out(word.value, inner)}" for word in node.keywords]
        opening, closing = f"{ast.unparse(node.func)}(", ")"
    elif isinstance(node, ast.List):
        parts = [_laid_out(element, inner) for element in node.elts]
        opening, closing = "[", "]"
    else:
        return flat
    body = "".join(f"{pad}{part},\n" for part in parts)
    return f"{opening}\n{body}{' ' * indent}{closing}"
