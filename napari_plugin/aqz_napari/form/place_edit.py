"""A field for a folder that may be a URL as well."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import FileEdit

from aqz_napari.form.destination import nearest_folder, short_path

__all__ = ["PlaceEdit"]


class PlaceEdit(FileEdit):  # type: ignore[misc]  # magicgui is not typed here
    """magicgui's field for a folder, with its dialog; its value is the text, as it was typed.

    A `pathlib.Path`, which the field has otherwise, makes one slash of the two of a URL.
    """

    @property
    def value(self) -> str:
        """The folder."""
        return str(self.line_edit.value)

    @value.setter
    def value(self, value: Any) -> None:
        self.line_edit.value = str(value)

    def _on_choose_clicked(self) -> None:
        """Choose a folder, beginning at the one that is typed or the nearest that exists."""
        before = nearest_folder(f"{self.value}/store")
        chosen = self._show_file_dialog(
            self.mode, caption="Folder for recordings", start_path=str(before), filter=None
        )
        if chosen:
            self.value = short_path(str(chosen).rstrip("/"))
