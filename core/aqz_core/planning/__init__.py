"""What the settings come to: layout, pyramid, memory and documents; arithmetic that stores no byte.

May import plugins, storage, settings, codecs, metadata, downsampling and the vocabulary.
"""
