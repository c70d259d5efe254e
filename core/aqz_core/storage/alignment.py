"""Alignment that direct input and output ask for."""

from __future__ import annotations

__all__ = ["PAGE", "align"]

PAGE = 4096
"""Bytes to which direct I/O is aligned; a multiple of every common device block."""


def align(nbytes: int, boundary: int = PAGE) -> int:
    """Round a size in bytes up to a multiple of `boundary`."""
    return -(-nbytes // boundary) * boundary
