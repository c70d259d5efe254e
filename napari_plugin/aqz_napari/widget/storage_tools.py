"""Presets, trying codecs and the script: what helps to find settings for storing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QWidget

from aqz_napari.form.codec_trial import CodecResult, try_codecs
from aqz_napari.form.plan_problems import store_path_of
from aqz_napari.form.presets import PRESETS
from aqz_napari.form.python_script import settings_as_script
from aqz_napari.sources.layer_facts import level_zero
from aqz_napari.widget.form_parts import button, narrow, wrapping_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_napari.form.recording_plan import RecordingPlan
    from aqz_napari.widget.background import Background

__all__ = ["CodecTrial", "PresetBox", "copy_script", "current_frame"]

_OWN, _LOAD, _SAVE = "own settings", "load from a file…", "save to a file…"
_FILES = "Settings (*.yaml *.yml *.json)"


class PresetBox(QComboBox):  # type: ignore[misc]  # Qt is not typed here
    """The presets by name, and those in files.

    Parameters
    ----------
    on_preset : callable
        Called with the name of a built-in preset.
    on_load, on_save : callable
        Called with the path of a file.
    """

    def __init__(
        self,
        on_preset: Callable[[str], None],
        on_load: Callable[[str], None],
        on_save: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._on_preset, self._on_load, self._on_save = on_preset, on_load, on_save
        self.addItems([_OWN, *PRESETS, _LOAD, _SAVE])
        for position, (name, what) in enumerate(PRESETS.items(), start=1):
            self.setItemData(position, f"{name}: {what}", Qt.ItemDataRole.ToolTipRole)
        narrow(self)
        self.setToolTip("Compression, chunks and shards for a purpose")
        self.activated.connect(lambda _: self._chosen(self.currentText()))
        self._shown = _OWN

    def show_preset(self, name: str = _OWN) -> None:
        """Show which preset holds; by default none."""
        self._shown = name
        self.setCurrentText(name)

    def choose(self, name: str) -> None:
        """Choose an entry as the user does."""
        self.setCurrentText(name)
        self._chosen(name)

    def _chosen(self, name: str) -> None:
        """Do what was chosen."""
        if name in PRESETS:
            self._shown = name
            self._on_preset(name)
        self.setCurrentText(self._shown)
        if name == _LOAD:
            path = QFileDialog.getOpenFileName(self, "Load settings", "", _FILES)[0]
            if path:
                self._on_load(path)
        elif name == _SAVE:
            path = QFileDialog.getSaveFileName(self, "Save settings", "recording.yaml", _FILES)[0]
            if path:
                self._on_save(path)


class CodecTrial:
    """A button that compresses the current frame with every codec, and a table of what came out.

    Parameters
    ----------
    background : Background
        Where it is done.
    on_try : callable
        Called when the button is pressed.
    """

    def __init__(self, background: Background, on_try: Callable[[], None]) -> None:
        self._background = background
        self.button = button(
            "Try codecs", on_try, "Compress the current frame with every codec: speed and size"
        )
        self.table = wrapping_label()
        self.table.setTextFormat(Qt.TextFormat.RichText)
        self.table.hide()
        self.rows: list[QWidget] = [self.button, self.table]

    def begin(self, frame: Any, plan: RecordingPlan, needed: float) -> None:
        """Try the codecs on a frame; `needed` is the rate in MB/s to mark those fast enough."""
        chunk = [axis.chunk for axis in plan.arrays[0].axes[-2:]]
        storage = plan.storage
        self.table.setText("trying…")
        self.table.show()
        self._background.do(
            lambda: try_codecs(frame, chunk, storage.shuffle, storage.level),
            lambda results: self._show(results, needed),
        )

    def _show(self, results: Sequence[CodecResult] | Exception, needed: float) -> None:
        """Show the table of codecs."""
        if isinstance(results, Exception):
            self.table.setText(f"The codecs could not be tried: {results}")
            return
        rows = "".join(
            f"<tr><td>{'✔ ' if 0 < needed < r.megabytes_per_second else ''}{r.codec}</td>"
            f"<td align='right'>{r.megabytes_per_second:.0f}</td>"
            f"<td align='right'>{r.ratio:.2f}</td></tr>"
            for r in results
        )
        self.table.setText(
            "<table cellspacing='6'><tr><td>codec</td><td align='right'>MB/s, one core</td>"
            f"<td align='right'>times smaller</td></tr>{rows}</table>"
        )


def current_frame(sources: Sequence[object]) -> Any | None:
    """Return the pixels of the first layer among sources, one plane; None without a layer."""
    for source in sources:
        if not isinstance(source, str):
            is_rgb = bool(getattr(source, "rgb", False))
            pixels: Any = level_zero(source)
            while getattr(pixels, "ndim", 0) > 2 + is_rgb:
                pixels = pixels[pixels.shape[0] // 2]
            pixels = np.asarray(pixels)
            return np.moveaxis(pixels, -1, 0) if is_rgb else pixels
    return None


def copy_script(plan: RecordingPlan, exists: Callable[[str], bool]) -> str:
    """Put a script that records with these settings into the clipboard, and return it.

    Raises
    ------
    AqzError, TypeError, ValueError, IndexError
        The plan cannot be recorded.
    """
    script = settings_as_script(plan.settings(store_path_of(plan, exists)))
    QApplication.clipboard().setText(script)
    return script
