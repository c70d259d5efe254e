"""``aqz info --json``: what a store holds, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aqz_core.cli.json_output import print_json
from aqz_core.cli.store_tree import StoreNode, read_tree
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path, without_password
from aqz_core.storage.lock import is_locked
from aqz_core.storage.spill import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.spill.folder import Manifest

__all__ = ["print_info"]


def print_info(store: str, s3: S3Settings | None = None) -> int:
    """Print the tree of a store as JSON and return the exit code: 1 when a node is unreadable.

    Raises
    ------
    SettingsError, StorageError
        There is no store, or it cannot be reached or read.
    """
    if is_local(store, s3) and (spill := read_manifest(local_path(store))) is not None:
        print_json(_spill(local_path(store), spill))
        return 0
    root = read_tree(store, s3)
    print_json({"store": without_password(store), **_node(root)})
    return 1 if any(node.problem for node in root.walk()) else 0


def _spill(path: Path, manifest: Manifest) -> dict[str, Any]:
    """Return what a spill says of itself."""
    return {
        "spill": str(path),
        "state": manifest.state,
        "began": manifest.began,
        "reason": manifest.reason,
        "in_use": is_locked(path),
    }


def _node(node: StoreNode) -> dict[str, Any]:
    """Return a node and all below it."""
    found: dict[str, Any] = {
        "path": "" if str(node.path) == "." else node.path.as_posix(),
        "kind": "unreadable" if node.problem else "group" if node.array is None else "array",
        "zarr_format": None if node.version is None else int(node.version),
        "files": node.files,
        "nbytes": node.nbytes,
        "attributes": dict(node.attributes),
    }
    if node.problem:
        found["problem"] = node.problem
    if (array := node.array) is not None:
        found |= {
            "shape": array.shape,
            "dtype": array.dtype.name,
            "axes": array.dimension_names,
            "chunks": array.chunk_shape,
            "shards": array.shard_shape,
            "codecs": array.codecs,
        }
    if node.members:
        found["members"] = [_node(member) for member in node.members]
    return found
