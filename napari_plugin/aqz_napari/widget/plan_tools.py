"""Buttons that make another plan of the one in the form, or use it: presets, codecs, a script."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aqz_core as aqz
from aqz_napari.form.plan_problems import store_path_of
from aqz_napari.form.presets import apply_preset, load_choices, load_preset, save_preset
from aqz_napari.form.recording_plan import suggested
from aqz_napari.form.remote_place import try_remote
from aqz_napari.widget.form_parts import ERROR, GOOD, button
from aqz_napari.widget.storage_tools import CodecTrial, PresetBox, copy_script, current_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from aqz_napari.form.choices import Choices
    from aqz_napari.form.plan_problems import Problem
    from aqz_napari.form.recording_plan import RecordingPlan
    from aqz_napari.widget.arrays_form import ArraysForm
    from aqz_napari.widget.background import Background
    from aqz_napari.widget.place_form import PlaceForm
    from aqz_napari.widget.source_list import SourceList

__all__ = ["PlanTools"]

_REFUSALS = (aqz.AqzError, OSError, TypeError, ValueError)


class PlanTools:
    """The buttons, and what happens when they are pressed.

    Parameters
    ----------
    choices, sources, arrays, place
        Parts of the form.
    background
        Where what takes long is done.
    plan, show_plan
        Return what the form says, and fill it in.
    filling
        A context in which changes of the form are no edits of the user's.
    say
        Shows a message, in a colour.

    Attributes
    ----------
    presets, codecs, suggest_button, script_button
        What is pressed.
    """

    def __init__(
        self,
        choices: Choices,
        sources: SourceList,
        arrays: ArraysForm,
        place: PlaceForm,
        background: Background,
        *,
        plan: Callable[[], RecordingPlan],
        show_plan: Callable[[RecordingPlan], None],
        filling: Callable[[], AbstractContextManager[None]],
        say: Callable[..., None],
    ) -> None:
        self._choices, self._place = choices, place
        self._sources, self._arrays = sources, arrays
        self._background = background
        self._plan, self._show_plan = plan, show_plan
        self._filling, self._say = filling, say
        self.presets = PresetBox(self.apply_preset, self.load_preset, self.save_preset)
        self.codecs = CodecTrial(background, self.try_codecs)
        self.suggest_button = button(
            "Suggest layout", self.suggest, "Choose chunks and shards for what the source delivers"
        )
        self.script_button = button(
            "Copy as Python", self.copy_script, "Copy a script that records with these settings"
        )

    def suggest(self) -> None:
        """Choose chunks and shards for all arrays."""
        plan = self._plan()
        self._show_plan(replace(plan, arrays=tuple(map(suggested, plan.arrays))))

    def fix(self, problem: Problem) -> None:
        """Repair what a problem is about."""
        assert problem.fix is not None
        try:
            self._show_plan(problem.fix(self._plan()))
        except OSError as error:
            self._say(str(error), ERROR)

    def apply_preset(self, name: str) -> None:
        """Apply a built-in preset."""
        self._show_plan(apply_preset(self._plan(), name))
        self.presets.show_preset(name)

    def load_preset(self, path: str) -> None:
        """Apply a preset of a file, with the choices that only this form knows."""
        try:
            plan, more = load_preset(self._plan(), path), load_choices(path)
        except _REFUSALS as error:
            self._say(str(error), ERROR)
            return
        with self._filling():
            self._choices.take(more)
        self._show_plan(plan)
        self.presets.show_preset()

    def save_preset(self, path: str) -> None:
        """Save the form as a file."""
        try:
            save_preset(self._plan(), path, self._choices.as_dict())
        except _REFUSALS as error:
            self._say(str(error), ERROR)
            return
        self._say(f"Saved to {path}.", GOOD)

    def try_place(self) -> None:
        """Try to write where a remote store would be, without holding up the window."""
        plan = self._plan()
        try:
            path = store_path_of(plan, self._place.exists)
        except (ValueError, RuntimeError) as error:
            self._say(str(error), ERROR)
            return
        shown = aqz.without_password(path)
        self._say(f"Trying {shown} …")

        def finished(problem: Any) -> None:
            found = str(problem)
            self._say(found or f"{shown} can be written.", ERROR if found else GOOD)

        self._background.do(lambda: try_remote(path, plan.endpoint), finished)

    def try_codecs(self) -> None:
        """Compress the current frame with every codec, and show a table."""
        plan, sources = self._plan(), self._sources
        frame = current_frame(sources.chosen())
        if frame is None or not plan.arrays:
            self._say("Choose a layer first: codecs are tried on its frame.", ERROR)
            return
        pairs = zip(plan.arrays, self._arrays.chosen(), strict=True)
        needed = sum((sources.rate(s) or 0.0) * a.update_nbytes / 1e6 for a, s in pairs)
        self.codecs.begin(frame, plan, needed)

    def copy_script(self) -> str:
        """Copy a script that records with these settings; return it."""
        try:
            script = copy_script(self._plan(), self._place.exists)
        except (aqz.AqzError, TypeError, ValueError, IndexError) as error:
            self._say(f"There is no script yet: {error}", ERROR)
            return ""
        self._say("The script is in the clipboard.", GOOD)
        return script
