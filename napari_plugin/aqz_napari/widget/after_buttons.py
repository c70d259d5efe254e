"""Buttons for what is not recording itself: results, presets, scripts, trying codecs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, PushButton
from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QFileDialog

import aqz_core as aqz
from aqz_napari.form.codec_trial import CodecResult, try_codecs
from aqz_napari.form.destination import is_remote, local_file
from aqz_napari.form.plan_problems import store_path_of
from aqz_napari.form.presets import PRESETS, apply_preset, load_preset, save_preset
from aqz_napari.form.python_script import settings_as_script
from aqz_napari.form.remote_place import try_remote
from aqz_napari.form.verify import verify_store
from aqz_napari.sources.layer_facts import level_zero
from aqz_napari.widget.form_parts import ERROR, GOOD, cell, column, row, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_napari.widget.record_widget import RecordWidget

__all__ = ["AfterButtons"]

_PRESET, _LOAD, _SAVE = "presets…", "load from a file…", "save to a file…"
_FILES = "Settings (*.yaml *.yml *.json)"


class AfterButtons:
    """The buttons, and what they do.

    Parameters
    ----------
    widget : RecordWidget
        Whose plan and recording they are about.
    """

    def __init__(self, widget: RecordWidget) -> None:
        self._widget = widget
        self._waiting: list[tuple[threading.Thread, list[Any], Callable[[Any], None]]] = []
        self._store = ""
        self.codecs = PushButton(text="Try codecs")
        self.codecs.tooltip = "Compress the current frame with every codec: speed and size"
        self.codecs.changed.connect(self.try_codecs)
        self.codec_table = text(small=True, rich=True)
        self.codec_table.visible = False
        self.presets = cell(ComboBox(choices=[_PRESET, *PRESETS, _LOAD, _SAVE]), 104)
        self.presets.tooltip = "\n".join(f"{name}: {what}" for name, what in PRESETS.items())
        self.presets.changed.connect(self._preset)
        self.script = PushButton(text="Copy as Python")
        self.script.tooltip = "Copy a script that records with these settings"
        self.script.changed.connect(self.copy_script)
        self.open_layer = self._button("Open as layer", self._open)
        self.open_folder = self._button("Open folder", self._open_folder)
        self.copy_path = self._button("Copy path", self._copy_path)
        self.verify = self._button("Verify", self.verify_result)
        self.verify.tooltip = "Read everything back and check every checksum"
        self.container = column(
            row(self.open_layer, self.open_folder, self.copy_path),
            row(self.verify, self.script),
        )
        self._timer = QTimer(self.container.native)
        self._timer.setInterval(50)
        self._timer.timeout.connect(self._collect)

    def show_result(self, store_path: str) -> None:
        """Let the buttons be about this store."""
        self._store = store_path
        for button in (self.open_layer, self.open_folder, self.copy_path, self.verify):
            button.enabled = True
        local = not is_remote(store_path)
        self.open_folder.enabled = self.verify.enabled = local

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do work on a thread, and hand its result over on the main one."""
        result: list[Any] = []

        def run() -> None:
            try:
                result.append(work())
            except Exception as error:  # told where the result is awaited
                result.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._waiting.append((thread, result, then))
        self._timer.start()

    def try_place(self) -> None:
        """Try to write where a remote store would be, without holding up the window."""
        plan = self._widget.plan()
        try:
            path = store_path_of(plan, self._widget.destination.exists)
        except ValueError as error:
            self._widget.run.say(str(error), ERROR)
            return
        shown = aqz.without_password(path)
        self._widget.run.say(f"Trying {shown} …")

        def finished(problem: Any) -> None:
            found = str(problem)
            self._widget.run.say(found or f"{shown} can be written.", ERROR if found else GOOD)

        self.in_background(lambda: try_remote(path, plan.endpoint), finished)

    def try_codecs(self) -> None:
        """Compress the current frame with every codec, and show a table."""
        plan = self._widget.plan()
        frame = self.current_frame()
        if frame is None or not plan.arrays:
            self._widget.run.say("Choose a layer first: codecs are tried on its frame.", ERROR)
            return
        chunk = [axis.chunk for axis in plan.arrays[0].axes[-2:]]
        storage = plan.storage
        self.codec_table.visible = True
        self.codec_table.value = "trying…"
        self.in_background(
            lambda: try_codecs(frame, chunk, storage.shuffle, storage.level), self._show_codecs
        )

    def current_frame(self) -> Any | None:
        """Return the pixels of the first chosen layer, one plane; None without a layer."""
        for source in self._widget.sources.chosen():
            if not isinstance(source, str):
                pixels: Any = level_zero(source)
                while getattr(pixels, "ndim", 0) > (3 if getattr(source, "rgb", False) else 2):
                    pixels = pixels[pixels.shape[0] // 2]
                pixels = np.asarray(pixels)
                return np.moveaxis(pixels, -1, 0) if getattr(source, "rgb", False) else pixels
        return None

    def copy_script(self) -> str:
        """Copy a script that records with these settings; returns it."""
        plan = self._widget.plan()
        try:
            script = settings_as_script(
                plan.settings(store_path_of(plan, self._widget.destination.exists))
            )
        except (aqz.AqzError, TypeError, ValueError, IndexError) as error:
            self._widget.run.say(f"There is no script yet: {error}", ERROR)
            return ""
        QApplication.clipboard().setText(script)
        self._widget.run.say("The script is in the clipboard.", GOOD)
        return script

    def verify_result(self) -> None:
        """Read the last recording back on a thread."""
        self._widget.run.say("Verifying …")
        self.in_background(lambda: verify_store(self._store), self._verified)

    def _button(self, label: str, action: Callable[[], Any]) -> Any:
        """Return a button that works once there is a recording."""
        button = PushButton(text=label)
        button.changed.connect(lambda: action())
        button.enabled = False
        return button

    def _open(self) -> None:
        """Open the recording as layers."""
        self._widget.open_result()

    def _open_folder(self) -> None:
        """Show the store in the desktop's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(local_file(self._store).parent)))

    def _copy_path(self) -> None:
        """Copy where the store is."""
        QApplication.clipboard().setText(self._store)
        self._widget.run.say("The path is in the clipboard.", GOOD)

    def _verified(self, result: Any) -> None:
        """Show what verification found."""
        if isinstance(result, Exception):
            self._widget.run.say(f"Verifying failed: {result}", ERROR)
        else:
            problem, summary = result
            self._widget.run.say(problem or summary, ERROR if problem else GOOD)

    def _show_codecs(self, results: Sequence[CodecResult] | Exception) -> None:
        """Show the table of codecs, those fast enough for the source marked."""
        if isinstance(results, Exception):
            self.codec_table.value = f"The codecs could not be tried: {results}"
            return
        needed = self._needed_rate()
        rows = "".join(
            f"<tr><td>{'✔ ' if 0 < needed < r.megabytes_per_second else ''}{r.codec}</td>"
            f"<td align='right'>{r.megabytes_per_second:.0f}</td>"
            f"<td align='right'>{r.ratio:.2f}</td></tr>"
            for r in results
        )
        self.codec_table.value = (
            "<table cellspacing='6'><tr><td>codec</td><td align='right'>MB/s, one core</td>"
            "<td align='right'>times smaller</td>"
            f"</tr>{rows}</table>"
        )

    def _needed_rate(self) -> float:
        """Return the MB/s that the chosen layers deliver."""
        widget = self._widget
        rates = zip(widget.plan().arrays, widget.sources.chosen(), strict=False)
        return sum((widget.sources.rate(s) or 0.0) * a.update_nbytes / 1e6 for a, s in rates)

    def _preset(self) -> None:
        """Apply, load or save a preset, and show the word presets again."""
        choice = str(self.presets.value)
        if choice == _PRESET:
            return
        self.presets.value = _PRESET
        try:
            if choice == _LOAD:
                path = QFileDialog.getOpenFileName(self.container.native, "Load", "", _FILES)[0]
                if path:
                    self._widget.show_plan(load_preset(self._widget.plan(), path))
            elif choice == _SAVE:
                path = QFileDialog.getSaveFileName(
                    self.container.native, "Save", "recording.yaml", _FILES
                )[0]
                if path:
                    save_preset(self._widget.plan(), path)
                    self._widget.run.say(f"Saved to {path}.", GOOD)
            else:
                self._widget.show_plan(apply_preset(self._widget.plan(), choice))
        except (aqz.AqzError, OSError, TypeError, ValueError, KeyError) as error:
            self._widget.run.say(str(error), ERROR)

    def _collect(self) -> None:
        """Hand over the results of threads that are done."""
        for entry in list(self._waiting):
            thread, result, then = entry
            if not thread.is_alive():
                self._waiting.remove(entry)
                then(result[0])
        if not self._waiting:
            self._timer.stop()
