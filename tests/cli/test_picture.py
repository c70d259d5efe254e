"""``aqz info --picture`` and ``aqz view``."""

from __future__ import annotations

import numpy as np
from PIL import Image

import aqz_core as aqz
from aqz_core.cli import main, view
from aqz_core.dataset.picture import contact_sheet


def record(path):
    """Two times, two channels; a bright half in each channel, another one at the last time."""
    channels = [aqz.Channel(name="a", color="FF0000"), aqz.Channel(name="b", color="0000FF")]
    with aqz.open_stream(
        path, shape=(2, 2, 3, 32, 64), dtype="uint16", axes="tczyx", channels=channels
    ) as stream:
        for t, c, z in np.ndindex(2, 2, 3):
            frame = np.zeros((32, 64), np.uint16)
            if z == 1:
                frame[:, 32 * (c ^ t) :][:, :32] = 100
            stream.append(frame)
    return path


def test_the_sheet_has_channels_in_their_colours_and_both_times(tmp_path):
    path = record(tmp_path / "a.zarr")
    sheet = contact_sheet(list(aqz.open_dataset(path).images.values()), edge=64)
    pictures = [sheet[:32, start : start + 64] for start in range(0, 6 * 68, 68)]
    red, blue, black = [255, 0, 0], [0, 0, 255], [0, 0, 0]
    expected = [(red, black), (black, blue), (red, blue), (black, red), (blue, black), (blue, red)]
    for picture, (left, right) in zip(pictures, expected, strict=True):
        assert (picture[:, :32] == left).all()
        assert (picture[:, 32:] == right).all()


def test_the_picture_is_a_png_file(tmp_path, capsys):
    path = record(tmp_path / "a.zarr")
    assert main(["info", str(path), "--picture", str(tmp_path / "out.png")]) == 0
    assert "state complete" in capsys.readouterr().out
    sheet = contact_sheet(list(aqz.open_dataset(path).images.values()))
    with Image.open(tmp_path / "out.png") as shown:
        assert np.array_equal(np.asarray(shown.convert("RGB")), sheet)


def test_view_opens_napari_or_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    path = record(tmp_path / "a.zarr")
    called = []
    monkeypatch.setattr(view, "find_spec", lambda name: name)
    monkeypatch.setattr(
        view.subprocess,
        "run",
        lambda command, check: called.append(command) or view.subprocess.CompletedProcess([], 0),
    )
    assert main(["view", str(path)]) == 0
    assert called[0][1:] == ["-m", "napari", str(path), "--plugin", "aqz"]
    assert main(["view", str(tmp_path / "nowhere.zarr")]) == 1
    monkeypatch.setattr(view, "find_spec", lambda name: None)
    assert main(["view", str(path)]) == 1
    assert ".[napari]" in capsys.readouterr().err
