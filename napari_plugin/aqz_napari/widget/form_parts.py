"""Small pieces of the form: sections with a message and a Fix, folded or not, and rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QFlowLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_napari.form.plan_problems import Problem

__all__ = [
    "ERROR",
    "GOOD",
    "IDLE",
    "WARNING",
    "NoWheel",
    "Section",
    "button",
    "fields",
    "flow",
    "line",
    "stack",
    "wrapping_label",
]

ERROR, WARNING, GOOD, IDLE = "#e5484d", "#c8861a", "#2e9e62", "#8a8d96"
"""Colours that can be read on napari's dark and light themes."""


def line(*widgets: QWidget, stretch: int | None = 0) -> QWidget:
    """Return widgets side by side; the one at position `stretch` takes the room that is left."""
    box = QWidget()
    layout = QHBoxLayout(box)
    _bare(layout)
    for position, widget in enumerate(widgets):
        layout.addWidget(widget, int(position == stretch))
    if stretch is None:
        layout.addStretch(1)
    return box


def flow(*widgets: QWidget) -> QWidget:
    """Return widgets side by side, in as many lines as the dock is narrow."""
    box = QWidget()
    layout = QFlowLayout(box)
    _bare(layout)
    for widget in widgets:
        layout.addWidget(widget)
    return box


def stack(*widgets: QWidget) -> QWidget:
    """Return widgets below each other."""
    box = QWidget()
    layout = QVBoxLayout(box)
    _bare(layout)
    for widget in widgets:
        layout.addWidget(widget)
    return box


def fields(form: Any) -> QWidget:
    """Return the form that magicgui made of a dataclass, so that it can be as narrow as a dock."""
    widget: QWidget = form.native
    layout = widget.layout()
    if layout is not None:
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
    for child in widget.findChildren(QComboBox):
        narrow(child)
    for child in widget.findChildren(QAbstractSpinBox):
        child.setMinimumWidth(0)
        child.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return widget


def narrow(box: QComboBox) -> None:
    """Let a box be narrower than its longest choice, which it shows whole when it is opened."""
    box.setMinimumContentsLength(3)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.view().setTextElideMode(Qt.TextElideMode.ElideNone)
    box.view().setMinimumWidth(box.view().sizeHintForColumn(0) + 24)


def button(text: str, act: Callable[[], Any], tip: str = "") -> QPushButton:
    """Return a button that may be as narrow as its text."""
    made = QPushButton(text)
    made.setStyleSheet("padding: 3px 6px; min-width: 0px;")
    made.setToolTip(tip)
    made.clicked.connect(lambda: act())
    return made


def wrapping_label(text: str = "") -> QLabel:
    """Return a label that wraps, and asks for no width of its own."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)  # names of files are no HTML
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = label.sizePolicy()
    policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
    label.setSizePolicy(policy)
    return label


def _show_arrow(fold: QCollapsible, title: str, is_open: bool) -> None:
    """Show whether a part is folded."""
    fold.setText(f"{'▾' if is_open else '▸'} {title}")


def _bare(layout: QLayout) -> None:
    """Take the margins away."""
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)


class NoWheel(QObject):  # type: ignore[misc]  # Qt is not typed here
    """Lets the wheel scroll the form rather than change what it passes over."""

    def watch(self, form: QWidget) -> None:
        """Watch the boxes of a form, also those that are made later: call it again."""
        for kind in (QComboBox, QAbstractSpinBox):
            for box in form.findChildren(kind):
                box.installEventFilter(self)
                box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # not by the wheel

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Leave the wheel to what is around the box."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return False


class Section(QWidget):  # type: ignore[misc]  # Qt is not typed here
    """A part of the form: a title, widgets, and a message with a Fix button.

    Parameters
    ----------
    title : str
        Shown above.
    widgets : sequence
        Content, top to bottom.
    on_fix : callable
        Called with the problem whose Fix was pressed.
    folded : bool
        Whether the content is folded away until the title is pressed. Messages are shown anyway.
    """

    def __init__(
        self,
        title: str,
        widgets: Sequence[QWidget],
        on_fix: Callable[[Problem], None],
        *,
        folded: bool = False,
    ) -> None:
        super().__init__()
        self._on_fix = on_fix
        self._problem: Problem | None = None
        self.body = stack(*widgets)
        self.message = wrapping_label()
        self.fix = button("Fix", self._pressed)
        layout = QVBoxLayout(self)
        _bare(layout)
        self.fold: QCollapsible | None = None
        if folded:
            self.fold = QCollapsible(f"▸ {title}")
            self.fold.setDuration(0)
            # Icons that are drawn once do not follow napari's theme; text does.
            self.fold.setExpandedIcon(QIcon())
            self.fold.setCollapsedIcon(QIcon())
            self.fold.toggled.connect(partial(_show_arrow, self.fold, title))
            self.fold.toggleButton().setStyleSheet(
                "text-align: left; font-weight: bold; padding: 2px 0px; border: none;"
                "background: transparent;"
            )
            self.fold.layout().setContentsMargins(0, 0, 0, 0)
            self.fold.layout().setSpacing(2)
            self.fold.content().layout().setContentsMargins(0, 0, 0, 0)
            self.fold.addWidget(self.body)
            layout.addWidget(self.fold)
        else:
            heading = QLabel(title)
            heading.setStyleSheet("font-weight: bold;")
            layout.addWidget(heading)
            layout.addWidget(self.body)
        layout.addWidget(self.message)
        layout.addWidget(self.fix)
        self.show_problem(None)

    def show_problem(self, problem: Problem | None) -> None:
        """Show a problem beside this part, or none."""
        self._problem = problem
        self.message.setVisible(problem is not None)
        self.fix.setVisible(problem is not None and problem.fix is not None)
        if problem is None:
            self.message.clear()
            return
        mark, colour = ("✖", ERROR) if problem.is_error else ("⚠", WARNING)
        self.message.setText(f"{mark} {problem.message}")
        self.message.setStyleSheet(f"color: {colour};")
        self.fix.setText(problem.fix_label or "Fix")

    def _pressed(self) -> None:
        """Mend what is shown."""
        if self._problem is not None and self._problem.fix is not None:
            self._on_fix(self._problem)
