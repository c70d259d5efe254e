"""Runs one scenario of `scenarios` in a process of its own, with a deadline.

The acquisition engine is a singleton whose threads outlive a failed acquisition, and a run that
hangs can only be ended from outside: no scenario shares a process with another one, or with pytest.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CHECKOUT", "interrupt_scenario", "run_scenario", "start_scenario"]

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0  # seconds; a scenario takes 1 to 4


def start_scenario(name: str, folder: Path, **arguments: Any) -> subprocess.Popen[str]:
    """Start a scenario and return its process."""
    module = "tests.micromanager.scenarios"
    return subprocess.Popen(
        [sys.executable, "-m", module, name, str(folder), json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CHECKOUT,
        text=True,
    )


def run_scenario(name: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    """Run a scenario to its end and return what it reports."""
    return _report(name, start_scenario(name, folder, **arguments))


def interrupt_scenario(
    name: str, folder: Path, act: Callable[[], object] | None = None, **arguments: Any
) -> dict[str, Any]:
    """Run a scenario, press Ctrl+C or `act` when it says READY, and return what it reports."""
    process = start_scenario(name, folder, **arguments)
    deadline = threading.Timer(DEADLINE, process.kill)
    deadline.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line == "READY\n":
            process.send_signal(signal.SIGINT) if act is None else act()
            break
    deadline.cancel()
    return _report(name, process)


def _report(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the end of a scenario and return its report."""
    try:
        output, errors = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"scenario {name} hung\n{output}\n{errors}") from None
    lines = [line for line in output.splitlines() if line.startswith("REPORT ")]
    assert lines, f"scenario {name} reported nothing (exit {process.returncode})\n{errors}"
    report: dict[str, Any] = json.loads(lines[-1].removeprefix("REPORT "))
    report["stderr"] = errors
    return report
