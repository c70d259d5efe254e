"""What a check of a store found, as frozen records that turn into JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from aqz_core.display.html import HtmlTable

__all__ = [
    "Action",
    "ArraySummary",
    "Finding",
    "RepairReport",
    "Severity",
    "ValidationReport",
    "malformed_ome",
]


def malformed_ome(error: Exception) -> str:
    """Say what is wrong with OME metadata that could not be read.

    Parameters
    ----------
    error
        What came of reading them as NGFF describes them.
    """
    what = "a value in them is of another type than NGFF has there"
    if isinstance(error, KeyError):
        what = f"{error.args[0]!r} is missing in them"
    return f"malformed OME metadata: {what}; write them anew, from a copy or by hand"


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Pixels or metadata are damaged or cannot be read."""
    WARNING = "warning"
    """Everything stored can be read, but the store is not as a finished recording leaves it."""
    NOTE = "note"
    """Worth knowing; nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Finding(HtmlTable):
    """One thing that was found.

    Attributes
    ----------
    severity
        How bad it is.
    where
        File or folder, relative to the store.
    what
        What was found, with the values.
    """

    severity: Severity
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class ArraySummary(HtmlTable):
    """What is stored of one array.

    Attributes
    ----------
    path
        Relative to the store; empty for its root.
    shape
        As its metadata says, pixels.
    files
        Shards, or chunk files.
    chunks
        Chunks that are there; those that are not read as the fill value.
    decoded
        Chunks whose codecs were undone without an error.
    nbytes
        Of all files.
    """

    path: str
    shape: tuple[int, ...]
    files: int
    chunks: int
    decoded: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class ValidationReport(HtmlTable):
    """Everything that `validate_store` found.

    Attributes
    ----------
    store
        The directory.
    state
        ``"recording"``, ``"complete"`` or ``"interrupted"``; None without such an attribute.
    arrays
        Every array that could be read.
    findings
        In the order in which they were met.
    unchecked
        What damage could not have been noticed.
    """

    store: str
    state: str | None
    arrays: tuple[ArraySummary, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether no damage was found."""
        return not any(found.severity is Severity.ERROR for found in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, with ``valid`` added."""
        return {**asdict(self), "valid": self.is_valid}


@dataclass(frozen=True, slots=True)
class Action(HtmlTable):
    """One change that a repair makes.

    Attributes
    ----------
    where
        File, relative to the store.
    what
        What is done to it.
    """

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class RepairReport(HtmlTable):
    """What `repair_store` did, or would do.

    Attributes
    ----------
    store
        The directory.
    applied
        Whether the changes were made; False for a dry run.
    actions
        The changes.
    findings
        What no repair can fix, and what was left alone.
    """

    store: str
    applied: bool
    actions: tuple[Action, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)
