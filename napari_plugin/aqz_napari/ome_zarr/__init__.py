"""Reading and writing OME-Zarr as napari layers."""
