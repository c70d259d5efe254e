"""Random acquisitions on real engines, compared with `run_model`.

``python -m tests.micromanager.random_plans ENGINE EXAMPLES [SEED [shrink]]`` with ``plus``
(pymmcore-plus) or ``pycro`` (pycro-manager) prints what differs and the plan that it differs for,
and with ``shrink`` looks for a small one.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from aqz_micromanager import MDAHandler, ZarrProcessor
from tests.micromanager.run_model import Frame, Run, differences
from tests.micromanager.scenarios import add_second_camera, plus_core, start

SIZE = 16
PRESETS = ["DAPI", "FITC", "Cy5", "Rhodamine"]
LABELS = ["left", "right", "A1", "細胞", "a/b", "zarr.json", "x" * 120, "µ", "left", None]


# ---- pymmcore-plus ------------------------------------------------------------------------------


def channels():
    """Return a strategy for channels of a sequence."""
    one = st.fixed_dictionaries(
        {"config": st.sampled_from(PRESETS)},
        optional={
            "do_stack": st.booleans(),
            "acquire_every": st.integers(1, 3),
            "z_offset": st.just(0.0),
        },
    )
    return st.lists(one, max_size=3, unique_by=lambda channel: channel["config"])


def z_plans():
    """Return a strategy for stacks: up and down, even and not."""
    heights = st.integers(-20, 20).map(float)
    return st.one_of(
        st.none(),
        st.builds(lambda r, s: {"range": r * s, "step": s}, st.integers(0, 3), st.just(1.5)),
        st.builds(
            lambda bottom, n, up: {"top": bottom + n * 2, "bottom": bottom, "step": 2, "go_up": up},
            heights,
            st.integers(0, 3),
            st.booleans(),
        ),
        st.lists(heights, min_size=1, max_size=4, unique=True).map(lambda z: {"absolute": z}),
    )


def grids():
    """Return a strategy for tiles: with overlap, in several orders, at random places."""
    return st.one_of(
        st.fixed_dictionaries(
            {"rows": st.integers(1, 2), "columns": st.just(2)},
            optional={
                "overlap": st.sampled_from([10, (-5, 20)]),
                "mode": st.sampled_from(["row_wise", "column_wise", "row_wise_snake", "spiral"]),
                "relative_to": st.sampled_from(["center", "top_left"]),
            },
        ),
        st.builds(
            lambda n: {"num_points": n, "max_width": 90, "max_height": 90, "random_seed": n},
            st.integers(1, 3),
        ),
    )


def plates():
    """Return a strategy for well plates, some with several points in each well."""
    return st.builds(
        lambda kind, rows, points: {
            "plate": kind,
            "a1_center_xy": (0, 0),
            "selected_wells": (rows, [1, 0][: len(rows)]),
            **({"well_points_plan": {"rows": 1, "columns": 2}} if points else {}),
        },
        st.sampled_from(["24-well", "96-well"]),
        st.sampled_from([[0], [0, 1], [1, 0]]),
        st.booleans(),
    )


@st.composite
def positions(draw):
    """Draw a position, some with a sequence of its own."""
    found = {"x": float(draw(st.integers(-50, 50))), "y": float(draw(st.integers(-50, 50)))}
    if draw(st.booleans()):
        found["z"] = float(draw(st.integers(0, 30)))
    name = draw(st.sampled_from(LABELS))
    if name is not None:
        found["name"] = name
    if draw(st.integers(0, 3)) == 0:
        inner = {"channels": draw(channels()), "z_plan": draw(z_plans())}
        if draw(st.integers(0, 3)) == 0:
            inner["grid_plan"] = draw(grids())
        found["sequence"] = {name: value for name, value in inner.items() if value}
        if "z_plan" in found["sequence"] and "range" in inner["z_plan"]:
            found.setdefault("z", 10.0)
    return found


@st.composite
def sequences(draw):
    """Draw the arguments of a useq sequence."""
    z_plan = draw(z_plans())
    places = draw(st.lists(positions(), max_size=3))
    if z_plan is not None and "range" in z_plan:
        for place in places:
            place.setdefault("z", 0.0)
    order = draw(st.permutations(list("tpgcz")))
    if z_plan is not None or any("z_plan" in place.get("sequence", {}) for place in places):
        order.remove("z")  # useq wants it behind what it hangs on
        order.append("z")
    if order.index("g") < order.index("p"):
        order.remove("g")
        order.insert(order.index("p") + 1, "g")
    found = {
        "axis_order": "".join(order),
        "channels": draw(channels()),
        "z_plan": z_plan,
        "stage_positions": places,
        "metadata": {"sample": draw(st.sampled_from(["mouse", "細胞"]))},
    }
    loops = draw(st.integers(0, 3))
    if loops:
        found["time_plan"] = {"interval": draw(st.sampled_from([0, 0.01])), "loops": loops}
    if draw(st.integers(0, 4)) == 0 and not any(
        "grid_plan" in p.get("sequence", {}) for p in places
    ):
        found["grid_plan"] = draw(grids())
    elif draw(st.integers(0, 5)) == 0 and (z_plan is None or "range" not in z_plan):
        found["stage_positions"] = draw(plates())
    found["keep_shutter_open_across"] = draw(st.sampled_from([(), ("z",), ("t", "c")]))
    if draw(st.integers(0, 4)) == 0:
        found["autofocus_plan"] = {
            "autofocus_device_name": "Z",
            "autofocus_motor_offset": 25,
            "axes": ("p",),
        }
    return found


class PlusRuns:
    """Runs sequences on one core of pymmcore-plus."""

    def __init__(self):
        self.core = plus_core(SIZE)
        add_second_camera(self.core)
        logging.getLogger("pymmcore-plus").setLevel(logging.CRITICAL)
        self.frames = []
        self.core.mda.events.frameReady.connect(self._keep)
        self._cancel_at = None

    def _keep(self, pixels, event, metadata):
        self.frames.append((pixels.copy(), event))
        if len(self.frames) == self._cancel_at:
            self.core.mda.cancel()

    def _set_up(self, camera):
        """Choose the devices of one run."""
        self.core.mda.engine.use_hardware_sequencing = camera == "burst"
        self.core.setCameraDevice("Multi" if camera == "two" else "Camera")
        self.core.setProperty("Camera", "PixelType", "32bitRGB" if camera == "colour" else "16bit")
        self._cameras = ["Camera", "Camera2"] if camera == "two" else [None]

    def check(self, arguments, as_events, cancel_at, camera="one"):
        """Run a sequence and return what its store says wrongly; None if useq refuses it."""
        import useq

        try:
            sequence = useq.MDASequence(
                **{k: v for k, v in arguments.items() if v not in (None, [])}
            )
            events = [event for event in sequence if _acquires(event)]
        except Exception:
            return None
        if not events or len(events) > 24:
            return None
        self._set_up(camera)
        self.frames.clear()
        self._cancel_at = (
            cancel_at if cancel_at is not None and cancel_at < len(events) - 1 else None
        )
        if camera in ("two", "burst"):
            self._cancel_at = None  # it ends with the frames of an event
        with _folder() as folder, MDAHandler(folder / "run.ome.zarr", core=self.core) as handler:
            self.core.mda.run(list(sequence) if as_events else sequence, output=handler)
            handler.close()
            run = self._run(sequence, events, as_events)
            state = "complete" if self._cancel_at is None else "interrupted"
            if as_events and self._cancel_at is None:
                state = handler.state
            return differences(run, folder / "run.ome.zarr", known=not as_events, state=state)

    def _run(self, sequence, events, as_events):
        """Return what was planned, with the pixels of what came."""
        came = {}
        for pixels, event in self.frames:
            came.setdefault(_index(event), []).append(pixels)
        run = Run()
        tiles = _tiles(None if as_events else sequence)
        for event in events:
            index = dict(_index(event))
            site = tuple(index[name] for name in ("p", "g") if name in index)
            axes = {
                {"t": "time", "c": "channel"}.get(name, name): value
                for name, value in index.items()
                if name not in ("p", "g")
            }
            if "channel" in axes:
                axes["channel"] = event.channel.config
            for number, camera in enumerate(self._cameras):
                known = () if camera is None else (("cam", number),)
                pixels = came.get(tuple(sorted((*_index(event), *known))), [None])
                run.planned.append(
                    Frame(
                        site,
                        _label(event, site, index, tiles),
                        axes if camera is None else {**axes, "camera": camera},
                        pixels.pop(0) if pixels else None,
                        z_um=event.z_pos,
                        x_um=event.x_pos,
                        y_um=event.y_pos,
                        start_s=event.min_start_time,
                    )
                )
        return run


def _acquires(event):
    """Return whether an event asks for a frame."""
    return event.action is None or event.action.type == "acquire_image"


def _index(event):
    """Return the index of an event, hashable."""
    return tuple(sorted((str(getattr(k, "value", k)), v) for k, v in event.index.items()))


def _tiles(sequence):
    """Return row and column of the tiles of a sequence and of those of its positions."""
    if sequence is None:  # nobody tells of them
        return {}
    found = {None: list(sequence.grid_plan or ())}
    for number, position in enumerate(sequence.stage_positions):
        inner = position.sequence.grid_plan if position.sequence else None
        found[number] = list(inner or ()) or found[None]
    return found


def _label(event, site, index, tiles):
    """Return the name that an image must have."""
    parts = [event.pos_name or str(index["p"])] if "p" in index else []
    if "g" in index:
        if not tiles:
            parts.append(str(index["g"]))
        else:
            tile = tiles.get(index.get("p"), tiles[None])[index["g"]]
            row = getattr(tile, "grid_row", getattr(tile, "row", None))
            column = getattr(tile, "grid_col", getattr(tile, "col", None))
            parts.append(str(index["g"]) if row is None else f"{row}_{column}")
    return "_".join(parts) or "/"


@contextlib.contextmanager
def _folder():
    """Return a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="plans-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---- pycro-manager ------------------------------------------------------------------------------


