"""The dock widget Record to Zarr: shows a plan to be edited, and a recorder at work.

It decides nothing itself: the plan and its problems come from `recording_plan` and
`plan_problems`, the work is done by `Recorder`. Everything here runs on the main thread; what
other threads have to say is read by a timer.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSpinBox,
    Label,
    LineEdit,
    PushButton,
    SpinBox,
)
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from aqz_napari.after_buttons import AfterButtons
from aqz_napari.axis_table import AxisTable
from aqz_napari.destination import (
    DEFAULT_DESTINATION,
    free_bytes,
    is_remote,
    short_path,
    try_remote,
)
from aqz_napari.estimates import estimate, memory_needed, readable_bytes
from aqz_napari.form_parts import ERROR, GOOD, WARNING, Section, cell, row, text
from aqz_napari.frame_source import SourceError
from aqz_napari.plan_problems import FIELDS, Problem, problems, store_path_of
from aqz_napari.recorder import Recorder
from aqz_napari.recorder_status import RecorderState, RecorderStatus, StopRule
from aqz_napari.recording_plan import (
    CODECS,
    PYRAMIDS,
    ArrayPlan,
    RecordingPlan,
    StoragePlan,
    array_keys,
    array_plan,
    suggested,
)
from aqz_napari.result_view import LiveView, open_result
from aqz_napari.source_list import SourceList
from aqz_napari.window_guard import WindowGuard

if TYPE_CHECKING:
    import napari.viewer

    from aqz_napari.frame_source import FrameSource, SourceSpec

__all__ = ["RecordWidget"]

_CHECK_MS = 100
_STATUS_MS = 200
_LIMITS = {
    "when I press Stop": "",
    "after frames": "frames",
    "after seconds": "seconds",
    "after MB": "MB",
}
_SHUFFLES = {"no shuffle": 0, "bytes": 1, "bits": 2}
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
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # napari hands a proxy to plug-ins, whose layers are other objects at each look.
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self.recorder: Recorder | None = None
        self._opening: threading.Thread | None = None
        self._opening_error: BaseException | None = None
        self._start_problem: Problem | None = None
        self._arrays: dict[object, tuple[SourceSpec, ArrayPlan]] = {}
        self._source_problem = ""
        self._live: LiveView | None = None
        self._titles: dict[str, object] = {}
        self._last_state = RecorderState.IDLE
        self._ticks = 0
        self._filling = False
        self._build()
        self._lay_out()
        self._check_timer = QTimer(self)
        self._check_timer.setSingleShot(True)
        self._check_timer.setInterval(_CHECK_MS)
        self._check_timer.timeout.connect(self.check)
        self._status_timer = QTimer(self)
        self._status_timer.setInterval(_STATUS_MS)
        self._status_timer.timeout.connect(self.tick)
        self._status_timer.start()
        self._guard: WindowGuard | None = None
        self._bind_key()
        self.sources.choose(*self._active_layer())
        self._sources_changed()
        self.check()

    # ---- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the widgets."""
        self.sources = SourceList(self._viewer, self._sources_changed)
        self.array = ComboBox(choices=[])
        self.array.tooltip = "Several sources go into one store; choose whose array is shown"
        self.array.changed.connect(self._show_array)
        self.destination = LineEdit(value=DEFAULT_DESTINATION)
        self.destination.tooltip = (
            "Path or URL of the store. {date} {time} {layer} and {n:03}, the next free number, "
            "are filled in."
        )
        self.browse = cell(PushButton(text="…"), 28, "Choose a folder")
        self.browse.changed.connect(self._browse)
        self.try_place = cell(PushButton(text="Test"), 44, "Write and remove a small object there")
        self.try_place.changed.connect(self._try_place)
        self.place = text(small=True)
        self.table = AxisTable(self._axes_edited)
        self.suggest = PushButton(text="Suggest layout")
        self.suggest.tooltip = "Choose chunks and shards for what the source delivers"
        self.suggest.changed.connect(self._suggest)
        self.codec = cell(ComboBox(choices=list(CODECS), value="blosc-lz4"), 104, "Compression")
        self.level = cell(SpinBox(value=1, min=0, max=22), 40, "Level: more is smaller and slower")
        self.shuffle = cell(
            ComboBox(choices=list(_SHUFFLES), value="bytes"), 92,
            "Order bytes or bits before a Blosc codec; helps with camera pixels",
        )  # fmt: skip
        self.pyramid = cell(
            ComboBox(choices=list(PYRAMIDS), value="none"), 104,
            "Record smaller versions for viewing as well, reduced in this way",
        )  # fmt: skip
        self.levels = cell(SpinBox(value=0, min=0, max=16), 40, "Most levels; 0: as many as useful")
        self.version = cell(
            ComboBox(choices=[("Zarr V3", 3), ("Zarr V2", 2)], value=3), 92,
            "V3 is OME-Zarr 0.5 with shards; V2 is OME-Zarr 0.4, a file per chunk",
        )  # fmt: skip
        self.rule = cell(ComboBox(choices=list(_LIMITS)), 172, "When the recording ends by itself")
        self.limit = cell(FloatSpinBox(value=100, min=0.1, max=1e12, step=10), 84)
        self.floor = cell(
            FloatSpinBox(value=1, min=0, max=1e6, step=1), 60,
            "Stop when fewer GB are free on the disk; 0 for no limit",
        )  # fmt: skip
        self.rule.changed.connect(
            lambda: setattr(self.limit, "visible", bool(_LIMITS[self.rule.value]))
        )
        for widget in (
            self.destination, self.codec, self.level, self.shuffle, self.pyramid, self.levels,
            self.version, self.rule, self.limit, self.floor,
        ):  # fmt: skip
            widget.changed.connect(self._edited)
        self._build_run()
        self.after = AfterButtons(self)
        sections: dict[str, tuple[str, list[Any]]] = {
            "source": ("Source", [self.sources.container]),
            "destination": (
                "Destination", [row(self.destination, self.browse, self.try_place), self.place],
            ),
            "dimensions": ("Dimensions", [self.array, self.table.container]),
            "storage": (
                "Storage",
                [
                    row(self.codec, self.level, self.shuffle, left=True),
                    row(self.pyramid, self.levels, self.version, left=True),
                    row(self.suggest, self.after.codecs, self.after.presets),
                    self.after.codec_table,
                ],
            ),
            "stop": (
                "Stop", [
                    row(self.rule, self.limit, left=True),
                    row(cell(Label(value="keep free, GB"), 110), self.floor, left=True),
                ],
            ),
        }  # fmt: skip
        self.sections = {
            name: Section(title, widgets, self._fix) for name, (title, widgets) in sections.items()
        }
        self.limit.visible = self.try_place.visible = self.array.visible = False

    def _build_run(self) -> None:
        """Make what starts and shows a recording."""
        self.record = PushButton(text="● Record")
        self.record.tooltip = "Start or stop recording (Ctrl+Shift+R)"
        self.record.native.setMinimumHeight(34)
        self.record.changed.connect(self.toggle)
        self.pause = cell(PushButton(text="Pause"), 70, "Take no frames for a while; marks a gap")
        self.pause.changed.connect(self._pause)
        self.pause.enabled = False
        self._run_row = row(self.record, self.pause)
        self.estimates = text(small=True)
        self.progress = text()
        self.health = text(rich=True)
        self.message = text(small=True)
        self.open_after = CheckBox(text="open when done", value=True)
        self.follow = CheckBox(text="follow while recording", value=False)
        self.follow.tooltip = "Show what is in the store while it grows, the newest frame in front"
        self._options_row = row(self.open_after, self.follow)

    def _lay_out(self) -> None:
        """Put everything below each other, to be scrolled where the dock is low."""
        self.form = Container(
            widgets=[
                *[section.container for section in self.sections.values()],
                self.estimates,
                self._run_row,
                self.progress,
                self.health,
                self.message,
                self._options_row,
                self.after.container,
            ],
            labels=False,
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
        if self._guard is None:
            parent = self.parentWidget()
            while parent is not None and not isinstance(parent, QMainWindow):
                parent = parent.parentWidget()
            if parent is not None:
                self._guard = WindowGuard(parent)
        return self._guard

    def _bind_key(self) -> None:
        """Let Ctrl+Shift+R start and stop."""
        self._viewer.bind_key("Control-Shift-R", lambda _: self.toggle(), overwrite=True)

    def _active_layer(self) -> list[object]:
        """Return the layer that is selected in the viewer, if it is on offer."""
        active = self._viewer.layers.selection.active
        return [active] if active is not None else self.sources.chosen()

    # ---- the plan ----------------------------------------------------------------------------

    def plan(self) -> RecordingPlan:
        """Return what the form says."""
        chosen = [source for source in self.sources.chosen() if source in self._arrays]
        titles = [self._arrays[source][0].name for source in chosen]
        arrays = tuple(
            replace(self._arrays[source][1], key=key)
            for source, key in zip(chosen, array_keys(titles), strict=True)
        ) if chosen else ()  # fmt: skip
        limit, what = float(self.limit.value), _LIMITS[self.rule.value]
        floor = int(float(self.floor.value) * 1e9)
        return RecordingPlan(
            arrays,
            StoragePlan(
                str(self.codec.value), int(self.level.value), _SHUFFLES[self.shuffle.value],
                str(self.pyramid.value), int(self.levels.value), int(self.version.value),
            ),
            StopRule(
                frames=max(1, int(limit)) if what == "frames" else None,
                seconds=limit if what == "seconds" else None,
                nbytes=int(limit * 1e6) if what == "MB" else None,
                disk_floor=floor or None,
            ),
            str(self.destination.value),
        )  # fmt: skip

    def show_plan(self, plan: RecordingPlan) -> None:
        """Fill the form in from a plan for the sources that are chosen."""
        storage = plan.storage
        self._filling = True
        try:
            self.destination.value = plan.destination
            self.codec.value, self.level.value = storage.codec, storage.level
            self.shuffle.value = {v: k for k, v in _SHUFFLES.items()}[storage.shuffle]
            self.pyramid.value, self.levels.value = storage.pyramid, storage.levels
            self.version.value = storage.version
            for source, array in zip(self._planned(), plan.arrays, strict=True):
                self._arrays[source] = (self._arrays[source][0], array)
            self._show_array()
        finally:
            self._filling = False
        self.check()

    def _planned(self) -> list[object]:
        """Return the chosen sources that have an array, in order."""
        return [source for source in self.sources.chosen() if source in self._arrays]

    def _sources_changed(self) -> None:
        """Describe the chosen sources anew; what was edited stays where they are the same."""
        if not hasattr(self, "array"):
            return
        self._source_problem = ""
        kept: dict[object, tuple[SourceSpec, ArrayPlan]] = {}
        for source in self.sources.chosen():
            try:
                spec = self.sources.source(source).describe()
            except (SourceError, ValueError, RuntimeError) as error:
                self._source_problem = str(error)
                continue
            before = self._arrays.get(source)
            kept[source] = before if before and before[0] == spec else (spec, array_plan("", spec))
        self._arrays = kept
        titles: dict[str, object] = {}
        for source in self._planned():
            name = self._arrays[source][0].name
            titles[name if name not in titles else f"{name} ({len(titles) + 1})"] = source
        self._titles = titles
        if tuple(titles) != tuple(self.array.choices):
            self._filling = True
            self.array.choices = list(titles)
            self._filling = False
        self.array.visible = len(titles) > 1
        self._show_array()
        self._edited()

    def _shown(self) -> object | None:
        """Return the source whose array is shown."""
        planned = self._planned()
        return self._titles.get(self.array.value, planned[0] if planned else None)

    def _show_array(self) -> None:
        """Show the dimensions of the array that is chosen."""
        shown = self._shown()
        self.table.show(self._arrays[shown][1].axes if shown in self._arrays else ())
        self.table.container.visible = shown in self._arrays

    def _axes_edited(self) -> None:
        """Take over what the user did to the dimensions."""
        shown = self._shown()
        if shown in self._arrays:
            spec, array = self._arrays[shown]
            self._arrays[shown] = (spec, replace(array, axes=self.table.axes()))
        self._edited()

    def _edited(self) -> None:
        """Check soon; many edits in a row are checked once."""
        if not self._filling and hasattr(self, "_check_timer"):
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
            self._say(str(error), ERROR)

    def check(self) -> list[Problem]:
        """Look for problems, show each beside its field, and enable Record if there are none."""
        plan = self.plan()
        if self._source_problem and not plan.arrays:
            found = [Problem("source", self._source_problem)]
        else:
            found = problems(plan)
            if self._source_problem:
                found.insert(0, Problem("source", self._source_problem))
        shown = [*found, self._start_problem] if self._start_problem else found
        for field in FIELDS:
            self.sections[field].show(next((p for p in shown if p.field == field), None))
        errors = [problem for problem in found if problem.is_error]
        if not self._is_busy():
            self.record.enabled = not errors
            self.record.tooltip = (
                f"First: {errors[0].message}" if errors else "Start recording (Ctrl+Shift+R)"
            )
        self._show_place(plan)
        self._show_estimates(plan, errors)
        return found

    def _show_place(self, plan: RecordingPlan) -> None:
        """Show where the store will be, or is being recorded, and the space there."""
        if self._is_busy() and self.recorder is not None:
            self.place.value = f"→ {short_path(self.recorder.store_path)}"
            return
        try:
            path = store_path_of(plan)
        except ValueError:
            self.place.value = " "
            return
        self.try_place.visible = is_remote(path)
        free = free_bytes(path)
        space = "" if free is None else f"  ({readable_bytes(free)} free)"
        self.place.value = f"→ {short_path(path)}{space}"

    def _show_estimates(self, plan: RecordingPlan, errors: list[Problem]) -> None:
        """Show what the plan comes to."""
        if not plan.arrays or any(problem.field == "dimensions" for problem in errors):
            self.estimates.value = " "
            return
        shown = self._shown()
        array = self._arrays[shown][1] if shown in self._arrays else plan.arrays[0]
        sizes = estimate(array)
        memory = memory_needed(plan)
        rate = self.sources.rate(shown) if shown is not None else None
        parts = [
            f"chunk {readable_bytes(sizes.chunk_nbytes)}",
            f"shard {readable_bytes(sizes.shard_nbytes)}",
            f"1000 frames: {readable_bytes(sizes.nbytes_per_1000)} raw, "
            f"{sizes.files_per_1000} file{'s' * (sizes.files_per_1000 != 1)}",
        ]
        if memory is not None:
            parts.append(f"memory {readable_bytes(memory)}")
        if rate:
            parts.append(f"needs {rate * array.update_nbytes / 1e6:.0f} MB/s")
        self.estimates.value = " · ".join(parts)

    # ---- recording ---------------------------------------------------------------------------

    def _is_busy(self) -> bool:
        """Tell whether a recording is opening or running."""
        running = self.recorder is not None and self.recorder.state.is_running
        return running or self._opening is not None

    def toggle(self) -> None:
        """Start, or stop."""
        if self.recorder is not None and self.recorder.state.is_running:
            self.stop()
        elif self._opening is None:
            self.start()

    def start(self) -> bool:
        """Check once more, and open the store on another thread.

        Returns
        -------
        bool
            False when a problem keeps it from starting; the form shows which.
        """
        self._sources_changed()
        if self._is_busy() or any(problem.is_error for problem in self.check()):
            return False
        plan = self.plan()
        try:
            settings = plan.settings(store_path_of(plan))
            sources: dict[str, FrameSource] = {
                array.key: self.sources.source(source)
                for array, source in zip(plan.arrays, self._planned(), strict=True)
            }
        except (SourceError, TypeError, ValueError) as error:
            self._say(str(error), ERROR)
            return False
        self.recorder = Recorder(
            settings,
            sources,
            stop_rule=plan.stop,
            publish_every=_FOLLOW_SECONDS if self.follow.value else None,
        )
        self._opening_error = self._start_problem = None
        self._opening = threading.Thread(target=self._open, args=(self.recorder,), daemon=True)
        self._last_state = RecorderState.IDLE
        self._set_form_enabled(False)
        self.record.text = "Opening…"
        self._say("", "")
        self._opening.start()
        self._show_place(plan)
        return True

    def stop(self) -> None:
        """End the recording; the store is finished in the background."""
        if self.recorder is not None:
            self.recorder.stop()

    def _open(self, recorder: Recorder) -> None:
        """Open the store; runs on its own thread, because a bucket may take seconds."""
        try:
            recorder.start()
        except Exception as error:
            self._opening_error = error

    def _pause(self) -> None:
        """Pause, or go on."""
        if self.recorder is not None:
            if self.recorder.state is RecorderState.PAUSED:
                self.recorder.resume()
            else:
                self.recorder.pause()

    def tick(self) -> None:
        """Show how the recording is doing; five times a second, on the main thread."""
        self._ticks += 1
        if self._opening is not None and not self._opening.is_alive():
            self._opened()
        recorder = self.recorder
        if recorder is None or self._opening is not None:
            self._look_at_sources()
            return
        state = recorder.state
        if state.is_running:
            self._show_progress(recorder.status())
            if self._live is not None and self._ticks % 3 == 0:
                self._live.update()
            self._show_preview()
        elif state.is_over and self._last_state is not state:
            self._finished(recorder)
        else:
            self._look_at_sources()
        self._last_state = state

    def _opened(self) -> None:
        """React to a store that was opened, or could not be."""
        self._opening = None
        assert self.recorder is not None
        error = self._opening_error
        if error is not None:
            message = (str(error) or type(error).__name__).splitlines()[0]
            if not self.recorder.state.is_running and not self.recorder.state.is_over:
                self.recorder = None
            self._set_form_enabled(True)
            field = "source" if isinstance(error, SourceError) else "destination"
            self._start_problem = Problem(field, message)  # type: ignore[arg-type]
            self.check()
            self._say("The recording did not start.", ERROR)
            return
        if self.guard is not None:
            self.guard.watch(self.recorder)
        if self.follow.value and not is_remote(self.recorder.store_path):
            keys = list(self.recorder.taps)
            self._live = LiveView(self._viewer, self.recorder.store_path, keys)

    def _show_progress(self, status: RecorderStatus) -> None:
        """Show counts and rates."""
        paused = status.state is RecorderState.PAUSED
        finishing = status.state is RecorderState.FINISHING
        self.record.text = "Finishing…" if finishing else "■ Stop"
        self.record.enabled = not finishing
        self.pause.enabled = not finishing
        self.pause.text = "Go on" if paused else "Pause"
        assert self.recorder is not None
        limit = self.recorder.stop_rule.frames
        of = f" / {limit}" if limit else ""
        self.progress.value = (
            f"{'Ⅱ paused · ' if paused else ''}{status.written}{of} frames · "
            f"{readable_bytes(status.nbytes)} · {status.seconds:.0f} s · "
            f"{status.frames_per_second:.1f} fps · {status.megabytes_per_second:.1f} MB/s"
        )
        self.health.value = _health(status)
        if status.queue_fill >= 0.8:
            self._say(
                "The store is slower than the frames: use a faster codec or a lower level, whole "
                "frames per chunk, or a faster disk.", WARNING,
            )  # fmt: skip
        if self.guard is not None:
            self.guard.show_text(
                f"● {'paused' if paused else 'recording'}: {status.written} frames, "
                f"dropped {status.dropped}",
                alarm=status.dropped > 0,
            )

    def _show_preview(self) -> None:
        """Give napari-micromanager's preview the newest frame: the recorder took it away."""
        if self.recorder is None or "preview" not in self._viewer.layers:
            return
        for source in self._planned():
            latest = getattr(self.sources.source(source), "latest", None)
            if latest is not None:
                self._viewer.layers["preview"].data = latest

    def _finished(self, recorder: Recorder) -> None:
        """Say how it ended, and show the result."""
        self._last_state = recorder.state  # adding layers lets timers run
        status = recorder.status()
        self._show_progress(replace(status, state=RecorderState.FINISHING))
        self._set_form_enabled(True)
        self.sources.forget_made()
        if self._live is not None:
            self._live.close()
            self._live = None
        if self.guard is not None:
            self.guard.watch(None)
            self.guard.show_text("")
        failed = status.state is RecorderState.FAILED
        size, path = readable_bytes(status.nbytes), short_path(recorder.store_path)
        self._say(
            f"{'Failed' if failed else 'Done'}: {status.message}. {status.written} frames, {size} "
            f"in {status.seconds:.1f} s, dropped {status.dropped}.\n{path}",
            ERROR if failed or status.dropped else GOOD,
        )
        self.after.show_result(recorder.store_path)
        _notify(status, recorder.store_path)
        if self.open_after.value and status.written:
            self.open_result()
        self._sources_changed()

    def open_result(self) -> list[Any]:
        """Open the last recording as layers; a message says why if that fails."""
        if self.recorder is None:
            return []
        try:
            layers = open_result(self._viewer, self.recorder.store_path)
        except Exception as error:  # a reader can raise anything; the store is not at fault
            self._say(f"The recording could not be opened: {error}", ERROR)
            return []
        if not layers:
            self._say("There are no frames to open.", WARNING)
        return layers

    def _look_at_sources(self) -> None:
        """Once a second, follow layers that changed their scale, units or shape."""
        if self._ticks % 5 == 0 and not self._is_busy():
            self.sources.refresh()
            for source in self._planned():
                try:
                    changed = self.sources.source(source).describe() != self._arrays[source][0]
                except (SourceError, ValueError, RuntimeError):
                    changed = True
                if changed:
                    self._sources_changed()
                    break

    def _set_form_enabled(self, enabled: bool) -> None:
        """Let the form be edited, or not."""
        for section in self.sections.values():
            section.body.enabled = enabled
        if enabled:
            self.record.text, self.record.enabled = "● Record", True
            self.pause.text, self.pause.enabled = "Pause", False

    def _say(self, message: str, colour: str) -> None:
        """Show a message below the progress."""
        self.message.value = message or " "
        self.message.native.setStyleSheet(f"color: {colour}; font-size: 9pt;" if colour else "")

    def _browse(self) -> None:
        """Choose the folder of the store."""
        from qtpy.QtWidgets import QFileDialog

        folder = QFileDialog.getExistingDirectory(self, "Folder for recordings")
        if folder:
            name = str(self.destination.value).rpartition("/")[2] or "{layer}_{n:03}.ome.zarr"
            self.destination.value = f"{folder}/{name}"

    def _try_place(self) -> None:
        """Try to write where a remote store would be, without holding up the window."""
        path = store_path_of(self.plan())
        self._say(f"Trying {path} …", "")

        def finished(problem: str) -> None:
            self._say(problem or f"{path} can be written.", ERROR if problem else GOOD)

        self.after.in_background(lambda: try_remote(path), finished)


def _health(status: RecorderStatus) -> str:
    """Return queue, dropped frames and free disk, coloured."""
    queue = f"queue {100 * status.queue_fill:.0f} %"
    if status.queue_fill >= 0.8:
        queue = f'<span style="color:{WARNING}">{queue}</span>'
    firsts = [c.first_dropped for c in status.arrays.values() if c.first_dropped is not None]
    dropped = f'<span style="color:{GOOD}">dropped 0 ✔</span>'
    if status.dropped:
        first = f", the first is number {min(firsts)}" if firsts else ""
        dropped = f'<b style="color:{ERROR}">dropped {status.dropped}{first}</b>'
    free = f" · {readable_bytes(status.free_disk)} free" if status.free_disk is not None else ""
    return f"{queue} · {dropped}{free}"


def _notify(status: RecorderStatus, path: str) -> None:
    """Tell napari's notifications."""
    from napari.utils import notifications

    if status.state is RecorderState.FAILED:
        notifications.show_error(f"Recording failed: {status.message}")
    elif status.dropped:
        notifications.show_warning(f"Recorded {status.written} frames, dropped {status.dropped}")
    else:
        notifications.show_info(f"Recorded {status.written} frames to {path}")
