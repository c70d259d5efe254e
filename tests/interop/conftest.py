from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.decoders import missing_zarrita, read_with_zarrita


@pytest.fixture(scope="session")
def zarrita() -> Callable[[Path, Sequence[str]], list[np.ndarray]]:
    """Read arrays with zarrita; optional on a developer's machine, required in CI."""
    reason = missing_zarrita()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"zarrita must be there in CI: {reason}")
        pytest.skip(f"zarrita: {reason}")
    return read_with_zarrita
