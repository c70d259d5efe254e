"""A codec, a frame processor, a sink and an observer for aqz."""
