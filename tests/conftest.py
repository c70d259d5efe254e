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

# A shell that runs the tests in the background has them ignore Ctrl+C, nohup the end of the
# terminal, and with them every process that a test starts in order to interrupt it.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
