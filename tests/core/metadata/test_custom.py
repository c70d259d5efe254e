"""Users' metadata: what is taken, what is refused, and where it goes."""

from __future__ import annotations

import datetime
import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.errors import MetadataError
from aqz_core.metadata import (
    merge_custom,
    parse_custom_metadata,
    to_json,
    zarr_v3,
)
from aqz_core.metadata.custom import MAX_DEPTH, RESERVED_V2, strip_comments

if TYPE_CHECKING:
    from collections.abc import Callable

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["// no comment", "/* nor */", '"', "\\", '\\"//', "http://x"])
)
NAMES = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda key: key not in RESERVED_V2)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
BLANKS = st.sampled_from(
    [" ", "\n", "// line \"of' it\n", '/* block // " */', "/**/", "/* * / \n */", "//\r\n"]
)


@given(OBJECTS)
def test_objects_come_back_unchanged_from_text_and_from_python(document: dict[str, Any]) -> None:
    assert parse_custom_metadata(document) == document
    assert parse_custom_metadata(json.dumps(document)) == document
    assert json.loads(to_json(parse_custom_metadata(document))) == document


@given(VALUES)
def test_any_json_value_can_be_stored_under_a_key(value: object) -> None:
    assert parse_custom_metadata(json.dumps(value), "k") == {"k": value}


@given(OBJECTS, st.lists(BLANKS, min_size=1), st.randoms(use_true_random=False))
def test_comments_may_stand_wherever_blanks_may(
    document: dict[str, Any], blanks: list[str], random: Any
) -> None:
    pieces = [random.choice(blanks)]
    for token in json.JSONEncoder(indent=None).iterencode(document):
        pieces += [token, random.choice(blanks)]
    assert parse_custom_metadata("".join(pieces)) == document


@given(OBJECTS)
def test_text_without_comments_is_left_alone(document: dict[str, Any]) -> None:
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=1)):
        assert strip_comments(text) == text


