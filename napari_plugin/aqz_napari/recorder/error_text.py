"""What is said of an error: one line, whatever was raised."""

from __future__ import annotations

__all__ = ["first_line"]


def first_line(error: BaseException) -> str:
    """Return the message of an error in one line; its type if it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]
