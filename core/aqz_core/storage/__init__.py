"""Objects on a disk, in a bucket, in memory, or in a folder until a bucket is back.

May import settings, codecs, metadata, downsampling and the vocabulary.
"""
