"""``aqz upload``: a store from this machine, or a spill, goes to an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import typer

from aqz_core.cli.destinations import check_lasting
from aqz_core.cli.display import lasting_console
from aqz_core.cli.json_output import print_json
from aqz_core.cli.progress import bytes_bar
from aqz_core.cli.wording import write_bytes
from aqz_core.errors import SettingsError, StoreExistsError
from aqz_core.settings.paths import local_path, without_password
from aqz_core.storage.spill import read_manifest
from aqz_core.storage.spill.folder import destination_of

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.spill.folder import Manifest

__all__ = ["run_upload"]


def run_upload(
    store: str,
    destination: str | None,
    s3: S3Settings | None,
    *,
    overwrite: bool,
    as_json: bool = False,
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
    if manifest is not None and overwrite:
        raise SettingsError(
            f"{path} is a spill: it adds to a store and cannot overwrite it; leave out --overwrite"
        )
    if manifest is not None:
        place = without_password(destination or destination_of(manifest).store_path)
    elif destination is not None:
        place = without_password(destination)
    else:
        raise SettingsError("say where the store goes: aqz upload STORE s3://bucket/name.ome.zarr")
    with lasting_console(errors=as_json) as console, _Bar(console) as bar:
        try:
            files, nbytes = _send(path, manifest, destination, s3, overwrite, bar)
        except KeyboardInterrupt:
            console.print(
                f"interrupted: {bar.done} of {bar.total} bytes are sent, and readers of {place} do "
                "not see all of it. The same command sends it.",
                markup=False,
                soft_wrap=True,
            )
            return 130
    if as_json:
        print_json({"store": str(path), "destination": place, "files": files, "nbytes": nbytes})
    elif manifest is None:
        typer.echo(f"{files} files, {write_bytes(nbytes)}, sent to {place}")
    else:
        _report_spill(path, manifest, place, files, nbytes)
    return 0


def _send(
    path: Path,
    manifest: Manifest | None,
    destination: str | None,
    s3: S3Settings | None,
    overwrite: bool,
    bar: _Bar,
) -> tuple[int, int]:
    """Send a store or a spill; return the number of files, and of bytes."""
    from aqz_core.upload import upload_spill, upload_store

    if manifest is not None:
        return upload_spill(path, destination, s3=s3, on_progress=bar)
    assert destination is not None
    try:
        return upload_store(path, destination, s3=s3, overwrite=overwrite, on_progress=bar)
    except StoreExistsError as error:
        if overwrite:
            raise
        raise StoreExistsError(
            f"there is something at {without_password(destination)} already; choose another place, "
            "or replace it with --overwrite"
        ) from error


class _Bar:
    """Shows how much was sent, on a terminal.

    Parameters
    ----------
    console
        Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self.done = self.total = 0
        self._progress = bytes_bar("sending", console)
        self._task = self._progress.add_task("sending", total=None)

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        self.done, self.total = done, total
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        """Start."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._progress.stop()


def _report_spill(spill: Path, manifest: Manifest, place: str, files: int, nbytes: int) -> None:
    """Say what was sent of a spill, and what is to be done now."""
    how = f"{files} files, {write_bytes(nbytes)}, sent"
    if not files:
        sent = manifest.state == "sent"
        how = "everything was sent before" if sent else "nothing was spilled, so nothing was sent"
    typer.echo(f"{how}; {spill} can be removed")
    if manifest.state == "spilled":
        typer.echo(
            f"the recording ended before it was closed; finish it with: aqz repair {place} --apply"
        )