@given(st.text('/*"\\\n\r ab'))
def test_stripping_keeps_every_line_and_column(text: str) -> None:
    try:
        stripped = strip_comments(text)
    except MetadataError:
        return
    assert len(stripped) == len(text)
    assert [i for i, char in enumerate(text) if char in "\n\r"] == [
        i for i, char in enumerate(stripped) if char in "\n\r"
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("{", "not JSON"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ('{"a": 1/* x */2}', "not JSON"),
        ('{\n"a": 1 /* x', "line 2 is never closed"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": [1, 1e999]}', r"\$\.a\[1\] is inf"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"\\ud800": 1}', "surrogate"),
        ('{"a": ' + "9" * 5000 + "}", "too long"),
        ("[" * 100_000, "nested"),
    ],
)
def test_text_that_is_not_strict_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(MetadataError, match=words):
        parse_custom_metadata(text)


def test_error_positions_are_those_of_the_text_as_given() -> None:
    with pytest.raises(MetadataError, match="line 3 column 6"):
        parse_custom_metadata('{ // one\n/* two */\n"a": }')


@pytest.mark.parametrize("value", ["[1, 2]", "3", "null", '"text"', [1], 3.5, None, True])
def test_only_objects_can_be_merged_without_a_key(value: object) -> None:
    with pytest.raises(MetadataError, match="metadata_key"):
        parse_custom_metadata(value)
    assert list(parse_custom_metadata(value, "k")) == ["k"]


@pytest.mark.parametrize("name", ["ome", "aqz"])
def test_reserved_names_are_refused_as_key_and_at_the_top_only(name: str) -> None:
    with pytest.raises(MetadataError, match=f"'{name}' is reserved"):
        parse_custom_metadata({name: 1, "a": 2})
    with pytest.raises(MetadataError, match=f"'{name}' is reserved"):
        parse_custom_metadata({}, name)
    assert parse_custom_metadata({"a": {name: 1}}) == {"a": {name: 1}}


def test_version_2_keeps_ngffs_own_names() -> None:
    with pytest.raises(MetadataError, match="'multiscales' is reserved"):
        parse_custom_metadata({"multiscales": []}, reserved=RESERVED_V2)


class Mode(enum.IntEnum):
    """An enumeration that counts as a number."""

    FAST = 3


def test_numpy_and_enum_values_become_plain_python() -> None:
    made = parse_custom_metadata(
        {
            "f": np.float32(0.5),
            "i": np.uint64(2**64 - 1),
            "b": np.True_,
            "s": np.str_("text"),
            "long": np.longdouble(1.5),
            "array": np.arange(4, dtype=np.int16).reshape(2, 2),
            "point": np.array(2.5),
            "mode": Mode.FAST,
            "pair": (1, 2),
            7: "seven",
            np.int8(8): None,
            None: 0,
        }
    )
    assert made == {
        "f": 0.5,
        "i": 2**64 - 1,
        "b": True,
        "s": "text",
        "long": 1.5,
        "array": [[0, 1], [2, 3]],
        "point": 2.5,
        "mode": 3,
        "pair": [1, 2],
        "7": "seven",
        "8": None,
        "null": 0,
    }
    kinds = {type(made[key]) for key in ("f", "i", "b", "s", "long", "mode")}
    assert kinds == {float, int, bool, str}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), r"datetime\.datetime.*isoformat"),
        (Path("p"), "Path.*str"),
        (b"raw", "bytes.*decode"),
        ({1, 2}, "set.*sorted"),
        (1j, "complex"),
        (object(), "object"),
        (np.array([1j]), "numpy complex128"),
        (np.datetime64("2024-01-01"), "numpy datetime64"),
        (np.array([object()]), "numpy object"),
    ],
)
def test_values_without_json_form_are_refused_with_place_and_type(value: Any, words: str) -> None:
    with pytest.raises(MetadataError, match=rf"\$\.camera\[1\]\.at .*{words}"):
        parse_custom_metadata({"camera": [0, {"at": value}]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_numbers_that_json_lacks_are_refused_with_their_place(value: Any) -> None:
    with pytest.raises(MetadataError, match=r"\$\.a\[0\] is (nan|inf)"):
        parse_custom_metadata({"a": [value]})
    with pytest.raises(MetadataError, match=r"\$\.a\[1\] is (nan|inf)"):
        parse_custom_metadata({"a": np.array([0, value])})


def test_keys_that_json_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(MetadataError, match="both become '1'"):
        parse_custom_metadata({1: "a", "1": "b"})
    with pytest.raises(MetadataError, match="tuple"):
        parse_custom_metadata({(1, 2): "a"})


@pytest.mark.parametrize("key", [3, b"k"])
def test_the_key_must_be_text(key: Any) -> None:
    with pytest.raises(MetadataError, match="metadata_key"):
        parse_custom_metadata({}, key)


def nested(depth: int) -> dict[str, Any]:
    """Return an object in which `depth` objects and lists lie inside each other."""
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


def test_the_deepest_metadata_allowed_open_in_every_decoder(
    store: Callable[..., Path], read: Callable[[Path], np.ndarray[Any, Any]]
) -> None:
    codec = {"configuration": {"endian": "little"}, "name": "bytes"}
    attributes = parse_custom_metadata(nested(MAX_DEPTH), "under a key") | {"big": 10**40}
    document = zarr_v3.array_document(
        (2, 2), (2, 2), None, np.dtype("u1"), [codec], attributes=attributes
    )
    assert read(store({"zarr.json": document})).shape == (2, 2)


def test_metadata_nested_deeper_or_inside_themselves_are_refused() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    for value in (nested(MAX_DEPTH + 1), json.dumps(nested(MAX_DEPTH + 1)), endless):
        with pytest.raises(MetadataError, match="nested more than"):
            parse_custom_metadata(value)


def test_later_metadata_win_name_by_name_and_arguments_stay_as_they_are() -> None:
    before = {"a": {"x": 1}, "b": 2}
    assert merge_custom(before, {"a": {"y": 1}}) == {"a": {"y": 1}, "b": 2}
    assert merge_custom(before, "[1]", "c/d") == {"a": {"x": 1}, "b": 2, "c/d": [1]}
    assert before == {"a": {"x": 1}, "b": 2}


def test_parsed_metadata_do_not_change_with_the_users_objects() -> None:
    given_metadata: dict[str, Any] = {"a": [1]}
    made = parse_custom_metadata(given_metadata)
    given_metadata["a"].append(2)
    assert made == {"a": [1]}
