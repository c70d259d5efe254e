from __future__ import annotations

import os
import signal
from pathlib import Path

from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

CHECKOUT = Path(__file__).parent.parent

# Failing examples are kept inside the checkout; two busy cores make deadlines meaningless. CI draws
# the same examples every time: what is new is looked for at home, where it can be looked into.
settings.register_profile(
    "aqz",
    deadline=None,
    derandomize="CI" in os.environ,
    database=None
    if "CI" in os.environ
    else DirectoryBasedExampleDatabase(CHECKOUT / ".hypothesis" / "examples"),
)
settings.load_profile("aqz")

# A shell that runs the tests in the background has them ignore Ctrl+C, and with them every process
# that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
