"""The dock widget Record to Zarr, as napari makes it: a view of the viewer's one panel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from aqz_napari.widget.record_panel import RecordPanel

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtCore import QSize

__all__ = ["RecordWidget", "forget_panel", "panel_of"]

_panels: dict[int, tuple[Any, RecordPanel]] = {}
_docks: dict[int, QWidget] = {}


def panel_of(viewer: Any) -> RecordPanel:
    """Return the panel of a viewer; made when it is asked for the first time."""
    # napari hands a proxy to plug-ins, whose layers are other objects at each look.
    viewer = getattr(viewer, "__wrapped__", viewer)
    if id(viewer) not in _panels:
        panel = RecordPanel(viewer)
        panel.gone.connect(partial(_let_go, id(viewer)))
        _panels[id(viewer)] = (viewer, panel)
    return _panels[id(viewer)][1]


def forget_panel(viewer: Any) -> None:
    """Let go of the panel of a viewer, which must not be recording."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    panel = _let_go(id(viewer))
    if panel is not None:
        panel.setParent(None)
        panel.close_down()
        panel.deleteLater()


def _let_go(viewer: int) -> RecordPanel | None:
    """Return the panel of a viewer, and keep neither."""
    _docks.pop(viewer, None)
    return _panels.pop(viewer, (None, None))[1]


class RecordWidget(QWidget):  # type: ignore[misc]  # Qt is not typed here
    """Record to Zarr.

    A dock that is closed and opened again shows the same form and the same recording: both belong
    to the viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers can be recorded, and where recordings are shown.

    Attributes
    ----------
    panel : RecordPanel
        The form.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.panel = panel_of(viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        policy = QSizePolicy.Policy.Expanding  # without it, napari puts room below the form
        self.setSizePolicy(QSizePolicy.Policy.Preferred, policy)
        # Qt deletes a dock with what is in it: the last one is kept until the panel has moved.
        _docks[id(getattr(viewer, "__wrapped__", viewer))] = self

    def sizeHint(self) -> QSize:
        """Ask for what the panel asks for."""
        return self.panel.sizeHint()
