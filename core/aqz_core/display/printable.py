"""Text that others wrote, so that a terminal shows it and does nothing else with it."""

from __future__ import annotations

__all__ = ["visible"]


def visible(text: object) -> str:
    """Return text with its control characters, but not the ends of lines, by their codes.

    They could move the cursor, hide a line or set the window's title.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1]
        for letter in shown
    )
