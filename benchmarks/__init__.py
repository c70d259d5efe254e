"""Measurements of aqz_core against acquire-zarr and against what the machine allows.

Not part of the installed package and never run as tests: times belong in tables, not in
assertions. Start with ``python -m benchmarks.compare --list``; ``benchmarks/README.md`` says how
the figures are taken.
"""
