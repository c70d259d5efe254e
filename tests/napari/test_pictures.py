"""The pictures of the documentation are there and small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
PICTURES = sorted((CHECKOUT / "docs" / "pictures").glob("napari-*.png"))


def test_there_is_one_for_each_state():
    assert {p.stem for p in PICTURES} >= {
        "napari-idle", "napari-problems", "napari-recording", "napari-finished",
    }  # fmt: skip


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.stem)
def test_they_are_small(picture):
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 300_000


def test_the_page_shows_pictures_that_exist():
    page = CHECKOUT / "docs" / "napari.md"
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert shown
    assert all((page.parent / name).is_file() for name in shown)
