"""What ``aqz info`` says of a folder that a recording went on in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aqz_core.cli.wording import write_bytes
from aqz_core.storage.lock import is_locked
from aqz_core.storage.names import PARTIAL
from aqz_core.storage.spill.folder import destination_of

if TYPE_CHECKING:
    from pathlib import Path

    from aqz_core.storage.spill.folder import Manifest

__all__ = ["show_spill"]

STATES = {
    "unused": "nothing was spilled: the store worked as long as the recording ran",
    "spilled": "the recording went on here and ended before it was closed",
    "complete": "the recording went on here and was finished",
    "sent": "everything was sent; the folder can be removed",
}


def show_spill(path: Path, manifest: Manifest) -> int:
    """Print what a spill holds and what to do with it; return the exit code."""
    files = [file for file in (path / "objects").rglob("*") if file.is_file()]
    whole = [file for file in files if not file.name.endswith(PARTIAL)]
    unfinished = len(files) - len(whole)
    settings = destination_of(manifest)
    s3 = settings.s3
    endpoint = f" at {s3.endpoint}" if s3 and s3.endpoint else ""
    bucket = f" in bucket {s3.bucket_name}" if s3 and s3.bucket_name else ""
    state = STATES.get(manifest.state, manifest.state)
    if is_locked(path):
        state = {
            "unused": "a stream uses it, and its store works",
            "spilled": "the store has failed, and the recording goes on here",
        }.get(manifest.state, "it is being used")
    typer.echo(f"{path}: the spill of {settings.store_path}{bucket}{endpoint}")
    typer.echo(f"recording began {manifest.began}")
    typer.echo(f"state: {state}")
    if manifest.reason:
        typer.echo(f"the store failed: {manifest.reason}")
    typer.echo(f"{len(whole)} objects, {write_bytes(sum(file.stat().st_size for file in whole))}")
    if unfinished:
        typer.echo(f"{unfinished} copies of shards that are not complete; they are never sent")
    if manifest.state in ("spilled", "complete") and not is_locked(path):
        typer.echo(f"to send it: aqz upload {path}")
    return 0