@st.composite
def event_lists(draw):
    """Draw events with holes, in any order of axes, stacks in either direction, own labels."""
    sites = draw(
        st.one_of(
            st.just([None]),
            st.lists(
                st.sampled_from(["left", "A1", "細胞", "a/b"]), min_size=1, max_size=3, unique=True
            ),
            st.integers(1, 3).map(lambda n: list(range(n))),
        )
    )
    steps = {
        site: (draw(st.sampled_from([1.0, 0.5, -2.0, None])), float(draw(st.integers(-9, 9))))
        for site in sites
    }
    ranges = {
        "time": draw(st.integers(0, 3)),
        "channel": draw(st.integers(0, 2)),
        "z": draw(st.integers(0, 3)),
        "position": len(sites) if sites != [None] else 0,
        "own": draw(st.sampled_from([0, 0, 0, 2])),
    }
    if ranges["time"] and ranges["channel"] and ranges["z"]:
        ranges["own"] = 0  # more axes than an image has
    order = [name for name in draw(st.permutations(list(ranges))) if ranges[name]]
    if not any(ranges.values()):
        order, ranges["time"] = ["time"], 2
    heights = [
        float(h) for h in draw(st.lists(st.integers(-20, 20), min_size=3, max_size=3, unique=True))
    ]
    events = []
    for index in itertools.product(*(range(ranges[name]) for name in order)):
        at = dict(zip(order, index, strict=True))
        site = sites[at.get("position", 0)]
        axes = {name: at[name] for name in order if name != "position"}
        event = {"exposure": 1.0}
        if site is not None:
            axes["position"] = site
            number = sites.index(site)
            event |= {"x": 10.0 * number, "y": -5.0 * number}
        if "channel" in axes:
            axes["channel"] = PRESETS[axes["channel"]]
            event["config_group"] = ["Channel", axes["channel"]]
        if "z" in axes:
            step, base = steps[site]
            event["z"] = heights[axes["z"]] if step is None else base + step * axes["z"]
        if "time" in axes:
            event["min_start_time"] = 0.01 * axes["time"]
        events.append({**event, "axes": axes})
    holes = draw(st.sets(st.integers(0, len(events) - 1), max_size=len(events) // 3))
    return [event for number, event in enumerate(events) if number not in holes]


class PycroRuns:
    """Runs lists of events on pycro-manager's Python engine."""

    def __init__(self):
        self.core = start(size=SIZE)

    def check(self, events, way, lost, camera):
        """Run events and return what the store says wrongly."""
        from pycromanager import Acquisition

        frames, run, count = {}, Run(), itertools.count()
        if way == "watch" or lost is None or lost >= len(events):
            lost = None  # a generator may have told of a lost frame, or not

        def keep(pixels, tags):
            if next(count) == lost:
                return None
            frames[frozenset(tags["Axes"].items())] = pixels.copy()
            return pixels, tags

        options = {
            "events": {"events": events},
            "core": {"events": events, "core": self.core},
            "watch": {},
        }[way]
        with (
            _folder() as folder,
            ZarrProcessor(folder / "run.ome.zarr", processor=keep, **options) as zarr,
        ):
            with Acquisition(directory=None, image_process_fn=zarr) as acq:
                acq.acquire(zarr.watch(iter(events)) if way == "watch" else events)
            zarr.close()
            if not frames:
                return []
            for event in events:
                axes = dict(event["axes"])
                site = axes.pop("position", None)
                run.planned.append(
                    Frame(
                        () if site is None else (site,),
                        "/" if site is None else str(site),
                        axes,
                        frames.get(frozenset(event["axes"].items())),
                        z_um=event.get("z"),
                        x_um=event.get("x"),
                        y_um=event.get("y"),
                        start_s=event.get("min_start_time"),
                    )
                )
            state = "complete" if lost is None else zarr.state
            if way == "watch":
                state = zarr.state
            return differences(run, folder / "run.ome.zarr", known=way != "watch", state=state)


def main():
    """Draw plans, run them, and report."""
    engine, examples = sys.argv[1], int(sys.argv[2])
    number = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    tried = []
    logging.getLogger("aqz.micromanager").setLevel(logging.CRITICAL)
    if engine == "plus":
        runs = PlusRuns()
        strategies = (
            sequences(),
            st.sampled_from([False, False, True]),
            st.none() | st.integers(1, 8),
            st.sampled_from(["one", "one", "burst", "two", "colour"]),
        )
    else:
        runs = PycroRuns()
        strategies = (
            event_lists(),
            st.sampled_from(["events", "core", "watch"]),
            st.none() | st.integers(0, 8),
            st.just("one"),
        )

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if "shrink" in sys.argv else [])],
        print_blob=False,
    )
    @given(*strategies)
    def test(plan, way, ending, camera):
        found = runs.check(plan, way, ending, camera)
        if found is not None:
            tried.append(1)
            assert not found, found

    try:
        test()
        print("REPORT", f'{{"plans": {len(tried)}}}', flush=True)
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
