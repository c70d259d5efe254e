"""JSON text of metadata documents, one form for every file that is written.

Keys are sorted and indented by four spaces, so that two stores can be compared
with ``diff`` and the documents lie as acquire-zarr lays them out. The text is
UTF-8 and strict JSON: a NaN must have been spelled as the Zarr specification
spells it (``"NaN"``) before it comes here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from aqz_core.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Document", "to_json"]

Document: TypeAlias = dict[str, Any]
"""A JSON object: string keys; values of str, int, float, bool, None, list, dict."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a metadata file.

    Parameters
    ----------
    document
        A JSON object made of plain Python values.

    Returns
    -------
    bytes
        UTF-8, keys sorted, four spaces of indent, no newline at the end.

    Raises
    ------
    MetadataError
        If a value is not JSON: NaN, an infinity, an unpaired surrogate or an
        object of another type. Metadata from users are checked, with a better
        message, by `aqz_core.metadata.custom` long before.
    """
    try:
        text = json.dumps(document, indent=4, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise MetadataError(
            f"this metadata document cannot be written as JSON ({error}); "
            "use strings, finite numbers, booleans, null, lists and objects only"
        ) from error
