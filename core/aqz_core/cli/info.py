"""``aqz info``: what a store holds, as a tree on the terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.tree import Tree

from aqz_core.cli.spill import show_spill
from aqz_core.cli.store_tree import StoreNode, is_deserted, read_tree
from aqz_core.cli.wording import open_console, plain, write_bytes, write_codecs, write_shape
from aqz_core.enums import ZarrVersion
from aqz_core.recovery.report import malformed_ome
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path, without_password
from aqz_core.storage.spill import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aqz_core.settings.s3 import S3Settings

__all__ = ["draw_picture", "show_info"]

_MOST_ROWS = 24
"""Images that are drawn: more are no longer a picture."""


def show_info(store: str, s3: S3Settings | None = None) -> int:
    """Print the tree of a store and return the exit code: 1 when it is damaged or incomplete.

    Raises
    ------
    SettingsError, StorageError
        The store itself is none, or cannot be reached or read.
    """
    if is_local(store, s3) and (spill := read_manifest(local_path(store))) is not None:
        return show_spill(local_path(store), spill)
    deserted = is_deserted(store, s3)  # before the tree: a stream that closes now says "complete"
    root = read_tree(store, s3)
    tree = Tree(_label(root, without_password(store), {}))
    _grow(tree, root)
    console = open_console()
    console.print(tree)
    if deserted and any(_state(node) == "recording" for node in root.walk()):
        console.print(
            "[yellow]the recording ended before it was closed[/]; `aqz repair` finishes the store, "
            "and ZarrStream.resume resumes it"
        )
    problems = [node for node in root.walk() if node.problem]
    if problems:
        console.print(f"[red]{len(problems)} of the nodes cannot be read[/]")
    lacking = sum(bool(node.lacks) for node in root.walk())
    if lacking:
        console.print(f"[red]{lacking} of the nodes are not complete[/]; `aqz validate` says more")
    return 1 if problems or lacking else 0


def draw_picture(store: str, s3: S3Settings | None, path: Path) -> None:
    """Draw the images of a store into a PNG file.

    Raises
    ------
    StorageError
        The store has no image that can be read.
    """
    from aqz_core.dataset.opening import open_dataset
    from aqz_core.dataset.picture import contact_sheet, png

    with open_dataset(store, s3=s3) as dataset:
        images = list(dataset.images.values())
        path.write_bytes(png(contact_sheet(images[:_MOST_ROWS])))
    if len(images) > _MOST_ROWS:
        sys.stderr.write(f"{path}: the first {_MOST_ROWS} of {len(images)} images are drawn\n")


def _grow(tree: Tree, node: StoreNode) -> None:
    """Add the members of a node to its branch of the tree."""
    scales = _read_ome(node).scales
    for member in node.members:
        _grow(tree.add(_label(member, member.path.name, scales)), member)


def _label(node: StoreNode, name: str, scales: Mapping[str, str]) -> str:
    """Return the lines that describe a node; `scales` are those its group tells of."""
    lines = [f"{_kind(node)}", *_array_lines(node), *_read_ome(node).lines]
    if node.path.name in scales:
        lines.append(f"scale {scales[node.path.name]}")
    if (state := _state(node)) is not None:
        lines.append(f"state {state}")
    others = sorted(set(node.attributes) - node.format.reserved)
    if others:
        lines.append(f"attributes {', '.join(others)}")
    lines += node.lacks
    return f"[bold]{plain(name)}[/]  " + "\n".join(plain(line) for line in lines)


def _state(node: StoreNode) -> object:
    """Return the state of the recording that a node tells of; None where it tells of none."""
    aqz = node.attributes.get("aqz")
    return aqz.get("state") if isinstance(aqz, dict) else None


def _kind(node: StoreNode) -> str:
    """Return what a node is and how big."""
    size = f"{write_bytes(node.nbytes)} in {node.files} file{'' if node.files == 1 else 's'}"
    if node.problem:
        return f"unreadable: {node.problem}"
    if node.array is not None:
        return f"array {node.array.dtype} {write_shape(node.array.shape)}, {size}{_format(node)}"
    version = _read_ome(node).version
    return f"group{f', OME-NGFF {version}' if version else ''}, {size}{_format(node)}"


def _format(node: StoreNode) -> str:
    """Return the format of a node where it is not the usual one."""
    return ", Zarr V2" if node.version is ZarrVersion.V2 else ""


def _array_lines(node: StoreNode) -> Iterator[str]:
    """Yield the lines about an array's axes, chunks, shards and codecs."""
    if node.array is None:
        return
    array = node.array
    if any(array.dimension_names):
        yield f"axes {' '.join(name or '?' for name in array.dimension_names)}"
    shards = "no shards"
    if array.shard_shape is not None:
        place = "end" if array.index_at_end else "start"
        shards = f"shards {write_shape(array.shard_shape)} (index at the {place})"
    yield f"chunks {write_shape(array.chunk_shape)}, {shards}, codec {write_codecs(array)}"


@dataclass(frozen=True, slots=True)
class _OmeDescription:
    """What the OME metadata of a node say: version, lines to print, scales by array."""

    version: str | None = None
    lines: tuple[str, ...] = ()
    scales: Mapping[str, str] = field(default_factory=dict)


def _read_ome(node: StoreNode) -> _OmeDescription:
    """Return what there is to say about a node's OME metadata, whoever wrote them."""
    ome = node.format.ome_in(node.attributes)
    if ome is None:
        return _OmeDescription()
    try:
        images = ome.get("multiscales", ())
        lines = [
            f"image {image.get('name', '')!r}: axes {', '.join(map(_axis, image['axes']))}"
            for image in images
        ]
        if "plate" in ome:
            wells = len(ome["plate"]["wells"])
            lines.append(f"plate {ome['plate'].get('name', '')!r}: {wells} wells")
        scales = {
            dataset["path"]: " x ".join(f"{number:g}" for number in transform["scale"])
            for image in images
            for dataset in image["datasets"]
            for transform in dataset["coordinateTransformations"]
            if transform["type"] == "scale"
        }
        # NGFF 0.5 has its version beside the images, 0.4 in each.
        version = next((image.get("version") for image in images), None)
        return _OmeDescription(version or ome.get("version"), tuple(lines), scales)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return _OmeDescription(lines=(malformed_ome(error),))


def _axis(axis: Mapping[str, Any]) -> str:
    """Return an axis as in ``"y (space, micrometer)"``."""
    notes = ", ".join(str(axis[key]) for key in ("type", "unit") if axis.get(key))
    return f"{axis['name']}{f' ({notes})' if notes else ''}"
