"""A local folder that takes over when an object store fails.

May import what storage may.

What the store lacks is kept, by name, until ``aqz upload`` sends it.
"""

from aqz_core.storage.spill.folder import SpillFolder, read_manifest
from aqz_core.storage.spill.sink import SpillingSink

__all__ = ["SpillFolder", "SpillingSink", "read_manifest"]
