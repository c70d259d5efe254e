"""The part of the form that says where to: a path or URL, what it comes to, and a try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, LineEdit, PushButton
from qtpy.QtWidgets import QFileDialog

from aqz_napari.form.destination import (
    DEFAULT_DESTINATION,
    exists_locally,
    free_bytes,
    is_remote,
    nearest_folder,
    short_path,
)
from aqz_napari.form.estimates import readable_bytes
from aqz_napari.form.plan_problems import store_path_of
from aqz_napari.form.remote_place import RemoteNames
from aqz_napari.widget.form_parts import cell, label, row, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.form.recording_plan import RecordingPlan

__all__ = ["DestinationForm"]


class DestinationForm:
    """Destination and endpoint to be edited.

    Parameters
    ----------
    on_edit : callable
        Called, without arguments, after a change.
    on_try : callable
        Called when Test is pressed.
    """

    def __init__(self, on_edit: Callable[[], None], on_try: Callable[[], None]) -> None:
        self.names = RemoteNames()
        self.path = LineEdit(value=DEFAULT_DESTINATION)
        self.path.tooltip = (
            "Path or URL of the store. {date} {time} {layer} and {n:03}, the next free number, "
            "are filled in."
        )
        self.browse = cell(PushButton(text="…"), 28, "Choose a folder")
        self.browse.changed.connect(self._browse)
        self.try_place = cell(PushButton(text="Test"), 44, "Write and remove a small object there")
        self.try_place.changed.connect(on_try)
        self.endpoint = LineEdit()
        self.endpoint.native.setPlaceholderText("of AWS")
        self.endpoint.tooltip = (
            "URL of the S3 service, for example http://minio.lab:9000; empty for AWS. Credentials "
            "come from the environment or the AWS configuration files."
        )
        self._endpoint_row = row(label("service"), self.endpoint)
        self.spill = CheckBox(text="if it fails, go on in", value=True)
        self.spill.tooltip = (
            "When the service fails, the recording goes on in a folder on this machine, and "
            "aqz upload sends it later; nothing is lost"
        )
        self.spill_folder = LineEdit(value="~")
        self.spill_folder.tooltip = "Folder on this machine; used only when the service fails"
        self._spill_row = row(self.spill, self.spill_folder)
        self.place = text(small=True)
        self.rows = [
            row(self.path, self.browse, self.try_place),
            self.place,
            self._endpoint_row,
            self._spill_row,
        ]
        for widget in (self.path, self.endpoint, self.spill, self.spill_folder):
            widget.changed.connect(on_edit)

    def show_parts(self) -> None:
        """Show what a place of this kind needs."""
        destination = str(self.path.value).strip()
        remote = is_remote(destination)
        self.try_place.visible = remote
        self.browse.visible = not remote
        self._spill_row.visible = remote
        self._endpoint_row.visible = destination.partition("://")[0] in ("s3", "s3a")

    def exists(self, path: str) -> bool:
        """Tell whether a name is taken, as far as is known without waiting."""
        if not is_remote(path):
            return exists_locally(path)
        endpoint = str(self.endpoint.value).strip()
        if self.names.endpoint != endpoint:
            self.names = RemoteNames(endpoint)
        return self.names.exists(path)

    def look_again(self) -> None:
        """Forget which remote names are taken."""
        self.names = RemoteNames(str(self.endpoint.value).strip())

    def show_place(self, plan: RecordingPlan) -> None:
        """Show where the store will be, and the space there."""
        try:
            path = store_path_of(plan, self.exists)
        except ValueError:
            self.place.value = " "
            return
        free = free_bytes(path)
        note = "" if free is None else f"  ({readable_bytes(free)} free)"
        if is_remote(path) and self.names.is_asking(path):
            note = "  (asking which names are taken…)"
        self.place.value = f"→ {short_path(path)}{note}"

    def show_store(self, path: str) -> None:
        """Show where a recording is going."""
        self.place.value = f"→ {short_path(path)}"

    def _browse(self) -> None:
        """Choose the folder of the store."""
        before = nearest_folder(str(self.path.value))
        folder = QFileDialog.getExistingDirectory(
            self.path.native, "Folder for recordings", str(before)
        )
        if folder:
            name = str(self.path.value).rpartition("/")[2] or "{layer}_{n:03}.ome.zarr"
            self.path.value = f"{short_path(folder.rstrip('/'))}/{name}"
