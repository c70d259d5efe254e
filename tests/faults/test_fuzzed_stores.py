"""A thousand inputs that nobody thought of, the same ones each time: errors of aqz, or answers."""

from __future__ import annotations

import pytest

from tests.faults.fuzzed_stores import fuzz, originals

INPUTS = 1000
AT_ONCE = 100


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return originals(tmp_path_factory.mktemp("originals"))


@pytest.mark.parametrize("first", range(0, INPUTS, AT_ONCE))
def test_any_input_gives_an_answer_or_an_error_that_says_why(tmp_path, stores, first):
    for number in range(first, first + AT_ONCE):
        try:
            fuzz(number, stores, tmp_path)
        except Exception as error:
            error.add_note(f"python -m tests.faults.fuzzed_stores 1 {number}")
            raise
