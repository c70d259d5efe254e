"""A slow model of what a store must say of an acquisition: told by frames alone, one by one.

Knows nothing of how the package plans, routes or lays out: it looks at which frames an engine gave
(coordinates, stage position, pixels) and at the finished store, and says what differs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

import aqz_core as aqz
from tests.micromanager.stored import attributes, image, image_keys

AXES = ("time", "own", "channel", "z")
STORED = {"time": "t", "channel": "c", "z": "z"}


@dataclass(frozen=True)
class Frame:
    """One frame as the engine gave it."""

    site: tuple
    label: str
    axes: dict
    pixels: np.ndarray
    z_um: float | None = None
    x_um: float | None = None
    y_um: float | None = None
    start_s: float | None = None


@dataclass
class Run:
    """Everything that was planned, and the frames of it that came."""

    planned: list[Frame] = field(default_factory=list)  # pixels are None where a frame was lost

    def images(self):
        """Return the planned frames of each image: of one site, and with the same axes."""
        found = {}
        for frame in self.planned:
            found.setdefault((frame.site, frozenset(frame.axes)), []).append(frame)
        return found


def differences(run, store, *, known=True, state="complete"):
    """Return in words what a store says otherwise than it must.

    ``known`` says that the events were told beforehand: else sizes may be those of all images
    together, and planes stand in the order of their numbers.
    """
    found = []
    if not known:
        run = Run([frame for frame in run.planned if frame.pixels is not None])
    left = {key: attributes(store, key) for key in image_keys(store)}
    for (site, family), frames in run.images().items():
        label = frames[0].label
        keys = [key for key, about in left.items() if _is_of(about, key, site, family)]
        if len(keys) != 1:
            found.append(f"image of {site} {sorted(family)}: {len(keys)} of {sorted(left)}")
            continue
        about = left.pop(keys[0])
        found += [
            f"{keys[0] or 'root'}: {what}"
            for what in _differs(store, keys[0], about, frames, family, label, known, state)
        ]
    found += [f"nobody asked for the image {key!r}" for key in left]
    return found


def _is_of(about, key, site, family):
    """Return whether an image is that of a site with these axes."""
    notes = about["micromanager"]
    if tuple(notes["position"].get("key", ())) != site:
        return False
    names = {axis["name"] for axis in notes["axes"]}
    return names - {"camera"} in (set(family) - {"camera"}, (set(family) | {"z"}) - {"camera"})


def _differs(store, key, about, frames, family, label, known, state):
    """Yield what differs about one image."""
    notes = about["micromanager"]
    ome = about["ome"]["multiscales"][0]
    stored = image(store, key)
    axes = [axis["name"] for axis in ome["axes"]]
    if notes["state"] != state:
        yield f"state is {notes['state']}, not {state}"
    came = [frame for frame in frames if frame.pixels is not None]
    if notes["frames"] != len(came):
        yield f"{notes['frames']} frames, not {len(came)}"
    if known and notes["missing_frames"] != len(frames) - len(came):
        yield f"{notes['missing_frames']} missing, not {len(frames) - len(came)}"
    if ome["name"] != label:
        yield f"name is {ome['name']!r}, not {label!r}"
    where = _places(frames, family, known)
    told = next((one.get("values") for one in notes["axes"] if one["name"] == "time"), None)
    if not known and told and "time" in where:  # a generator may have told all before frame 1
        where["time"] = {value: index for index, value in enumerate(told)}
    colors = 3 if any(frame.pixels.ndim == 3 for frame in came) else 1
    if known:
        sizes = [
            (len(where[name]) if name in where else 1) * (colors if name == "channel" else 1)
            for name in AXES
            if STORED.get(name, name) in axes
        ]
        if sizes:  # the first axis ends where the acquisition ended
            first = next(name for name in AXES if STORED.get(name, name) in axes)
            reached = [where[first][_value(f, first)] if first in where else 0 for f in came]
            sizes[0] = (max(reached, default=-1) + 1) * (colors if first == "channel" else 1)
        if list(stored.shape[:-2]) != sizes:
            yield f"shape is {stored.shape}, not {sizes} of {axes}"
            return
    expected = np.zeros_like(stored)
    for frame in came:
        index = _index(frame, where, axes, colors)
        if any(at >= size for at, size in zip(index, stored.shape, strict=False)):
            yield f"no room for {frame.axes} at {index} of {stored.shape}"
            return
        for color in range(colors):
            at = list(index)
            if colors > 1:
                at[axes.index("c")] += color
            expected[tuple(at)] = frame.pixels if colors == 1 else frame.pixels[..., color]
    if not np.array_equal(stored, expected):
        places = {tuple(place[:-2]) for place in np.argwhere(stored != expected)}
        yield f"pixels differ at {sorted(places)[:5]} of {axes}"
    if "channel" in where:
        labels = [channel["label"] for channel in about["ome"]["omero"]["channels"]]
        if colors == 1 and labels[: len(where["channel"])] != list(where["channel"]):
            yield f"channels are {labels}, not {list(where['channel'])}"
    yield from _geometry(about, frames, axes, where, known)
    yield from _rows(store, key, came, axes, where, colors)


def _value(frame, name):
    """Return a coordinate, cameras as part of the channel."""
    if name == "channel" and "camera" in frame.axes:
        camera = frame.axes["camera"]
        return f"{frame.axes['channel']} {camera}" if "channel" in frame.axes else camera
    return frame.axes.get(name)


def _places(frames, family, known):
    """Return the index of every coordinate on each axis."""
    where = {}
    for name in AXES:
        has = name in family or (name == "channel" and "camera" in family)
        if not has:
            continue
        values = list(dict.fromkeys(_value(frame, name) for frame in frames))
        if name == "channel" and "camera" in family and "channel" in family:
            channels = list(dict.fromkeys(frame.axes["channel"] for frame in frames))
            cameras = list(dict.fromkeys(frame.axes["camera"] for frame in frames))
            values = [f"{one} {two}" for one, two in itertools.product(channels, cameras)]
        if name == "z" and all(frame.z_um is not None for frame in frames):
            height = {}
            for frame in frames:
                height.setdefault(frame.axes["z"], frame.z_um)
            values.sort(key=height.__getitem__)
        elif all(isinstance(value, int) for value in values):
            values.sort()
            if not known and name == "time":
                values = list(range(max(values) + 1))
        where[name] = {value: index for index, value in enumerate(values)}
    return where


def _geometry(about, frames, axes, where, known):
    """Yield where scale and translation are not those of the planned positions."""
    steps = about["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    scale = dict(zip(axes, steps[0]["scale"], strict=True))
    origin = dict.fromkeys(axes, 0.0)
    if len(steps) > 1:
        origin = dict(zip(axes, steps[1]["translation"], strict=True))
    if any(size <= 0 for size in scale.values()):
        yield f"scale {scale} is not positive"
    heights = {}
    for frame in frames:
        if frame.z_um is not None:
            heights.setdefault(where["z"][frame.axes["z"]] if "z" in where else 0, frame.z_um)
    if "z" in axes and heights and 0 in heights:
        if abs(origin["z"] - heights[0]) > 1e-6:
            yield f"z begins at {origin['z']}, not {heights[0]}"
        even = (
            len(
                {
                    round(b - a, 6)
                    for a, b in itertools.pairwise(heights[n] for n in sorted(heights))
                }
            )
            <= 1
        )
        notes = next(one for one in about["micromanager"]["axes"] if one["name"] == "z")
        if known and notes.get("even", True) != even:
            yield f"z is said to be {'even' if notes.get('even', True) else 'uneven'}"
        for index, height in heights.items():
            if known and even and abs(origin["z"] + index * scale["z"] - height) > 1e-6:
                yield f"plane {index} lies at {origin['z'] + index * scale['z']}, not {height}"
            if abs(notes["z_um"][index] - height) > 1e-6:
                yield f"plane {index} is noted at {notes['z_um'][index]}, not {height}"
    elif heights and any(heights.values()) and known and "z" not in axes:
        yield f"nothing says that it lies at {heights}"
    first = frames[0]
    for name, place, size in (("x", first.x_um, 1), ("y", first.y_um, 0)):
        if place is not None:
            pixels = frames[0].pixels if frames[0].pixels is not None else None
            if pixels is not None:
                expected = place - (pixels.shape[size] - 1) / 2 * scale[name]
                if abs(origin[name] - expected) > 1e-6:
                    yield f"{name} begins at {origin[name]}, not {expected}"
    starts = {}
    for frame in frames:
        if "time" in where and frame.start_s is not None:
            at = where["time"][frame.axes["time"]]
            starts[at] = min(frame.start_s, starts.get(at, frame.start_s))
    gaps = {
        round((starts[b] - starts[a]) / (b - a), 6) for a, b in itertools.pairwise(sorted(starts))
    }
    if known and len(gaps) == 1 and gaps != {0.0} and abs(scale["t"] - next(iter(gaps))) > 1e-6:
        yield f"interval is {scale['t']}, not {gaps}"


def _index(frame, where, axes, colors=1):
    """Return where a frame lies, its first colour if it has several."""
    found = []
    for name in AXES:
        if STORED.get(name, name) in axes:
            at = where[name][_value(frame, name)] if name in where else 0
            found.append(at * colors if name == "channel" else at)
    return tuple(found)


def _rows(store, key, came, axes, where, colors):
    """Yield where the table of frames says otherwise than the engine did."""
    rows = {}
    for row in aqz.read_frame_metadata(store, key):
        rows[tuple(row.get(axis) for axis in axes[:-2])] = row
    if len(rows) != len(came) * colors:
        yield f"{len(rows)} rows, not {len(came) * colors}"
    for frame in came:
        index = _index(frame, where, axes, colors)
        row = rows.get(index)
        if row is None:
            yield f"no row for {frame.axes} at {index}"
            return
        if frame.z_um is not None and "z_um" in row and abs(row["z_um"] - frame.z_um) > 0.01:
            yield f"the row of {frame.axes} says z {row['z_um']}, not {frame.z_um}"
