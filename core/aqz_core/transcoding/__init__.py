"""A store made from another one, or from files of other formats: a shard at a time, restartable.

May import dataset and everything below it. distributed, tifffile and ndstorage are imported when
they are asked for, never before.
"""
