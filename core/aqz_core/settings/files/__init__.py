"""Settings of a stream in files: YAML or JSON, in the schema of acquire-zarr 0.10.0 (version 2).

May import the other settings, but not `stream`, which calls it.

A file written here is read by that release, and the other way round. Settings that only aqz has
are written where they differ from their defaults; acquire-zarr passes over them. The methods of
`StreamSettings` (``from_file``, ``to_yaml`` ...) call what is here.
"""

from __future__ import annotations

from aqz_core.settings.files.reading import from_dict, from_file, from_string
from aqz_core.settings.files.writing import to_dict, to_file, to_json, to_yaml

__all__ = ["from_dict", "from_file", "from_string", "to_dict", "to_file", "to_json", "to_yaml"]
