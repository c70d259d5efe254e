"""Independent readers of a stored array: zarr-python, TensorStore, zarrs and zarrita.

Every reader takes the store's path and the array's key inside it, opens afresh (nothing cached
from an earlier look at a growing store), and returns the whole array, or raises what the library
raises. `DECODERS` holds the three that also read stores that are still being written; zarrita,
which always looks for a shard's index at its end, is for finished stores.
"""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import which

import numpy as np

__all__ = [
    "DECODERS",
    "ZARRITA_DTYPES",
    "is_checksum_error",
    "missing_zarrita",
    "read_with_tensorstore",
    "read_with_zarr_python",
    "read_with_zarrita",
    "read_with_zarrs",
]

ZARRITA_DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float32", "float64"),
)
"""What zarrita reads everywhere; float16 needs a Float16Array, which Node.js 20 has not."""

_CHECKOUT = Path(__file__).resolve().parents[2]
_ZARRITA_SCRIPT = Path(__file__).with_name("zarrita_read.mjs")
_NODE_HOME = _CHECKOUT / ".node"


def read_with_zarr_python(path: Path, key: str) -> np.ndarray:
    """Read an array with zarr-python and numcodecs."""
    return _read_with_pipeline(path, key, "zarr.core.codec_pipeline.BatchedCodecPipeline")


def read_with_zarrs(path: Path, key: str) -> np.ndarray:
    """Read an array with the Rust crate zarrs; strict: never falls back to zarr-python."""
    return _read_with_pipeline(path, key, "zarrs.ZarrsCodecPipeline")


def read_with_tensorstore(path: Path, key: str) -> np.ndarray:
    """Read an array with TensorStore, in a context of its own so that nothing is cached."""
    import tensorstore

    spec = {
        "driver": "zarr" if _is_v2(path, key) else "zarr3",
        "kvstore": {"driver": "file", "path": f"{path / key if key else path}/"},
    }
    store = tensorstore.open(spec, context=tensorstore.Context(), open=True, read=True).result()
    return np.asarray(store.read().result())


def read_with_zarrita(path: Path, keys: Sequence[str]) -> list[np.ndarray]:
    """Read arrays of one store with zarrita (JavaScript), in one process for all of them."""
    run = subprocess.run(
        # Fed through stdin, so that imports are looked up from the working directory.
        ["node", "--input-type=module", "-", str(path), *(key or "/" for key in keys)],
        input=_ZARRITA_SCRIPT.read_bytes(),
        capture_output=True,
        cwd=_NODE_HOME,
        check=False,
    )
    if run.returncode:
        raise ValueError(f"zarrita could not read {path}: {run.stderr.decode()}")
    header, _, pixels = run.stdout.partition(b"\n")
    arrays, start = [], 0
    for entry in json.loads(header):
        dtype = np.dtype(entry["dtype"])
        array = np.frombuffer(pixels, dtype, int(np.prod(entry["shape"])), start)
        start += array.nbytes
        arrays.append(array.reshape(entry["shape"]))
    return arrays


def missing_zarrita() -> str | None:
    """Say why zarrita cannot be used here, or None when it can."""
    if which("node") is None:
        return "node is not installed"
    if not (_NODE_HOME / "node_modules" / "zarrita").is_dir():
        return f"zarrita is not in {_NODE_HOME.name}/node_modules of the checkout"
    return None


def is_checksum_error(error: BaseException) -> bool:
    """Tell the one error that a reader of a growing store is told to retry.

    A reader may catch a shard's index in the microseconds in which it is rewritten; the index
    carries a checksum, so that it notices.
    """
    text = str(error).lower()
    return "checksum" in text or "digest mismatch" in text


DECODERS: dict[str, Callable[[Path, str], np.ndarray]] = {
    "zarr-python": read_with_zarr_python,
    "tensorstore": read_with_tensorstore,
    "zarrs": read_with_zarrs,
}


def _is_v2(path: Path, key: str) -> bool:
    """Return whether an array is stored in Zarr V2."""
    return (path / key / ".zarray").exists()


def _read_with_pipeline(path: Path, key: str, pipeline: str) -> np.ndarray:
    """Read an array through zarr-python's front door with a given codec pipeline."""
    os.environ.setdefault("RAYON_NUM_THREADS", "2")
    import zarr

    with (
        warnings.catch_warnings(),
        zarr.config.set({"codec_pipeline.path": pipeline, "codec_pipeline.strict": True}),
    ):
        warnings.simplefilter("ignore")  # the library's own; the reader asks for pixels only
        version = 2 if _is_v2(path, key) else 3
        array = zarr.open_array(store=str(path), path=key, mode="r", zarr_format=version)
        return np.asarray(array[...])
