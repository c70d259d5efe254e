"""Chunks into objects: a file per chunk, or shards that grow and their indexes.

May import planning, storage and everything below them.
"""
