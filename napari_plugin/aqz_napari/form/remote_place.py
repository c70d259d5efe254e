"""Places that are not on this machine: which names are taken there, and whether one can write.

Everything here may take as long as the network: nothing of it belongs on the main thread, except
`RemoteNames`, which asks on threads of its own and answers with what it knows so far.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

import aqz_core as aqz
from aqz_napari.recorder.error_text import first_line

__all__ = ["RemoteNames", "names_beside", "storage_options", "try_remote"]

_CONNECT_SECONDS, _READ_SECONDS = 5, 15


def storage_options(url: str, endpoint: str = "") -> dict[str, Any]:
    """Return what fsspec needs to reach a URL; an endpoint is for S3 and its like only."""
    if url.partition("://")[0] not in ("s3", "s3a"):
        return {}
    options: dict[str, Any] = {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "retries": {"max_attempts": 1},
        },
    }
    if endpoint.strip():
        options["endpoint_url"] = endpoint.strip()
    return options


def names_beside(url: str, endpoint: str = "") -> frozenset[str]:
    """Return the names in the folder that a store would be in; none if there is no folder yet.

    Raises
    ------
    OSError
        They cannot be listed; the message says why.
    """
    import fsspec

    folder = url.rstrip("/").rpartition("/")[0]
    try:
        system, path = fsspec.core.url_to_fs(folder, **storage_options(url, endpoint))
        system.invalidate_cache()
        found = system.ls(path, detail=False)
    except FileNotFoundError as error:
        if "bucket" in str(error).lower():
            raise OSError(_told(folder, error)) from error
        return frozenset()  # the first store makes the folder
    except Exception as error:  # every protocol has exceptions of its own
        raise OSError(_told(folder, error)) from error
    return frozenset(str(name).rstrip("/").rpartition("/")[2] for name in found)


def try_remote(url: str, endpoint: str = "") -> str:
    """Write and remove a small object next to where a store would be.

    Returns
    -------
    str
        Empty if that worked; else what went wrong, for people.
    """
    import fsspec

    scheme = url.partition("://")[0]
    name = f"{url.rstrip('/')}.aqz-try-{uuid.uuid4().hex[:8]}"
    try:
        system, path = fsspec.core.url_to_fs(name, **storage_options(url, endpoint))
        system.pipe_file(path, b"aqz")
        system.rm_file(path)
    except ImportError as error:
        return f"{scheme}:// needs a package that is not installed: {error}"
    except Exception as error:  # every protocol has exceptions of its own
        return _told(url, error, " cannot be written")
    return ""


class RemoteNames:
    """Which names are taken in remote folders, as far as is known.

    Parameters
    ----------
    endpoint : str
        URL of the service, for S3 and its like.

    Attributes
    ----------
    changed : bool
        Whether an answer has come since this was last set to False.
    """

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint
        self.changed = False
        self._lock = threading.Lock()
        self._known: dict[str, frozenset[str] | str | None] = {}

    def exists(self, url: str) -> bool:
        """Return whether a name is taken; False, and a question asked, while that is not known."""
        folder, _, name = url.rstrip("/").rpartition("/")
        if not folder.partition("://")[2]:
            return False  # not even a bucket yet
        with self._lock:
            if folder not in self._known:
                self._known[folder] = None
                threading.Thread(target=self._ask, args=(folder, url), daemon=True).start()
            known = self._known[folder]
        return name in known if isinstance(known, frozenset) else False

    def is_asking(self, url: str) -> bool:
        """Return whether the answer for a place is still to come."""
        return self._known.get(url.rstrip("/").rpartition("/")[0], "") is None

    def problem(self, url: str) -> str:
        """Say why a place cannot be listed; empty if it can, or is not known yet."""
        known = self._known.get(url.rstrip("/").rpartition("/")[0])
        return known if isinstance(known, str) else ""

    def _ask(self, folder: str, url: str) -> None:
        """List a folder; runs on a thread of its own."""
        try:
            answer: frozenset[str] | str = names_beside(url, self.endpoint)
        except OSError as error:
            answer = str(error)
        with self._lock:
            self._known[folder] = answer
        self.changed = True


def _told(url: str, error: BaseException, what: str = "") -> str:
    """Return a message about a place, without a password that is in its URL."""
    shown = aqz.without_password(url)
    return f"{shown}{what}: {first_line(error).replace(url, shown)}"
