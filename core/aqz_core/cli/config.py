"""``aqz config check``: what a settings file would record, or what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aqz_core.cli.json_output import print_json
from aqz_core.cli.wording import write_bytes
from aqz_core.display.printable import visible
from aqz_core.settings.paths import without_password
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.stream import validate

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_config"]


def check_config(file: Path, *, as_json: bool) -> int:
    """Read settings, check them as a stream would, and report what they come to.

    Raises
    ------
    SettingsError, StorageError
        The file cannot be read, or cannot be recorded.
    """
    settings = StreamSettings.from_file(file)
    validate(settings)
    keys, memory = settings.get_array_keys(), settings.get_maximum_memory_usage()
    store = without_password(settings.store_path)
    if as_json:
        print_json({"store": store, "arrays": keys, "memory_bytes": memory})
        return 0
    arrays = f"{len(keys)} array{'' if len(keys) == 1 else 's'}"
    names = ", ".join(repr(key) for key in keys[:8]) + (", ..." if len(keys) > 8 else "")
    typer.echo(visible(f"{file} can be recorded"))
    typer.echo(visible(f"  store   {store}"))
    typer.echo(visible(f"  {arrays}: {names}"))
    typer.echo(f"  memory  {write_bytes(memory)} for pixels at most")
    return 0
