"""Frames into chunks: planes are copied into layers, full layers downsampled, encoded and stored.

May import chunks, planning and everything below them.
"""
