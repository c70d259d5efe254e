"""The simulated systems find what they are for: faults that Linux does not show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.desks import planted_faults

CHECKOUT = Path(__file__).parent.parent.parent


def recorded(*arguments):
    """Run the recording of `planted_faults` and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "tests.desks.planted_faults", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_without_a_fault_windows_records():
    done = recorded("windows")
    assert done.stdout == "equal\n", done.stderr


def test_linux_does_not_show_the_faults():
    done = recorded(*(fault.__name__ for fault in planted_faults.FAULTS))
    assert done.stdout == "equal\n", done.stderr


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("rename_of_an_open_file", "another handle has it open"),
        ("missing_binary_flag", "different"),
        ("case_clash", "different|StorageError"),  # two arrays race for the files of one
    ],
)
def test_windows_shows_a_planted_fault(fault, shown):
    done = recorded("windows", fault)
    assert re.search(shown, done.stdout + done.stderr)
    assert done.stdout != "equal\n"
