"""How records are shown in a notebook: as a table of their fields."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Mapping

__all__ = ["HtmlTable", "html_table"]

_LONGEST = 20
"""Rows of a list that are shown."""


def html_table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """Return a table with a title; text is escaped, since stores and paths may be anybody's."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{_cell(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table><caption>{html.escape(title)}</caption>{body}</table>"


class HtmlTable:
    """Base of frozen records that notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Return the fields as a table."""
        assert dataclasses.is_dataclass(self)
        names = [field.name for field in dataclasses.fields(self)]
        return html_table(type(self).__name__, [(name, getattr(self, name)) for name in names])


def _cell(value: object) -> str:
    """Return a value, records and lists of them as tables of their own."""
    if hasattr(value, "_repr_html_"):
        return str(value._repr_html_())
    if isinstance(value, Mapping):
        return html_table("", [(str(name), one) for name, one in value.items()])
    if isinstance(value, (list, tuple)) and any(hasattr(one, "_repr_html_") for one in value):
        shown = "".join(map(_cell, value[:_LONGEST]))
        more = len(value) - _LONGEST
        return shown + (f"and {more} more" if more > 0 else "")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 100_000:
        return f"{value:,}"
    return html.escape(str(value))
