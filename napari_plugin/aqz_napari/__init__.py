"""The napari side of aqz. It has no public names in this release."""

from __future__ import annotations

__all__: list[str] = []
