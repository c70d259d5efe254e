"""The form of the dock, and what happens when something in it is pressed.

It decides nothing itself: what can be chosen is in `form.choices`, the plan and its problems come
from `recording_plan` and `plan_problems`, buttons that change or use a plan are in `plan_tools`,
and recordings are those of the viewer's `RecordingSession`. There is one panel for each viewer,
which goes from dock to dock.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QVBoxLayout, QWidget
from superqt.utils import qdebounced

from aqz_napari.form import memory
from aqz_napari.form.choices import Choices, Storage, choose
from aqz_napari.form.disk_look import DiskLook, PlanLook
from aqz_napari.form.estimates import describe_need, describe_plan
from aqz_napari.form.plan_problems import FIELDS, Field, Problem
from aqz_napari.form.recording_plan import RecordingPlan
from aqz_napari.recorder.error_text import first_line
from aqz_napari.sources.frame_source import SourceError
from aqz_napari.widget.arrays_form import ArraysForm
from aqz_napari.widget.background import Background
from aqz_napari.widget.form_parts import (
    ERROR,
    WARNING,
    NoWheel,
    Section,
    button,
    fields,
    line,
    narrow,
    wrapping_label,
)
from aqz_napari.widget.header import Header, notify_of_end
from aqz_napari.widget.place_form import PlaceForm
from aqz_napari.widget.plan_tools import PlanTools
from aqz_napari.widget.result_view import open_recording
from aqz_napari.widget.run_watch import RunWatch
from aqz_napari.widget.session import RecordingSession
from aqz_napari.widget.source_list import SourceList
from aqz_napari.widget.take_row import TakeRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aqz_napari.recorder.recorder import Recorder
    from aqz_napari.recorder.recorder_status import RecorderStatus
    from aqz_napari.widget.window_guard import WindowGuard

__all__ = ["RecordPanel"]

_CHECK_MS, _REMEMBER_MS = 100, 1000
_FOLLOW_SECONDS = 1.0
_NARROWEST, _USUAL = 280, 340
_USUAL_PRESET = "Camera time-lapse"
_FIRST = "First: "


class RecordPanel(QWidget):  # type: ignore[misc]  # Qt is not typed here
    """All of the dock: the header, and the form below it.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers can be recorded, and where recordings are shown.

    Attributes
    ----------
    session : RecordingSession
        The viewer's recordings.
    choices : Choices
        What is chosen in the form, apart from sources and their axes.
    header, take, sources, arrays, place, sections, tools, presets, codecs
        The parts.
    gone : Signal
        The window has closed, and the panel with it.
    """

    gone = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._start_problem: Problem | None = None
        self._filling = self._is_closed = False
        self._ticks = 0
        self.sections: dict[Field | str, Section] = {}  # none before the form is built
        self.session = RecordingSession()
        self.choices = Choices()
        self.choices.take(memory.recall())
        self._background = Background(self)
        self.disk = DiskLook()
        self._watch = RunWatch(viewer, self._window_closes)
        self._no_wheel = NoWheel(self)
        # One question of the user is many signals of the form: they are answered once.
        self._check_soon = qdebounced(self._check_later, timeout=_CHECK_MS)
        self._remember_soon = qdebounced(self._remember, timeout=_REMEMBER_MS)
        self._build()
        self._lay_out()
        self._connect()
        self._sources_changed()
        self.check()

    # ---- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the parts."""
        c = self.choices
        self.header = Header(self.toggle, self.session.pause, self.snap)
        self.take = TakeRow(self._background, self.header.say, self.open_result)
        self.sources = SourceList(self._viewer, c.capture, self._sources_changed)
        self.arrays = ArraysForm(self.sources, self._axes_edited)
        self.place = PlaceForm(c, lambda: self.tools.try_place())
        self.tools = PlanTools(
            c,
            self.sources,
            self.arrays,
            self.place,
            self._background,
            plan=self.plan,
            show_plan=self.show_plan,
            filling=self._fills,
            say=self.header.say,
        )
        self.presets, self.codecs = self.tools.presets, self.tools.codecs
        if c.storage == Storage():
            self.presets.show_preset(_USUAL_PRESET)
        self.reset_button = button("Reset", self.reset, "Choose what a new user finds")
        self.need = wrapping_label()
        self.estimates = wrapping_label()
        self._stop_line = self._make_stop_line()
        self._capture = fields(c.capture.gui)
        sections: dict[Field | str, tuple[str, list[QWidget], bool]] = {
            "source": ("Source", [self.sources], False),
            "destination": ("Save in", self.place.rows, False),
            "stop": ("Stop after", [self._stop_line], False),
            "preset": ("Preset", [line(self.presets, self.reset_button), self.need], False),
            "dimensions": ("Axes and calibration", self.arrays.rows, True),
            "storage": (
                "Storage",
                [
                    fields(c.storage.gui),
                    self.arrays.table.tiling,
                    self.tools.suggest_button,
                    *self.codecs.rows,
                    self.estimates,
                ],
                True,
            ),
            "advanced": (
                "Advanced",
                [
                    self._capture,
                    fields(c.frames.gui),
                    fields(c.view.gui),
                    self.tools.script_button,
                ],
                True,
            ),
        }
        self.sections = {
            name: Section(title, widgets, self.tools.fix, folded=folded)
            for name, (title, widgets, folded) in sections.items()
        }
        self._show_parts()

    def _make_stop_line(self) -> QWidget:
        """Return the limit in one line: a number, and what it counts."""
        form = self.choices.stop.gui
        narrow(form.unit.native)
        amount = form.amount.native
        amount.setMinimumWidth(60)
        return line(amount, form.unit.native, stretch=1)

    def _lay_out(self) -> None:
        """Put the header above the form, which scrolls."""
        form = QWidget()
        column = QVBoxLayout(form)
        column.setContentsMargins(8, 4, 8, 8)
        column.setSpacing(8)
        for section in self.sections.values():
            column.addWidget(section)
        column.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setWidget(form)
        self._form = form
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        take = QWidget()
        box = QVBoxLayout(take)
        box.setContentsMargins(8, 0, 8, 4)
        box.addWidget(self.take.widget)
        layout.addWidget(take)
        layout.addWidget(self._scroll, 1)
        self.setMinimumWidth(_NARROWEST)
        self._no_wheel.watch(self)

    def _connect(self) -> None:
        """Listen to the form, to the session and to the key."""
        for name, part in self.choices.parts().items():
            part.events.connect(partial(self._choice_changed, name), max_args=0)
        session = self.session
        session.began.connect(self._began)
        session.running.connect(self._runs)
        session.ended.connect(self._ended)
        session.failed.connect(self._not_started)
        session.idle.connect(self._look_at_sources)
        self._viewer.bind_key("Control-Shift-R", lambda _: self.toggle(), overwrite=True)

    def sizeHint(self) -> QSize:
        """Ask for a usual width; the dock may be narrower or wider."""
        return QSize(_USUAL, 720)

    @property
    def recorder(self) -> Recorder | None:
        """The recording under way, or the last one."""
        return self.session.recorder

    @property
    def guard(self) -> WindowGuard | None:
        """The guard of the window; None while no dock has been in one."""
        self._watch.guard_window_of(self)
        return self._watch.guard

    # ---- the plan ----------------------------------------------------------------------------

    def plan(self) -> RecordingPlan:
        """Return what the form says."""
        c = self.choices
        return RecordingPlan(
            self.arrays.plans(),
            c.storage.plan(),
            c.stop.rule(c.view.keep_free),
            c.frames.rule(),
            c.place.destination,
            c.remote.endpoint.strip() if c.place.is_remote else "",
            c.remote.spill_folder.strip() if c.remote.spill else "",
            c.view.notes.strip(),
            c.view.metadata.strip(),
        )

    def show_plan(self, plan: RecordingPlan) -> None:
        """Fill the form in from a plan for the sources that are chosen."""
        with self._fills():
            if plan.destination:
                self.choices.place.destination = plan.destination
            if plan.endpoint:
                self.choices.remote.endpoint = plan.endpoint
            self.choices.remote.spill = bool(plan.spill_folder)
            if plan.spill_folder:
                self.choices.remote.spill_folder = plan.spill_folder
            choose(self.choices.storage, asdict(plan.storage))
            self.arrays.take(plan.arrays)
        self.check()

    @contextlib.contextmanager
    def _fills(self) -> Iterator[None]:
        """Take what changes in the form meanwhile as no edit of the user's."""
        self._filling = True
        try:
            yield
        finally:
            self._filling = False

    def reset(self) -> None:
        """Choose what a new user finds: settings, axes, and the source."""
        with self._fills():
            self.choices.reset()
            self.arrays.forget_typed()
            self.presets.show_preset(_USUAL_PRESET)
        self.sources.forget_choice()
        self._remember_soon()
        self._show_parts()
        self.check()

    def check(self) -> list[Problem]:
        """Look for problems, show each beside its part, and enable Record if there are none."""
        if self.session.is_busy:
            return []  # what is recorded is settled; the next take is looked at when it is over
        plan = self.plan()
        look = self.disk.look(plan, self.place.exists)
        found = list(look.problems)
        if self.arrays.problem:
            source = Problem("source", self.arrays.problem)
            found = [source, *(p for p in found if plan.arrays or p.field != "source")]
        found.extend(self._remarks(plan))
        shown = [*found, self._start_problem] if self._start_problem else list(found)
        shown.sort(key=lambda problem: not problem.is_error)  # there is room for one beside a part
        for field in FIELDS:
            self.sections[field].show_problem(next((p for p in shown if p.field == field), None))
        errors = [problem for problem in found if problem.is_error]
        self._show_ready(look, errors[0].message if errors else "")
        self._show_estimates(plan, look.free, errors)
        self._no_wheel.watch(self)
        return found

    def _remarks(self, plan: RecordingPlan) -> list[Problem]:
        """Return what is not wrong and better known: a remote place, a source with losses."""
        found = []
        remote = self.place.names.problem(plan.destination.strip())
        if remote:
            found.append(Problem("destination", remote, is_error=False))
        hint, better = self.sources.hint()
        if hint:

            def use_it(plan: RecordingPlan) -> RecordingPlan:
                self.sources.choose(better)
                return replace(plan, arrays=self.arrays.plans())

            found.append(Problem("source", hint, False, "Record the camera", use_it))
        return found

    def _show_ready(self, look: PlanLook, problem: str) -> None:
        """Say whether recording can start, and where the next one goes."""
        self.header.show_ready(problem)
        if self.recorder is None and self._start_problem is None:
            self.header.show_idle(problem)
            if problem:
                self.header.say(f"{_FIRST}{problem}", WARNING)
            elif self.header.message.text().startswith(_FIRST):
                self.header.say("")
        self.header.show_file(look.path, self.place.note(look.path, look.free))

    def _show_estimates(self, plan: RecordingPlan, free: int | None, errors: list[Problem]) -> None:
        """Say what the plan comes to."""
        known = not any(problem.field in ("dimensions", "source") for problem in errors)
        array, shown = self.arrays.shown_plan(), self.arrays.shown()
        rate = self.sources.rate(shown) if shown is not None else None
        self.estimates.setText(describe_plan(plan, array, rate) if array and known else "")
        rates = [plan.take.rate(self.sources.rate(source)) for source in self.arrays.chosen()]
        if free is not None:
            free = max(0, free - (plan.stop.disk_floor or 0))
        self.need.setText(describe_need(plan, rates, free) if known else "")

    def _show_parts(self) -> None:
        """Show what belongs to what is chosen."""
        c = self.choices
        self.place.show_parts()
        counted = c.stop.unit == "frames"
        c.stop.gui.amount.native.setDecimals(0 if counted else 2)
        c.stop.gui.amount.native.setVisible(bool(c.stop.unit))
        self._capture.setVisible(self.sources.is_layer())
        timer = c.capture.how == "timer"
        c.capture.gui.interval.visible = c.capture.gui.skip_unchanged.visible = timer
        layers = [source for source in self.sources.chosen() if not isinstance(source, str)]
        c.capture.gui.what.visible = any(getattr(layer, "ndim", 2) > 2 for layer in layers)

    # ---- changes -----------------------------------------------------------------------------

    def _sources_changed(self) -> None:
        """Follow the choice of sources, and what they say of themselves."""
        if self.sections and not self._filling and not self.session.is_busy:
            with self._fills():
                self.arrays.describe_again()
            self._show_parts()
            self._edited()

    def _choice_changed(self, part: str) -> None:
        """Follow the user."""
        self._show_parts()
        self._remember_soon()
        if self._filling:
            return
        if part == "storage":
            self.presets.show_preset()
        if part == "capture":  # which is part of what a source describes
            self._sources_changed()
        self._edited()

    def _axes_edited(self) -> None:
        """Follow the user in the axes."""
        self.presets.show_preset()
        self._edited()

    def _edited(self) -> None:
        """Check soon; many edits in a row are checked once."""
        if not self._filling:
            self._check_soon()

    def _check_later(self) -> None:
        """Check, unless the panel is gone meanwhile."""
        self.check()

    def _remember(self) -> None:
        """Keep the settings for the next time."""
        memory.remember(self.choices.as_dict())

    # ---- recording ---------------------------------------------------------------------------

    def is_busy(self) -> bool:
        """Return whether a recording is awaited, opening or running."""
        return self.session.is_busy

    def toggle(self) -> None:
        """Start, stop, or wait no longer for an acquisition."""
        if self.session.is_busy:
            self.session.stop()
        else:
            self.start()

    def snap(self) -> bool:
        """Record one frame of each source, what a layer shows, under a name of its own.

        Returns
        -------
        bool
            As for `start`.
        """
        if "acquisition" in self.sources.chosen():
            self.header.say("A snapshot is of a layer or a camera: choose one as source.", ERROR)
            return False
        return self.start(snapshot=True)

    def start(self, *, snapshot: bool = False) -> bool:
        """Check once more, and open the store on another thread.

        Returns
        -------
        bool
            False when a problem keeps it from starting; the form shows which.
        """
        if self.session.is_busy:
            return False
        self._start_problem = None
        self._sources_changed()
        if any(problem.is_error for problem in self.check()):
            return False
        self._watch.guard_window_of(self)  # from now on closing the window matters
        self.take.hide()
        follow = _FOLLOW_SECONDS if self.choices.view.follow else None
        plan = self.plan().snapshot() if snapshot else self.plan()
        starting = self.session.start(plan, self.arrays.made(), follow)
        self._set_form_enabled(False)
        if starting.is_waiting:
            self.header.show_waiting()
        else:
            self.header.show_opening()
        return True

    def stop(self) -> None:
        """End the recording; the store is finished in the background."""
        self.session.stop()

    def tick(self) -> None:
        """Look at once how it goes."""
        self.session.tick()

    def _began(self, recorder: Recorder) -> None:
        """Show a recording that has begun."""
        c = self.choices
        self.header.say("")
        self.header.show_status(recorder.status(), recorder.stop_rule)
        self.header.show_file(recorder.store_path)
        chosen = self.arrays.chosen()
        sources = [self.sources.source(source) for source in chosen]
        self._watch.begin(recorder, sources, follow=c.view.follow)
        self._watch.feed_preview(
            in_place=all(getattr(source, "name", "") != "preview" for source in chosen)
        )

    def _runs(self, status: RecorderStatus) -> None:
        """Show how the recording is doing."""
        assert self.recorder is not None
        self.header.show_status(status, self.recorder.stop_rule)
        self._watch.look(status)
        said, in_place = self._watch.silence(status)
        if said:
            advice = " Stop, and in Advanced choose that a frame is “in place”." if in_place else ""
            self.header.say(f"{said}{advice}", WARNING)
        elif self.header.message.text().startswith("No frame has come"):
            self.header.say("")

    def _not_started(self, error: BaseException | None) -> None:
        """Show why there is no recording; what the last one made stays what it is."""
        self._set_form_enabled(True)
        self.sources.forget_made()
        self.place.look_again()
        if error is None:  # given up by the user
            self.header.show_idle("")
            self.header.say("")
        else:
            field: Field = "source" if isinstance(error, SourceError) else "destination"
            self._start_problem = Problem(field, first_line(error))
        self.check()
        if error is not None:
            self.header.show_not_started(first_line(error))

    def _ended(self, recorder: Recorder) -> None:
        """Say how it ended, once, and offer the result."""
        status = recorder.status()
        self._set_form_enabled(True)
        self.sources.forget_made()
        self.place.look_again()
        self._watch.end()
        self._sources_changed()
        self.check()
        self.header.show_end(status, recorder.store_path)
        self.take.show(status, recorder.store_path)
        notify_of_end(status, recorder.store_path)
        if self.choices.view.open_after and status.written and not status.spill_path:
            self.open_result()
        acquired = status.message.startswith("the acquisition")
        if self.choices.view.arm_again and acquired and "acquisition" in self.sources.chosen():
            self.start()

    def open_result(self) -> list[Any]:
        """Open the last recording below the other layers; a message says why if that fails."""
        if self.recorder is None:
            return []
        return open_recording(self._viewer, self.recorder, self.header.say)

    def _look_at_sources(self) -> None:
        """Once a second, follow layers that changed; at once, late answers about the place."""
        self._ticks += 1
        if self.place.names.changed or self.disk.changed:
            self.place.names.changed = self.disk.changed = False
            self.check()
        if self._ticks % 4 == 0:
            self.sources.refresh()
            if self.arrays.have_changed():
                self._sources_changed()
            elif self.isVisible():
                self._edited()  # rates, and the room on the disk

    def _set_form_enabled(self, enabled: bool) -> None:
        """Let the form be edited, or not; the focus stays with Record."""
        if not enabled and self._form.isAncestorOf(QApplication.focusWidget() or self):
            self.header.record.setFocus()
        for section in self.sections.values():
            section.body.setEnabled(enabled)

    # ---- the end -----------------------------------------------------------------------------

    def _window_closes(self) -> None:
        """Give up an acquisition that is awaited, and remember the settings."""
        self._remember()
        if self.session.starting is not None:
            self.session.stop()
        self.gone.emit()
        self.close_down()

    def close_down(self) -> None:
        """Listen to the viewer no more, and let go of its key."""
        if self._is_closed:
            return
        self._is_closed = True
        self._watch.close()
        self._remember_soon.cancel()
        self._check_soon.cancel()
        self.session.close()
        self.sources.close_down()
        self._viewer.bind_key("Control-Shift-R", None)
