"""A napari session of its own, that is closed while it records; run by test_closing.py.

    python -m tests.napari.widget.closing_session STORE SCENARIO

Feeds a layer, records it, closes the window as a window manager does, and answers the question as
the scenario says: "no, yes" or "yes". Prints what happened, a word a line.
"""

from __future__ import annotations

import sys
import time

import numpy as np


def main(store, answers):
    import napari
    from qtpy.QtCore import QTimer
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication, QMessageBox

    viewer = napari.Viewer(show=True)
    layer = viewer.add_image(np.zeros((64, 64), np.uint16), name="live")
    _, shell = viewer.window.add_plugin_dock_widget("aqz", "Record to Zarr")
    widget = shell.panel
    widget.choices.place.destination = store
    widget.check()
    widget.header.record.click()
    deadline = time.monotonic() + 60
    window = viewer.window._qt_window
    number = 0

    def feed():
        nonlocal number
        number += 1
        layer.data = np.full((64, 64), number, np.uint16)

    while widget.recorder is None or widget.recorder.status().written < 5:
        assert time.monotonic() < deadline, widget.header.message.text()
        feed()
        QTest.qWait(10)
    print("recording", flush=True)

    for answer in answers:
        asked = []

        def reply(answer=answer, asked=asked):
            box = QApplication.activeModalWidget()
            if not isinstance(box, QMessageBox):
                QTimer.singleShot(50, reply)
                return
            asked.append(box.text())
            wanted = {"yes": QMessageBox.StandardButton.Yes, "no": QMessageBox.StandardButton.No}
            box.button(wanted[answer]).click()

        QTimer.singleShot(50, reply)
        window.windowHandle().close()  # what the cross in the title bar does
        assert asked, "it was closed without a question"
        print("asked", flush=True)
        if answer == "no":
            assert window.isVisible()
            assert widget.recorder.state.is_running
            feed()
            QTest.qWait(50)
            print("goes on", flush=True)
    while window.isVisible():  # without a question more
        assert time.monotonic() < deadline
        assert QApplication.activeModalWidget() is None
        QTest.qWait(10)
    recorder = widget.recorder
    print(recorder.state.value, recorder.status().written, recorder.status().dropped, flush=True)
    print("closed" if not window.isVisible() else "open", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","))
