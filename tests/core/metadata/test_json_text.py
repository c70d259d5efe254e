"""The text of metadata files."""

from __future__ import annotations

from typing import Any

import pytest

from aqz_core.errors import MetadataError
from aqz_core.metadata import to_json


def test_keys_are_sorted_and_indented_by_four_spaces() -> None:
    assert to_json({"b": [1, "é"], "a": {}}) == (
        '{\n    "a": {},\n    "b": [\n        1,\n        "é"\n    ]\n}'.encode()
    )


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), b"x", {1, 2}, "\ud800"])
def test_what_json_cannot_hold_is_an_error(value: Any) -> None:
    with pytest.raises(MetadataError, match="cannot be written as JSON"):
        to_json({"a": value})
