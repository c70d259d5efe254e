"""JSON documents on standard output, for programs that read it."""

from __future__ import annotations

import json
from typing import Any

import typer

__all__ = ["print_json"]


def print_json(document: Any) -> None:
    """Print one document, indented."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
