"""Places behind a password: what is recorded there opens, and the password is shown nowhere."""

from __future__ import annotations

import numpy as np
import pytest

from aqz_napari.form.remote_place import names_beside, try_remote
from tests.napari.window import finish, needs_display, pump, start

pytest.importorskip("napari", reason="needs the extra `napari`")
pytestmark = needs_display

USER, PASSWORD = "me", "quite-secret"


def said(widget):
    """Return everything that the form shows besides the field where the place is given."""
    from qtpy.QtWidgets import QLabel, QPushButton

    labels = widget.findChildren(QLabel) + widget.findChildren(QPushButton)
    return "\n".join(f"{label.text()} {label.toolTip()}" for label in labels)


def test_a_recording_behind_a_password_opens_and_shows_no_password(
    viewer, widget, live, frame_of, monkeypatch
):
    from qtpy.QtWidgets import QApplication

    told = []
    monkeypatch.setattr("napari.utils.notifications.show_info", told.append)
    url = f"memory://{USER}:{PASSWORD}@host/a.ome.zarr"
    widget.choices.place.destination = url
    widget.choices.remote.spill = False
    pump(lambda: not widget.place.names.is_asking(url))
    widget.place.try_place.click()
    pump(lambda: "can be written" in widget.header.message.text())
    told.append(said(widget))
    script = widget.tools.copy_script()
    start(widget)
    live.data = frame_of(3)
    widget.stop()
    finish(widget)
    (layer,) = [layer for layer in viewer.layers if layer is not live]
    assert np.array_equal(np.asarray(layer.data[0]), frame_of(3))
    told += [said(widget), script, layer.name, QApplication.clipboard().text()]
    assert any(f"memory://{USER}@host/a.ome.zarr" in text for text in told)
    assert PASSWORD not in "\n".join(map(str, told))


def test_a_place_that_refuses_is_told_without_the_password():
    url = f"ftp://{USER}:{PASSWORD}@127.0.0.1:1/a.ome.zarr"
    with pytest.raises(OSError, match=f"ftp://{USER}@127.0.0.1:1: ") as refused:
        names_beside(url)
    problem = try_remote(url)
    assert f"ftp://{USER}@127.0.0.1:1/a.ome.zarr cannot be written" in problem
    assert PASSWORD not in problem + str(refused.value)
