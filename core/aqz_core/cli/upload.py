"""``aqz upload``: a store from this machine, or a spill, goes to an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aqz_core.cli.destinations import check_lasting
from aqz_core.cli.wording import write_bytes
from aqz_core.errors import SettingsError, StoreExistsError
from aqz_core.settings.paths import local_path, without_password
from aqz_core.storage.spill import read_manifest
from aqz_core.storage.spill.folder import destination_of

if TYPE_CHECKING:
    from pathlib import Path

    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.spill.folder import Manifest

__all__ = ["run_upload"]


def run_upload(
    store: str, destination: str | None, s3: S3Settings | None, *, overwrite: bool
) -> int:
    """Send it, print how much that was, and return the exit code.

    Raises
    ------
    AqzError
        It is not on this machine, or cannot be sent; the message says why.
    """
    path = local_path(store)
    if destination is not None:
        check_lasting(destination)
    manifest = read_manifest(path)
    if manifest is not None:
        if overwrite:
            raise SettingsError(
                f"{path} is a spill: it adds to a store and cannot overwrite it; leave out "
                "--overwrite"
            )
        return _send_spill(path, manifest, destination, s3)
    if destination is None:
        raise SettingsError("say where the store goes: aqz upload STORE s3://bucket/name.ome.zarr")
    from aqz_core.upload import upload_store

    try:
        files, nbytes = upload_store(path, destination, s3=s3, overwrite=overwrite)
    except StoreExistsError as error:
        raise StoreExistsError(
            f"there is something at {without_password(destination)} already; choose another place, "
            "or replace it with --overwrite"
        ) from error
    typer.echo(f"{files} files, {write_bytes(nbytes)}, sent to {without_password(destination)}")
    return 0


def _send_spill(
    spill: Path, manifest: Manifest, destination: str | None, s3: S3Settings | None
) -> int:
    """Send a spill."""
    from aqz_core.upload import upload_spill

    files, nbytes = upload_spill(spill, destination, s3=s3)
    how = f"{files} files, {write_bytes(nbytes)}, sent"
    if not files:
        sent = manifest.state == "sent"
        how = "everything was sent before" if sent else "nothing was spilled, so nothing was sent"
    typer.echo(f"{how}; {spill} can be removed")
    if manifest.state == "spilled":
        place = without_password(destination or destination_of(manifest).store_path)
        typer.echo(
            f"the recording ended before it was closed; finish it with: aqz repair {place} --apply"
        )
    return 0
