"""Independent judges of OME-NGFF metadata: yaozarrs, ome-zarr-models and ngff-zarr.

Each takes the path of an image group (or any NGFF node) and raises `AssertionError` with the
validator's own report when it is refused. None of them reads pixels: that is the decoders' part.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "VALIDATORS",
    "assert_valid_ngff",
    "validate_with_ngff_zarr",
    "validate_with_ome_zarr_models",
    "validate_with_yaozarrs",
]


def validate_with_yaozarrs(path: Path) -> None:
    """Check metadata and the arrays it points at."""
    import yaozarrs

    _judge("yaozarrs", path, lambda: yaozarrs.validate_zarr_store(str(path)))


def validate_with_ome_zarr_models(path: Path) -> None:
    """Check that the group parses as one of the models of its NGFF version."""
    import ome_zarr_models
    import zarr

    _judge(
        "ome-zarr-models",
        path,
        lambda: ome_zarr_models.open_ome_zarr(zarr.open_group(str(path), mode="r")),
    )


def validate_with_ngff_zarr(path: Path) -> None:
    """Check against the JSON schemas of the specification (images only)."""
    import ngff_zarr

    _judge("ngff-zarr", path, lambda: ngff_zarr.from_ngff_zarr(str(path), validate=True))


VALIDATORS: dict[str, Callable[[Path], None]] = {
    "yaozarrs": validate_with_yaozarrs,
    "ome-zarr-models": validate_with_ome_zarr_models,
    "ngff-zarr": validate_with_ngff_zarr,
}


def assert_valid_ngff(path: Path) -> None:
    """Have every judge look at an image group."""
    for validate in VALIDATORS.values():
        validate(path)


def _judge(name: str, path: Path, check: Callable[[], object]) -> None:
    """Turn whatever a validator raises into one kind of failure."""
    with warnings.catch_warnings():
        # Deprecations inside the validators say nothing about the store.
        warnings.simplefilter("ignore")
        try:
            check()
        except Exception as error:
            raise AssertionError(f"{name} refuses {path}: {error}") from error
