"""Refuse a tag that is not the version of the package: python check_release.py v1.2.3.

The version stands in version.py, not in the tag: a checkout without tags or without git (an
archive, a shallow clone, a distribution's build) has the right one as well, and what a store says
of its writer is the same however it was installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def problems(tag, root=CHECKOUT):
    """Return what keeps a tag from being released."""
    text = (root / "core" / "aqz_core" / "version.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', text)[1]
    found = []
    if tag != f"v{version}":
        found.append(
            f"the tag is {tag} and version.py says {version}: tag v{version}, or change it"
        )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if "Repository" not in project["urls"]:
        found.append("[project.urls] of pyproject.toml has no Repository: add its address")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## [{version}]" not in changelog:
        found.append(f"CHANGELOG.md has no section [{version}]: rename Unreleased")
    return found


if __name__ == "__main__":
    found = problems(sys.argv[1])
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(bool(found))
