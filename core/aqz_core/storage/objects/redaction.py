"""Secrets left out of what client libraries and services say.

A service may answer with what it was sent, and a library may quote a header that it refuses. Such
errors are neither shown nor chained as they are: a traceback would print them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from aqz_core.settings.s3 import S3Settings

__all__ = ["Redaction"]

_NAMES = re.compile(r"(AWS|AZURE|GOOGLE)_.*(SECRET|TOKEN|PASSWORD|SAS|ACCOUNT_KEY|ACCESS_KEY$)")
"""Variables of the environment that hold secrets, and none of those that hold files or names."""
_FILES = re.compile(r"_(FILE|URI|URL|ENDPOINT|ID)$")
_LEAST_LETTERS = 6
"""What is shorter is no secret, and would blacken words."""


class Redaction:
    """Takes the secrets of one store out of texts and errors.

    Parameters
    ----------
    url, s3
        As ``store_path`` and ``s3`` of `StreamSettings`.
    """

    def __init__(self, url: str, s3: S3Settings | None) -> None:
        found = [value for name, value in os.environ.items() if _is_secret(name)]
        found += [] if s3 is None else [s3.secret or "", s3.token or ""]
        found += _passwords(url) + _of_connection_string()
        spellings = {
            spelling
            for one in found
            if len(one) >= _LEAST_LETTERS
            for spelling in (one, one.strip(), quote(one), quote(one, safe=""), repr(one)[1:-1])
        }
        self._secrets = sorted(spellings, key=len, reverse=True)

    def __repr__(self) -> str:
        return "<Redaction>"

    def text(self, text: str) -> str:
        """Return a text with ``***`` for each secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def error(self, error: BaseException) -> BaseException:
        """Return an error that can be chained: itself, if nothing of it shows a secret."""
        told = [text for one in _chain(error) for text in (str(one), repr(one))]
        if all(self.text(text) == text for text in told):
            return error
        return RuntimeError(f"{type(error).__name__}: {self.text(str(error))}")


def _is_secret(name: str) -> bool:
    """Return whether a variable of the environment holds a secret."""
    return _NAMES.match(name) is not None and _FILES.search(name) is None


def _of_connection_string() -> list[str]:
    """Return the keys of the connection string of Azure."""
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    parts = (part.partition("=") for part in text.split(";"))
    return [value for name, _, value in parts if name in ("AccountKey", "SharedAccessSignature")]


def _passwords(url: str) -> list[str]:
    """Return the password of a URL, as it is written and as it is sent."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return []
    return [password, unquote(password)] if password else []


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and everything that a traceback would show with it."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and all(one is not other for other in found):
            found.append(one)
            waiting += [one.__cause__, one.__context__]
    return found
