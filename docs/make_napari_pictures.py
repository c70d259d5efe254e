"""Makes the pictures of the dock widget in docs/pictures, in a real napari window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/make_napari_pictures.py [folder]

Needs the extra ``napari``. The recording in the pictures is a real one, of the simulated camera.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

WINDOW = (1280, 900)
PICTURES = Path(__file__).parent / "pictures"


def main() -> None:
    """Make the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_CONFIG"] = str(Path(home, "settings.yaml"))
        os.environ["HOME"] = home
        tempfile.tempdir = str(Path(home, "tmp"))  # so that home does not count as temporary
        _make(folder, Path(home))


def _make(folder: Path, home: Path) -> None:
    """Go through a recording, taking pictures."""
    import napari
    import napari.settings
    from PIL import Image
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication, QDockWidget

    from aqz_napari import register_source
    from aqz_napari.sources.simulated_camera import PIXEL_SIZE, frames, simulated_source

    def pump(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            QApplication.processEvents()
            time.sleep(0.005)

    def picture(name: str) -> None:
        pump(0.3)
        pixels = viewer.screenshot(canvas_only=False, flash=False)
        image = Image.fromarray(pixels[..., :3]).quantize(256, dither=Image.Dither.NONE)
        image.save(folder / f"{name}.png", optimize=True)

    def narrow(dock: QDockWidget, width: int) -> None:
        viewer.window._qt_window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)
        pump(0.5)

    register_source("simulated camera", lambda: simulated_source((512, 512), 40.0, 240))
    # Notifications would cover what the pictures show.
    napari.settings.get_settings().application.gui_notification_level = "error"
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*WINDOW)
    live = viewer.add_image(
        next(frames()),
        name="live",
        scale=(PIXEL_SIZE, PIXEL_SIZE),
        units=("um", "um"),
        axis_labels=("y", "x"),
        colormap="green",
        contrast_limits=(260, 2600),
    )
    viewer.scale_bar.visible = True
    dock, shell = viewer.window.add_plugin_dock_widget("aqz", "Record to Zarr")
    panel = shell.panel
    panel.sources.choose(live)
    for theme in ("light", "dark"):
        viewer.theme = theme
        narrow(dock, 280)
        picture(f"napari-narrow-{theme}")
    narrow(dock, 360)
    viewer.reset_view()
    picture("napari-idle")

    panel.sections["dimensions"].fold.expand(False)
    panel.sections["storage"].fold.expand(False)
    panel.codecs.button.click()
    pump(2.0)
    picture("napari-expert")
    panel.arrays.table._rows[0].chunk.value = 600_000
    panel.choices.place.folder = "~/no such folder"
    panel.sections["storage"].fold.collapse(False)
    picture("napari-problems")

    panel.reset()
    panel.sections["dimensions"].fold.collapse(False)
    panel.sources.choose("simulated camera")
    panel.choices.view.follow = True
    panel.choices.stop.unit, panel.choices.stop.amount = "frames", 240
    live.visible = False
    pump(0.5)
    panel.header.record.click()
    pump(4.0)
    viewer.reset_view()
    picture("napari-recording")

    while panel.is_busy():
        pump(0.1)
    panel.take.open.click()
    pump(1.0)
    viewer.reset_view()
    viewer.dims.set_current_step(0, 120)
    viewer.layers[0].contrast_limits = (260, 2600)
    picture("napari-finished")
    viewer.close()


if __name__ == "__main__":
    main()
