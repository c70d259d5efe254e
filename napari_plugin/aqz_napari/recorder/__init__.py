"""Taking frames on any thread and storing them. Neither Qt nor napari."""
