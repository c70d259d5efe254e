from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

CHECKOUT = Path(__file__).parent.parent

# Failing examples are kept inside the checkout; two busy cores make deadlines meaningless.
settings.register_profile(
    "aqz",
    deadline=None,
    database=DirectoryBasedExampleDatabase(CHECKOUT / ".hypothesis" / "examples"),
)
settings.load_profile("aqz")
