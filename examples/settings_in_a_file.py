"""Settings from a file, and two threads: ``python examples/settings_in_a_file.py [folder]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import aqz_core as aqz

CONFIG = """\
store_path: replaced below
overwrite: true
max_threads: 2          # or the environment variable ZARR_MAX_THREADS
arrays:
  - output_key: image
    data_type: uint8
    compression: {compressor: zstd, codec: zstd, level: 1, shuffle: 0}
    dimensions:
      - {name: t, type: time, array_size_px: 0, chunk_size_px: 4, shard_size_chunks: 8}
      - {name: y, type: space, array_size_px: 96, chunk_size_px: 96, shard_size_chunks: 1}
      - {name: x, type: space, array_size_px: 96, chunk_size_px: 96, shard_size_chunks: 1}
"""


def main(folder: Path) -> None:
    """Write a config, read it, and record."""
    config = folder / "recording.yaml"
    config.write_text(CONFIG)
    settings = aqz.StreamSettings.from_file(config)
    settings.store_path = str(folder / "settings_in_a_file.zarr")
    print(f"at most {settings.get_maximum_memory_usage() >> 20} MiB for pixels")
    with aqz.ZarrStream(settings) as stream:
        stream.append(np.arange(40 * 96 * 96, dtype=np.uint32).astype(np.uint8).reshape(40, 96, 96))
    settings.to_file(folder / "recorded.json")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
