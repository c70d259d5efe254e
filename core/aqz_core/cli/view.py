"""``aqz view``: a store in napari, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from aqz_core.dataset.opening import open_dataset
from aqz_core.errors import SettingsError

__all__ = ["run_view"]


def run_view(store: str) -> int:
    """Show a store, wait until the window is closed, and return the exit code.

    Raises
    ------
    SettingsError
        napari is not installed.
    StorageError
        There is no store that can be shown.
    """
    if find_spec("napari") is None:
        raise SettingsError(
            'napari is not installed; install it with python -m pip install ".[napari]", in the '
            "folder that aqz was installed from. A picture without it: aqz info STORE --picture "
            "out.png"
        )
    with open_dataset(store) as dataset:
        dataset.images  # noqa: B018  # before a window opens: is there anything to show?
    return subprocess.run(
        [sys.executable, "-m", "napari", store, "--plugin", "aqz"], check=False
    ).returncode
