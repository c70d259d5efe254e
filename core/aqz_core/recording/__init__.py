"""A stream at work: an open store, the frames that come in, and what readers may see of them.

May import pipeline and everything below it; never reading or recovery, which are the other side.
"""
