"""The part of the form that says how pixels are stored: codec, pyramid, version of Zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, SpinBox

from aqz_napari.form.recording_plan import CODECS, PYRAMIDS, StoragePlan
from aqz_napari.widget.form_parts import cell, label, row

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StorageForm"]

_SHUFFLES = {"no shuffle": 0, "bytes": 1, "bits": 2}


class StorageForm:
    """A `StoragePlan` to be edited.

    Parameters
    ----------
    on_edit : callable
        Called, without arguments, after a change.
    """

    def __init__(self, on_edit: Callable[[], None]) -> None:
        self.codec = cell(ComboBox(choices=list(CODECS), value="blosc-lz4"), 104, "Compression")
        self.level = cell(SpinBox(value=1, min=0, max=22), 40, "Level: more is smaller and slower")
        self.shuffle = cell(
            ComboBox(choices=list(_SHUFFLES), value="bytes"), 92,
            "Order bytes or bits before a Blosc codec; helps with camera pixels",
        )  # fmt: skip
        self.pyramid = cell(
            ComboBox(choices=list(PYRAMIDS), value="none"), 104,
            "Pyramid: record smaller versions for viewing as well, reduced in this way",
        )  # fmt: skip
        self.levels = cell(SpinBox(value=0, min=0, max=16), 40, "Most levels; 0: as many as useful")
        self.version = cell(
            ComboBox(choices=[("Zarr V3", 3), ("Zarr V2", 2)], value=3), 92,
            "V3 is OME-Zarr 0.5 with shards; V2 is OME-Zarr 0.4, a file per chunk",
        )  # fmt: skip
        for widget in (
            self.codec, self.level, self.shuffle, self.pyramid, self.levels, self.version
        ):  # fmt: skip
            widget.changed.connect(on_edit)
        self.rows = [
            row(label("codec"), self.codec, self.level, self.shuffle, left=True),
            row(label("pyramid"), self.pyramid, self.levels, self.version, left=True),
        ]

    def plan(self) -> StoragePlan:
        """Return what the form says."""
        return StoragePlan(
            str(self.codec.value),
            int(self.level.value),
            _SHUFFLES[self.shuffle.value],
            str(self.pyramid.value),
            int(self.levels.value),
            int(self.version.value),
        )

    def show(self, storage: StoragePlan) -> None:
        """Show a plan."""
        self.codec.value, self.level.value = storage.codec, storage.level
        self.shuffle.value = {v: k for k, v in _SHUFFLES.items()}[storage.shuffle]
        self.pyramid.value, self.levels.value = storage.pyramid, storage.levels
        self.version.value = storage.version
