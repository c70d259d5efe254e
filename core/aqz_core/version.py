"""The version of aqz."""

__version__ = "0.1.0"
