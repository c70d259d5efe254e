"""Stores of metadata alone, and the independent programs that judge them.

No pixels are needed: what was never written reads as the fill value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ngff_zarr
import numpy as np
import ome_zarr_models
import pytest
import tensorstore
import yaozarrs
import zarr

from aqz_core.metadata import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def read_zarr_python(path: Path) -> np.ndarray[Any, Any]:
    """Read an array with zarr-python."""
    return np.asarray(zarr.open_array(path, mode="r")[...])


def read_zarrs(path: Path) -> np.ndarray[Any, Any]:
    """Read an array with zarrs, the Rust decoder; never falls back to another."""
    zarrs = {"codec_pipeline": {"path": "zarrs.ZarrsCodecPipeline", "strict": True}}
    with zarr.config.set(zarrs):
        return np.asarray(zarr.open_array(path, mode="r")[...])


def read_tensorstore(path: Path) -> np.ndarray[Any, Any]:
    """Read an array with TensorStore."""
    driver = "zarr3" if (path / "zarr.json").exists() else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}}
    return np.asarray(tensorstore.open(spec, open=True).result().read().result())


def judge_yaozarrs(path: Path) -> None:
    """Validate a store with yaozarrs: documents and the nodes that they name."""
    yaozarrs.validate_zarr_store(str(path))


def judge_ome_zarr_models(path: Path) -> None:
    """Validate a store with ome-zarr-models: documents and the nodes that they name."""
    ome_zarr_models.open_ome_zarr(zarr.open_group(path, mode="r"))


def judge_ngff_zarr(path: Path) -> None:
    """Validate a store with ngff-zarr: the published schemas, strict form, and its own rules."""
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    version, block = ("0.5", attributes["ome"]) if "ome" in attributes else ("0.4", attributes)
    assert isinstance(block, dict)
    if "multiscales" in block:
        ngff_zarr.from_ngff_zarr(str(path), validate=True)
        return
    model = "plate" if "plate" in block else "well"
    ngff_zarr.validate(json.loads(to_json(attributes)), version, model, strict=True)
    if model == "plate":
        ngff_zarr.from_hcs_zarr(str(path), validate=True)


DECODERS = (read_zarr_python, read_zarrs, read_tensorstore)
JUDGES = (judge_yaozarrs, judge_ome_zarr_models, judge_ngff_zarr)


@pytest.fixture(params=DECODERS, ids=lambda read: read.__name__.removeprefix("read_"))
def read(request: pytest.FixtureRequest) -> Callable[[Path], np.ndarray[Any, Any]]:
    """Each of the three decoders: a function from an array's folder to its pixels."""
    decoder: Callable[[Path], np.ndarray[Any, Any]] = request.param
    return decoder


@pytest.fixture(params=JUDGES, ids=lambda judge: judge.__name__.removeprefix("judge_"))
def judge(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Each of the three NGFF validators: a function that raises if a store is not valid."""
    validator: Callable[[Path], None] = request.param
    return validator


@pytest.fixture
def store(tmp_path: Path) -> Callable[[dict[str, Mapping[str, Any]]], Path]:
    """A function that writes documents, given by their paths in a store; returns its folder."""

    def write(documents: dict[str, Mapping[str, Any]]) -> Path:
        folder = tmp_path / "store.ome.zarr"
        for key, document in documents.items():
            file = folder / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(to_json(document))
        return folder

    return write
