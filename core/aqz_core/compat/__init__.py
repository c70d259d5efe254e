"""The vocabulary of other writers, on the engine of aqz.

May import everything but the command line.

`aqz_core` itself speaks acquire-zarr 0.10.0; `aqz_core.compat.v0_5` speaks 0.5.1, where that
differs. Programs change one import and nothing else.
"""
