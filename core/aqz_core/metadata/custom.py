"""Metadata that users add to an array or group: checked, then merged.

Metadata come as JSON text (comments allowed, as acquire-zarr allows them) or as
Python objects, and leave as plain JSON values, so that nothing can fail later
when the file is written, and every reader can read it: no NaN, no unpaired
surrogates, no nesting deeper than the strictest parser takes.

Names that the store itself needs are reserved: users' metadata never replace
``ome`` or ``aqz``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from aqz_core.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Collection

    from aqz_core.metadata.json_text import Document

__all__ = [
    "MAX_DEPTH",
    "RESERVED",
    "RESERVED_V2",
    "merge_custom",
    "parse_custom_metadata",
    "strip_comments",
]

RESERVED = frozenset({"ome", "aqz"})
"""Attributes of a Zarr V3 node that belong to NGFF and to aqz."""

RESERVED_V2 = RESERVED | {"multiscales", "omero", "plate", "well", "labels", "image-label"}
"""The same for V2, where NGFF 0.4 keeps its objects at the top."""

MAX_INT_BITS = 13_288
"""About 4,000 decimal digits: Python reads 4,300 unless told otherwise."""

MAX_DEPTH = 100
"""Objects and lists inside each other; JSON parsers in Rust stop at 128 for the whole file."""

_HINTS = {
    "datetime": "use .isoformat()",
    "date": "use .isoformat()",
    "timedelta": "use .total_seconds()",
    "bytes": "decode it to text first",
    "complex": "give its parts as a list",
    "set": "use sorted(...) or list(...)",
    "frozenset": "use sorted(...) or list(...)",
}

# A string is matched first, so that what looks like a comment inside one is left alone.
_STRING_OR_COMMENT = re.compile(
    r"""
    (?P<string> "(?:[^"\\]|\\.)*(?:"|\Z) )
    | //[^\n\r]*
    | /\*.*?\*/
    | (?P<open> /\* )
    """,
    re.VERBOSE | re.DOTALL,
)


def parse_custom_metadata(
    metadata: object,
    metadata_key: str | None = None,
    *,
    reserved: Collection[str] = RESERVED,
) -> Document:
    """Check metadata from a user and return the attributes that they make.

    Parameters
    ----------
    metadata
        JSON text, or Python values. Mappings, lists, tuples, str, int, float,
        bool and None become JSON as the `json` module does it; numpy scalars
        become numbers and numpy arrays nested lists. Without `metadata_key` it
        must be an object, whose members become attributes.
    metadata_key
        Attribute that holds the metadata as a whole; None or empty: no such.
    reserved
        Attribute names that are refused.

    Returns
    -------
    dict
        Attributes to set: plain, freshly made JSON values.

    Raises
    ------
    MetadataError
        If the metadata are not JSON, or use a reserved name. The message names
        the place in the document (``$.camera.exposure[2]``) or in the text.
    """
    if metadata_key is not None and not isinstance(metadata_key, str):
        raise MetadataError(
            f"metadata_key must be a string, not {metadata_key!r} ({_type_name(metadata_key)})"
        )
    given = _load_text(metadata) if isinstance(metadata, str) else metadata
    value = _plain(given, "$", 0)
    if not metadata_key and not isinstance(value, dict):
        raise MetadataError(
            f"custom metadata must be a JSON object, not {_shortened(value)}; "
            "give metadata_key to store another kind of value under a name"
        )
    found: Document = {_plain_text(metadata_key, "metadata_key"): value} if metadata_key else value
    taken = sorted(set(found) & set(reserved))
    if taken:
        raise MetadataError(
            f"the name {taken[0]!r} is reserved in the attributes of a Zarr node; "
            "choose another name, or store the metadata under a metadata_key"
        )
    return found


def merge_custom(
    attributes: Mapping[str, Any],
    metadata: object,
    metadata_key: str | None = None,
    *,
    reserved: Collection[str] = RESERVED,
) -> Document:
    """Return attributes with a user's metadata added; later metadata win, name by name.

    Parameters
    ----------
    attributes
        What is there so far; left as it is.
    metadata, metadata_key, reserved
        As for `parse_custom_metadata`, whose errors are raised.
    """
    return {**attributes, **parse_custom_metadata(metadata, metadata_key, reserved=reserved)}


def strip_comments(text: str) -> str:
    """Return JSON text with ``//`` and ``/* */`` comments replaced by blanks.

    Line breaks are kept and every other character of a comment becomes a blank,
    so that line and column numbers in later error messages stay right.

    Raises
    ------
    MetadataError
        If a ``/*`` is never closed.
    """
    return _STRING_OR_COMMENT.sub(_blanked, text)


def _blanked(match: re.Match[str]) -> str:
    """Return a string as it is, and a comment as blanks."""
    if match["open"]:
        line = match.string.count("\n", 0, match.start()) + 1
        raise MetadataError(f"custom metadata: the comment opened in line {line} is never closed")
    return match["string"] or re.sub(r"[^\n\r]", " ", match[0])


def _load_text(text: str) -> object:
    """Return the value of JSON text, comments allowed; NaN and double names are refused."""
    if not text.strip():
        raise MetadataError("custom metadata are empty; give a JSON object such as '{}'")
    try:
        return json.loads(
            strip_comments(text.removeprefix("\ufeff")),
            parse_constant=_refuse_constant,
            object_pairs_hook=_object_of_pairs,
        )
    except json.JSONDecodeError as error:
        raise MetadataError(f"custom metadata are not JSON: {error}") from error
    except RecursionError as error:
        raise _too_deep("$") from error
    except MetadataError:
        raise
    except ValueError as error:  # an integer with thousands of digits
        raise MetadataError(f"custom metadata hold a number that is too long: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    """Raise for NaN, Infinity and -Infinity in JSON text."""
    raise MetadataError(f"custom metadata hold {name}, which is not JSON; use null or a string")


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a name given twice is an error, for one value would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise MetadataError(f"custom metadata give {double!r} twice in one object; keep one")
    return found


def _plain(value: object, path: str, depth: int) -> Any:
    """Return a value as plain JSON values, or raise with its place in the document."""
    if isinstance(value, np.generic | np.ndarray):
        value = _from_numpy(value, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _plain_text(value, path)
    if isinstance(value, int):
        return _plain_int(value, path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MetadataError(
                f"custom metadata: {path} is {float(value)}, which JSON cannot hold; "
                "use null or a string"
            )
        return float(value)
    if not isinstance(value, Mapping | list | tuple):
        raise _not_json(value, path)
    if depth == MAX_DEPTH:
        raise _too_deep(path)
    if isinstance(value, Mapping):
        return _plain_object(value, path, depth)
    return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]


def _plain_int(value: int, path: str) -> int:
    """Return a plain `int`; readers refuse those with thousands of digits, as Python does."""
    if value.bit_length() > MAX_INT_BITS:
        raise MetadataError(
            f"custom metadata: {path} is a number with more than 4,000 digits; store it as text"
        )
    return int(value)


def _plain_object(value: Mapping[Any, Any], path: str, depth: int) -> Document:
    """Return a mapping as a JSON object."""
    found: Document = {}
    for key, item in value.items():
        name = _member_name(key, path)
        if name in found:
            raise MetadataError(
                f"custom metadata: two keys of {path} both become {name!r} in JSON; rename one"
            )
        found[name] = _plain(item, f"{path}.{name}", depth + 1)
    return found


def _member_name(key: object, path: str) -> str:
    """Return a mapping's key as text; numbers, truth values and None as `json.dumps` does."""
    if isinstance(key, np.generic):
        key = key.item()
    if isinstance(key, str):
        return _plain_text(key, f"a key of {path}")
    if isinstance(key, int) and not isinstance(key, bool):
        key = _plain_int(key, f"a key of {path}")
    if (
        key is None
        or isinstance(key, bool | int)
        or (isinstance(key, float) and math.isfinite(key))
    ):
        return json.dumps(key)
    raise _not_json(key, f"key {key!r} of {path}")


def _plain_text(text: str, path: str) -> str:
    """Return a plain `str`; unpaired surrogates cannot be stored as UTF-8."""
    try:
        return text.encode("utf-8").decode("utf-8")
    except UnicodeEncodeError as error:
        raise MetadataError(
            f"custom metadata: {path} holds half of a surrogate pair "
            f"(character {error.start}), which is not text; replace it"
        ) from error


def _from_numpy(value: np.generic | np.ndarray[Any, Any], path: str) -> object:
    """Return a numpy scalar or array as Python numbers, text and lists."""
    if value.dtype.kind not in "biufU":
        raise _not_json(value, path)
    if value.dtype.kind == "f":
        value = value.astype(np.float64)  # long doubles have no Python counterpart
    return value.tolist()


def _not_json(value: object, path: str) -> MetadataError:
    """Return the error for a value of a type that JSON does not have."""
    hint = _HINTS.get(type(value).__name__, "convert it to text or numbers, for instance by str()")
    return MetadataError(
        f"custom metadata: {path} is of type {_type_name(value)}, which JSON cannot hold; {hint}"
    )


def _too_deep(path: str) -> MetadataError:
    """Return the error for metadata nested too deep, or containing themselves."""
    return MetadataError(
        f"custom metadata are nested more than {MAX_DEPTH} deep at {path[:60]}...; "
        "flatten them (or do they contain themselves?)"
    )


def _type_name(value: object) -> str:
    """Return the name of a value's class, with its module unless it is built in."""
    kind = type(value)
    if isinstance(value, np.generic | np.ndarray):
        return f"numpy {value.dtype}"
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _shortened(value: object) -> str:
    """Return the text of a value, cut to a length that a message can bear."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
