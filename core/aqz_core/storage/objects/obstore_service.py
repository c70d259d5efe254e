"""Azure storage through obstore, as a service that takes whole objects.

obstore does the talking outside of Python, for a quarter of the processor time. Its own retries are
off: `retry` makes them. For S3 it is not used: it knows neither the CRC-32C that bodies carry, nor
parts of an upload one by one, nor copies of parts, which a shown shard is made with.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from aqz_core.errors import SettingsError
from aqz_core.settings.paths import without_password
from aqz_core.storage.objects.part_sizes import PART_NBYTES
from aqz_core.storage.objects.redaction import Redaction
from aqz_core.storage.objects.service import Listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_core.storage.objects.request_body import PartBody

__all__ = ["OBSTORE_SCHEMES", "ObstoreService", "has_obstore"]

OBSTORE_SCHEMES = ("az", "abfs", "abfss")

PARTS_AT_ONCE = 4
"""Parts of one large object that are sent at the same time."""


def has_obstore() -> bool:
    """Return whether the package is installed."""
    return find_spec("obstore") is not None


class ObstoreService:
    """The objects of one container; keys begin behind its name.

    Parameters
    ----------
    url
        ``az://container/path``. The account comes from the environment.

    Raises
    ------
    SettingsError
        The URL, or what the environment says, names no store.
    """

    parts = None

    def __init__(self, url: str) -> None:
        from obstore.store import AzureStore

        scheme, _, rest = url.partition("://")
        container, _, self.root = rest.rstrip("/").partition("/")
        if "@" in container:
            raise SettingsError(
                f"store_path {without_password(url)!r} has an '@' in it; write "
                f"{scheme}://container/name, and name the account in AZURE_STORAGE_ACCOUNT_NAME"
            )
        client: Any = {"timeout": "1h", "connect_timeout": "10s", "allow_http": True}
        account: Any = _azure_account()
        failed: SettingsError | None = None
        try:
            self._store: Any = AzureStore(
                container, config=account, client_options=client, retry_config={"max_retries": 0}
            )
        except Exception as error:
            redaction = Redaction(url, None)  # it quotes a key that it cannot decode
            told = redaction.text(str(error).partition("\n")[0])  # the rest is for programmers
            failed = SettingsError(f"{without_password(url)} cannot be reached: {told}")
            failed.__cause__ = redaction.error(error)
        if failed is not None:
            raise failed

    async def open(self) -> None:
        """Do nothing: connections are made when they are needed."""

    async def close(self) -> None:
        """Do nothing: connections close when the store is forgotten."""

    async def renew(self) -> bool:
        """Return False: obstore renews what can be renewed."""
        return False

    async def get(self, key: str) -> bytes | None:
        """Return an object."""
        import obstore

        try:
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            await self._check_container()
            return None

    async def _check_container(self) -> None:
        """Raise if it is not an object but the container that is missing."""
        import obstore

        await obstore.list_with_delimiter_async(self._store, "aqz-no-such-object")

    async def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of an object."""
        import obstore

        return bytes(await obstore.get_range_async(self._store, key, start=start, end=stop))

    async def size(self, key: str) -> int | None:
        """Return the size of an object."""
        import obstore

        try:
            return int((await obstore.head_async(self._store, key))["size"])
        except FileNotFoundError:
            return None

    async def put(self, key: str, body: PartBody) -> None:
        """Store or replace an object; a large one in parts, which nobody sees before the last."""
        import obstore

        await obstore.put_async(
            self._store,
            key,
            body.view(),
            use_multipart=len(body) > PART_NBYTES,
            chunk_size=PART_NBYTES,
            max_concurrency=PARTS_AT_ONCE,
        )

    async def list_page(self, prefix: str, *, deep: bool, page: str | None) -> Listing:
        """List everything at once."""
        import obstore

        where = prefix.rstrip("/") or None
        if not deep:
            found = await obstore.list_with_delimiter_async(self._store, where)
            objects = found["objects"]
            groups = tuple(str(group).rstrip("/") for group in found["common_prefixes"])
        else:
            objects, groups = await obstore.list(self._store, where).collect_async(), ()
        keys, sizes = [one["path"] for one in objects], [one["size"] for one in objects]
        return Listing(tuple(keys), groups, sizes=tuple(sizes) if deep else ())

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects one by one: not every service takes several."""
        import obstore

        for key in keys:
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                continue


def _azure_account() -> dict[str, str]:
    """Return what a connection string of the environment says, which obstore does not read."""
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    given = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    names = {
        "AccountName": "account_name",
        "AccountKey": "account_key",
        "BlobEndpoint": "endpoint",
        "SharedAccessSignature": "sas_key",
    }
    return {name: given[theirs] for theirs, name in names.items() if theirs in given}
