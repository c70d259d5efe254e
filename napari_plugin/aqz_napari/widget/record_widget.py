"""The dock widget Record to Zarr: shows a plan to be edited, and a recorder at work.

It decides nothing itself: the parts of the form are in files of their own, the plan and its
problems come from `recording_plan` and `plan_problems`, a recording is started by
`RecordingStart`, shown outside of the form by `RunWatch`, and the work is done by `Recorder`.
Everything here runs on the main thread; what other threads have to say is read by a timer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, PushButton
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from aqz_napari.form.estimates import describe_plan
from aqz_napari.form.plan_problems import FIELDS, Field, Problem, problems
from aqz_napari.form.recording_plan import RecordingPlan, suggested
from aqz_napari.form.recording_start import RecordingStart
from aqz_napari.form.remote_place import storage_options
from aqz_napari.recorder.error_text import first_line
from aqz_napari.recorder.recorder_status import RecorderState
from aqz_napari.sources.frame_source import SourceError
from aqz_napari.widget.after_buttons import AfterButtons
from aqz_napari.widget.arrays_form import ArraysForm
from aqz_napari.widget.destination_form import DestinationForm
from aqz_napari.widget.form_parts import ERROR, WARNING, Section, row
from aqz_napari.widget.result_view import open_result
from aqz_napari.widget.run_panel import RunPanel, notify_of_end
from aqz_napari.widget.run_watch import RunWatch
from aqz_napari.widget.source_list import SourceList
from aqz_napari.widget.stop_form import StopForm
from aqz_napari.widget.storage_form import StorageForm

if TYPE_CHECKING:
    import napari.viewer

    from aqz_napari.recorder.recorder import Recorder
    from aqz_napari.widget.window_guard import WindowGuard

__all__ = ["RecordWidget"]

_CHECK_MS = 100
_STATUS_MS = 250
_FOLLOW_SECONDS = 1.0
_WIDTH, _SCROLL_BAR = 390, 18


class RecordWidget(QWidget):  # type: ignore[misc]  # Qt is not typed here
    """Record to Zarr.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers can be recorded, and where recordings are shown.

    Attributes
    ----------
    recorder : Recorder or None
        The recording under way, or the last one.
    sources, destination, arrays, storage, stop_form, run, after
        The parts of the form.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # napari hands a proxy to plug-ins, whose layers are other objects at each look.
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self.recorder: Recorder | None = None
        self._starting: RecordingStart | None = None
        self._start_problem: Problem | None = None
        self._watch = RunWatch(self._viewer, self, self._wait_no_longer)
        self._last_state = RecorderState.IDLE
        self._ticks = 0
        self._filling = False
        self._check_timer = QTimer(self)
        self._check_timer.setSingleShot(True)
        self._check_timer.setInterval(_CHECK_MS)
        self._check_timer.timeout.connect(self.check)
        self._build()
        self._lay_out()
        self._status_timer = QTimer(self)
        self._status_timer.setInterval(_STATUS_MS)
        self._status_timer.timeout.connect(self.tick)
        self._status_timer.start()
        self._viewer.bind_key("Control-Shift-R", lambda _: self.toggle(), overwrite=True)
        active = self._viewer.layers.selection.active
        if active is not None:
            self.sources.choose(active)
        self._sources_changed()
        self.check()

    # ---- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the parts of the form."""
        self.sources = SourceList(self._viewer, self._sources_changed)
        self.destination = DestinationForm(self._edited, lambda: self.after.try_place())
        self.arrays = ArraysForm(self.sources, self._edited)
        self.storage = StorageForm(self._edited)
        self.stop_form = StopForm(self._edited)
        self.run = RunPanel(self.toggle, self._pause)
        self.after = AfterButtons(self)
        self.suggest = PushButton(text="Suggest layout")
        self.suggest.tooltip = "Choose chunks and shards for what the source delivers"
        self.suggest.changed.connect(self._suggest)
        sections: dict[str, tuple[str, list[Any]]] = {
            "source": ("Source", [self.sources.container]),
            "destination": ("Destination", self.destination.rows),
            "dimensions": ("Dimensions", self.arrays.rows),
            "storage": (
                "Storage",
                [
                    *self.storage.rows,
                    row(self.suggest, self.after.codecs, self.after.presets),
                    self.after.codec_table,
                ],
            ),
            "stop": ("Stop", self.stop_form.rows),
        }
        self.sections = {
            name: Section(title, widgets, self._fix) for name, (title, widgets) in sections.items()
        }
        self.stop_form.hide_limit()

    def _lay_out(self) -> None:
        """Put everything below each other, to be scrolled where the dock is low."""
        containers = [section.container for section in self.sections.values()]
        self.form = Container(
            widgets=[*containers, *self.run.rows, self.after.container], labels=False
        )
        self.form.native.layout().setSpacing(2)
        self.form.native.layout().addStretch(1)
        self.form.native.setFixedWidth(_WIDTH - _SCROLL_BAR)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.form.native)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.setMinimumWidth(_WIDTH)

    def sizeHint(self) -> QSize:
        """Ask for no more than the width of the form."""
        return QSize(_WIDTH, 760)

    @property
    def guard(self) -> WindowGuard | None:
        """The guard of the window that the dock is in; None while it is in none."""
        return self._watch.guard

    # ---- the plan ----------------------------------------------------------------------------

    def plan(self) -> RecordingPlan:
        """Return what the form says."""
        return RecordingPlan(
            self.arrays.plans(),
            self.storage.plan(),
            self.stop_form.plan(),
            str(self.destination.path.value),
            str(self.destination.endpoint.value).strip(),
            str(self.destination.spill_folder.value).strip()
            if self.destination.spill.value
            else "",
        )

    def show_plan(self, plan: RecordingPlan) -> None:
        """Fill the form in from a plan for the sources that are chosen."""
        self._filling = True
        try:
            self.destination.path.value = plan.destination
            self.destination.endpoint.value = plan.endpoint
            self.destination.spill.value = bool(plan.spill_folder)
            if plan.spill_folder:
                self.destination.spill_folder.value = plan.spill_folder
            self.storage.show(plan.storage)
            self.arrays.take(plan.arrays)
        finally:
            self._filling = False
        self.check()

    def check(self) -> list[Problem]:
        """Look for problems, show each beside its field, and enable Record if there are none."""
        plan = self.plan()
        found = problems(plan, self.destination.exists)
        if self.arrays.problem:
            source = Problem("source", self.arrays.problem)
            found = [source, *(p for p in found if plan.arrays or p.field != "source")]
        found.extend(self._remote_problem(plan))
        shown = [*found, self._start_problem] if self._start_problem else list(found)
        shown.sort(key=lambda problem: not problem.is_error)  # there is room for one beside a field
        for field in FIELDS:
            self.sections[field].show(next((p for p in shown if p.field == field), None))
        errors = [problem for problem in found if problem.is_error]
        if not self.is_busy():
            self.run.show_ready(errors[0].message if errors else "")
            self.destination.show_place(plan)
        self.destination.show_parts()
        known = not any(problem.field == "dimensions" for problem in errors)
        array, shown_source = self.arrays.shown_plan(), self.arrays.shown()
        rate = self.sources.rate(shown_source) if shown_source is not None else None
        self.run.estimates.value = describe_plan(plan, array, rate) if array and known else " "
        return found

    def _remote_problem(self, plan: RecordingPlan) -> list[Problem]:
        """Warn of a remote place that cannot be listed."""
        problem = self.destination.names.problem(plan.destination.strip())
        return [Problem("destination", problem, is_error=False)] if problem else []

    def _sources_changed(self) -> None:
        """Follow the choice of sources, and what they say of themselves."""
        if hasattr(self, "after") and not self._filling:
            self._filling = True
            try:
                self.arrays.describe_again()
            finally:
                self._filling = False
            self._edited()

    def _edited(self) -> None:
        """Check soon; many edits in a row are checked once."""
        if not self._filling:
            self._start_problem = None
            self._check_timer.start()

    def _suggest(self) -> None:
        """Choose chunks and shards for all arrays."""
        plan = self.plan()
        self.show_plan(replace(plan, arrays=tuple(map(suggested, plan.arrays))))

    def _fix(self, problem: Problem) -> None:
        """Mend a problem."""
        assert problem.fix is not None
        try:
            self.show_plan(problem.fix(self.plan()))
        except OSError as error:
            self.run.say(str(error), ERROR)

    # ---- recording ---------------------------------------------------------------------------

    def is_busy(self) -> bool:
        """Tell whether a recording is awaited, opening or running."""
        running = self.recorder is not None and self.recorder.state.is_running
        return running or self._starting is not None

    def toggle(self) -> None:
        """Start, stop, or wait no longer for an acquisition."""
        if self._starting is not None:
            self._wait_no_longer()
        elif self.recorder is not None and self.recorder.state.is_running:
            self.stop()
        else:
            self.start()

    def start(self) -> bool:
        """Check once more, and open the store on another thread.

        Returns
        -------
        bool
            False when a problem keeps it from starting; the form shows which.
        """
        if self.is_busy():
            return False
        self._start_problem = None
        self._sources_changed()
        if any(problem.is_error for problem in self.check()):
            return False
        plan, sources = self.plan(), self.arrays.made()
        follow = _FOLLOW_SECONDS if self.run.follow.value else None
        self._starting = RecordingStart(plan, sources, follow)
        self._last_state = RecorderState.IDLE
        self._set_form_enabled(False)
        _ = self.guard  # from now on closing the window matters
        if self._starting.is_waiting:
            self.run.show_waiting()
        else:
            self.run.show_opening()
        self._starting.begin()
        return True

    def _wait_no_longer(self) -> None:
        """Give up an acquisition that has not begun."""
        if self._starting is not None:
            self._starting.give_up()

    def stop(self) -> None:
        """End the recording; the store is finished in the background."""
        if self.recorder is not None:
            self.recorder.stop()

    def _pause(self) -> None:
        """Pause, or go on."""
        if self.recorder is not None:
            if self.recorder.state is RecorderState.PAUSED:
                self.recorder.resume()
            else:
                self.recorder.pause()

    def tick(self) -> None:
        """Show how the recording is doing; four times a second, on the main thread."""
        self._ticks += 1
        starting = self._starting
        if starting is not None:
            if not starting.is_busy:
                self._started(starting)
            return
        recorder = self.recorder
        state = recorder.state if recorder is not None else RecorderState.IDLE
        if recorder is not None and state.is_running:
            status = recorder.status()
            self.run.show_status(status, recorder.stop_rule.frames)
            self._watch.look(status)
        elif recorder is not None and state.is_over and self._last_state is not state:
            self._finished(recorder)
        else:
            self._look_at_sources()
        self._last_state = state

    def _started(self, starting: RecordingStart) -> None:
        """React to a store that was opened, could not be, or is not wanted any more."""
        self._starting = None
        if starting.recorder is not None:
            self.recorder = starting.recorder
        error = starting.error
        if error is not None or starting.recorder is None:
            self._set_form_enabled(True)
            if error is not None:
                source = isinstance(error, SourceError)
                field: Field = "source" if source else "destination"
                self._start_problem = Problem(field, first_line(error))
            self.destination.look_again()
            self.check()
            self.run.say("The recording did not start." if error else "", ERROR)
            return
        recorder = starting.recorder
        self.run.say("")
        self.run.show_status(recorder.status(), recorder.stop_rule.frames)
        self.destination.show_store(recorder.store_path)
        self.arrays.show_only(starting.plan.arrays)
        self._watch.begin(recorder, follow=bool(self.run.follow.value))
        chosen = self.arrays.chosen()
        self._watch.feed_preview(
            [self.sources.source(source) for source in chosen],
            in_place=all(getattr(source, "name", "") != "preview" for source in chosen),
        )

    def _finished(self, recorder: Recorder) -> None:
        """Say how it ended, and show the result."""
        self._last_state = recorder.state  # adding layers lets timers run
        status = recorder.status()
        self.run.show_status(status, recorder.stop_rule.frames)
        self._set_form_enabled(True)
        self.sources.forget_made()
        self.destination.look_again()
        self._watch.end()
        self.run.show_end(status, recorder.store_path)
        self.after.show_result(recorder.store_path)
        notify_of_end(status, recorder.store_path)
        if self.run.open_after.value and status.written and not status.spill_path:
            self.open_result()
        self._sources_changed()

    def open_result(self) -> list[Any]:
        """Open the last recording as layers; a message says why if that fails."""
        if self.recorder is None:
            return []
        settings = self.recorder.settings
        path = str(settings.store_path)  # with the password that `store_path` leaves out
        options = storage_options(path, settings.s3.endpoint if settings.s3 else "")
        try:
            layers = open_result(self._viewer, path, **options)
        except Exception as error:  # a reader can raise anything; the store is not at fault
            why = str(error).replace(path, self.recorder.store_path)
            self.run.say(f"The recording could not be opened: {why}", ERROR)
            return []
        if not layers:
            self.run.say("There are no frames to open.", WARNING)
        return layers

    def _look_at_sources(self) -> None:
        """Once a second, follow layers that changed, and answers about remote names."""
        if self.destination.names.changed:
            self.destination.names.changed = False
            self.check()
        if self._ticks % 4 == 0:
            self.sources.refresh()
            if self.arrays.have_changed():
                self._sources_changed()

    def _set_form_enabled(self, enabled: bool) -> None:
        """Let the form be edited, or not."""
        for section in self.sections.values():
            section.body.enabled = enabled
        if enabled:
            self.run.show_ready("")
