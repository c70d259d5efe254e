"""``aqz bench``: whether a disk holds a camera, measured with frames of that camera.

May import everything that the command line may.
"""
