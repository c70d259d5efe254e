"""The part of the form that says where to: a folder or URL, a name, and what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_napari.form.destination import exists_locally, is_remote
from aqz_napari.form.estimates import readable_bytes
from aqz_napari.form.remote_place import RemoteNames
from aqz_napari.widget.form_parts import button, fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from aqz_napari.form.choices import Choices

__all__ = ["PlaceForm"]


class PlaceForm:
    """Folder, name, and what an object store needs besides.

    Parameters
    ----------
    choices : Choices
        Whose `place` and `remote` are edited.
    on_try : callable
        Called when Test is pressed.
    """

    def __init__(self, choices: Choices, on_try: Callable[[], None]) -> None:
        self._choices = choices
        self.names = RemoteNames()
        place = choices.place.gui
        self.folder, self.name = place.folder, place.get_widget("name")
        self.folder.choose_btn.text = "…"
        self.folder.choose_btn.max_width = 28
        self.folder.choose_btn.tooltip = "Choose a folder"
        self.try_place = button("Test", on_try, "Write and remove a small object there")
        self._remote = fields(choices.remote.gui)
        self.rows: list[QWidget] = [fields(place), self._remote, self.try_place]
        self.show_parts()

    def show_parts(self) -> None:
        """Show what a place of this kind needs."""
        place, remote = self._choices.place, self._choices.remote
        self.folder.choose_btn.visible = not place.is_remote
        self._remote.setVisible(place.is_remote)
        self.try_place.setVisible(place.is_remote)
        if place.is_remote:
            remote.gui.endpoint.visible = place.folder.partition("://")[0] in ("s3", "s3a")
            remote.gui.spill_folder.visible = remote.spill

    def exists(self, path: str) -> bool:
        """Return whether a name is taken, as far as is known without waiting."""
        if not is_remote(path):
            return exists_locally(path)
        endpoint = self._choices.remote.endpoint.strip()
        if self.names.endpoint != endpoint:
            self.names = RemoteNames(endpoint)
        return self.names.exists(path)

    def look_again(self) -> None:
        """Forget which remote names are taken."""
        self.names = RemoteNames(self._choices.remote.endpoint.strip())

    def note(self, path: str, free: int | None) -> str:
        """Return what is known of the place of the next store, for its tip."""
        if is_remote(path) and self.names.is_asking(path):
            return "\nasking which names are taken…"
        return "" if free is None else f"\n{readable_bytes(free)} free"
