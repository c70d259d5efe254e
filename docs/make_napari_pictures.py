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
    from qtpy.QtWidgets import QApplication

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
    _, widget = viewer.window.add_plugin_dock_widget("aqz", "Record to Zarr")
    widget.sources.choose(live)
    pump(1.5)
    viewer.reset_view()
    widget.arrays.table.details.value = True
    picture("napari-idle")

    widget.arrays.table.details.value = False
    widget.after.try_codecs()
    pump(2.0)
    widget.arrays.table._rows[0].chunk.value = 600_000
    (home / "taken.ome.zarr").mkdir()
    widget.destination.path.value = "~/taken.ome.zarr"
    picture("napari-problems")

    widget.after.codec_table.visible = False
    widget.destination.path.value = "~/{layer}_{n:03}.ome.zarr"
    widget._suggest()
    widget.sources.choose("simulated camera")
    widget.run.follow.value = True
    live.visible = False
    pump(0.5)
    widget.toggle()
    pump(3.2)
    viewer.reset_view()
    picture("napari-recording")

    while not widget.recorder.state.is_over:
        pump(0.1)
    pump(1.0)
    viewer.reset_view()
    viewer.dims.set_current_step(0, 120)
    viewer.layers[-1].contrast_limits = (260, 2600)
    picture("napari-finished")
    viewer.close()


if __name__ == "__main__":
    main()
