"""JSON that somebody else wrote: parsed only as far as a document of a store can go."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["MALFORMED", "parse_json"]

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
"""What comes of taking a value of a document for what it should be; JSON has no largest number."""

MAX_DEPTH = 100
"""Documents of stores nest some ten deep; what is deeper breaks whoever walks through it."""


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        It is not JSON, or nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return value
        level = [
            inner
            for item in containers
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    raise ValueError(f"nested deeper than {MAX_DEPTH}")
