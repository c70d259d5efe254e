"""A recording as a dataset: frames by name, coordinates, tables, and arrays for xarray and Dask.

May import recovery and everything below it. xarray, dask and pandas are imported when they are
asked for, never before.
"""
