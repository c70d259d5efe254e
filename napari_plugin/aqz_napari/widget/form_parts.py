"""Small pieces of the form: sections with a message and a Fix, rows, and cell widths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, Label, PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSpinBox, QSizePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_napari.form.plan_problems import Problem

__all__ = [
    "ERROR",
    "GOOD",
    "WARNING",
    "Section",
    "cell",
    "column",
    "heading",
    "label",
    "row",
    "text",
]

ERROR, WARNING, GOOD = "#e5484d", "#c8861a", "#2e9e62"
"""Colours that can be read on napari's dark and light themes."""


def row(*widgets: Any, left: bool = False) -> Any:
    """Return widgets side by side, without labels or margins; filling the width, or not."""
    container = Container(widgets=list(widgets), layout="horizontal", labels=False)
    if left:
        container.native.layout().setAlignment(Qt.AlignmentFlag.AlignLeft)
    container.margins = (0, 0, 0, 0)
    container.native.layout().setSpacing(3)
    return container


def column(*widgets: Any) -> Any:
    """Return widgets below each other, without labels or margins."""
    container = Container(widgets=list(widgets), labels=False)
    container.margins = (0, 0, 0, 0)
    container.native.layout().setSpacing(3)
    return container


def cell(widget: Any, width: int, tooltip: str = "") -> Any:
    """Give a widget of a row its width in pixels, and a spin box no arrows."""
    widget.native.setFixedWidth(width)
    if isinstance(widget.native, QAbstractSpinBox):
        widget.native.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    # napari's style sheet gives boxes a least width and wide margins; border and padding count.
    inner = width - 8
    widget.native.setStyleSheet(
        f"min-width: {inner}px; max-width: {inner}px; padding: 1px 3px; border-width: 1px;"
    )
    if tooltip:
        widget.tooltip = tooltip
    return widget


def text(value: str = "", *, colour: str = "", small: bool = False, rich: bool = False) -> Any:
    """Return a label that wraps."""
    label = Label(value=value or " ")
    label.native.setWordWrap(True)
    label.native.setTextFormat(
        Qt.TextFormat.RichText if rich else Qt.TextFormat.PlainText  # names of files are no HTML
    )
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = label.native.sizePolicy()
    policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
    label.native.setSizePolicy(policy)
    style = f"color: {colour};" if colour else ""
    label.native.setStyleSheet(style + ("font-size: 9pt;" if small else ""))
    return label


def label(value: str, width: int = 68) -> Any:
    """Return the name in front of a row."""
    return cell(Label(value=value), width)


def heading(value: str) -> Any:
    """Return the title of a section."""
    label = Label(value=value)
    label.native.setStyleSheet("font-weight: bold; padding-top: 4px;")
    return label


class Section:
    """A part of the form: a title, widgets, and a message with a Fix button.

    Parameters
    ----------
    title : str
        Shown above.
    widgets : sequence
        Content, top to bottom.
    on_fix : callable
        Called with the problem whose Fix was pressed.
    """

    def __init__(
        self, title: str, widgets: Sequence[Any], on_fix: Callable[[Problem], None]
    ) -> None:
        self._on_fix = on_fix
        self._problem: Problem | None = None
        self.body = column(*widgets)
        self.message = text(small=True)
        self.fix = PushButton(text="Fix")
        self.fix.changed.connect(self._pressed)
        self._notice = column(self.message, self.fix)
        self.container = column(heading(title), self.body, self._notice)
        self.container.native.layout().setSpacing(2)
        self.show(None)

    def show(self, problem: Problem | None) -> None:
        """Show a problem beside this part, or none."""
        self._problem = problem
        self._notice.visible = problem is not None
        if problem is None:
            self.message.value = ""
            return
        mark, colour = ("✖", ERROR) if problem.is_error else ("⚠", WARNING)
        self.message.value = f"{mark} {problem.message}"
        self.message.native.setStyleSheet(f"color: {colour}; font-size: 9pt;")
        self.fix.visible = problem.fix is not None
        self.fix.text = problem.fix_label or "Fix"

    def _pressed(self) -> None:
        """Mend what is shown."""
        if self._problem is not None and self._problem.fix is not None:
            self._on_fix(self._problem)
