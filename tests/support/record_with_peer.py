"""A process in which acquire-zarr records plans: ``python -m tests.support.record_with_peer``.

Plans come pickled on standard input, with the path to record to; ``ok`` or an error goes back, one
line each. The process may die of a plan: `tests.support.peer` starts another one.
"""

from __future__ import annotations

import importlib
import pickle
import sys

from tests.support.plans import record


def main() -> None:
    """Record until the input ends."""
    api = importlib.import_module("acquire_zarr")
    api.set_log_level(api.LogLevel.NONE)
    while True:
        try:
            plan, path = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if "version" in plan.options:
            plan.options["version"] = getattr(api.ZarrVersion, plan.options["version"])
        try:
            record(api, plan, path)
            answer = "ok"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(answer, flush=True)


if __name__ == "__main__":
    main()
