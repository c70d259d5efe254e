"""A library for programs in C that were written for acquire-zarr: built here, and run by Python.

``aqz c-library`` compiles the sources in ``source`` with the headers in ``include`` (`building`).
The library starts Python in the process of the host, or uses the one that is there, and calls
`embedded`. May import everything but the command line; nothing may import it but the command line.
cffi and setuptools are imported when a library is built or runs.
"""

INTERFACE = 1
"""Raised whenever libraries built before would no longer understand this package."""
