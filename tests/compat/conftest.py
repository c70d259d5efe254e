"""The releases of acquire-zarr that recordings are compared with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.peer import Peer, venv_of_0_5_1


@pytest.fixture(scope="session")
def peer_0_10() -> Iterator[Peer]:
    """acquire-zarr 0.10.0."""
    peer = Peer(sys.executable, once=False)
    yield peer
    peer.close()


@pytest.fixture(scope="session")
def peer_0_5() -> Iterator[Peer]:
    """acquire-zarr 0.5.1."""
    try:
        python = venv_of_0_5_1()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"acquire-zarr 0.5.1 could not be installed: {error}")
    peer = Peer(python, once=True)
    yield peer
    peer.close()
