"""``python -m aqz_core``: the command ``aqz``, where its script is not on the path."""

from __future__ import annotations

import sys

from aqz_core.cli import main

sys.exit(main())
