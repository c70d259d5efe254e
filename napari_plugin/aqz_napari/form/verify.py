"""Reading a recording back: every index, every chunk, every checksum."""

from __future__ import annotations

import aqz_core as aqz

__all__ = ["verify_store"]


def verify_store(store_path: str) -> tuple[str, str]:
    """Check a store on this machine.

    Returns
    -------
    (problem, summary)
        What is wrong, empty if nothing is; and what was read.
    """
    report = aqz.validate_store(store_path)
    if not report.arrays:
        return f"{store_path} holds no array that could be verified", ""
    if not report.is_valid:
        damage = [found for found in report.findings if str(found.severity) == "error"]
        return f"{len(damage)} damaged: {damage[0].where}: {damage[0].what}", ""
    chunks = sum(array.decoded for array in report.arrays)
    return "", f"Verified: {chunks} chunks of {len(report.arrays)} arrays, all checksums right."
