"""Opening and saving OME-Zarr in napari: what goes in comes out."""

from __future__ import annotations

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari import registered_sources, unregister_source
from aqz_napari.ome_zarr.reader import get_reader, list_plate_fields, read_layers
from aqz_napari.ome_zarr.writer import write_layers
from aqz_napari.sources.simulated_camera import sample_data

pytest.importorskip("napari", reason="needs the extra `napari`")
pytest.importorskip("zarr", reason="reading needs zarr")


def saved(path, *layers):
    write_layers(str(path), [layer.as_layer_data_tuple() for layer in layers])
    return read_layers(str(path))


def units_of(layer):
    return [str(unit) for unit in layer.units]


def test_an_image_comes_back_with_scale_units_names_and_display(viewer_model, tmp_path):
    pixels = np.arange(3 * 40 * 60, dtype=np.uint16).reshape(3, 40, 60)
    layer = viewer_model.add_image(
        pixels, name="cells", scale=(2.0, 0.5, 0.25), units=("s", "um", "um"),
        axis_labels=("t", "y", "x"), colormap="magenta", contrast_limits=(5, 5000),
    )  # fmt: skip
    ((data, options, kind),) = saved(tmp_path / "a.ome.zarr", layer)
    assert kind == "image"
    level = data[0] if isinstance(data, list) else data
    assert np.array_equal(np.asarray(level), pixels)
    again = viewer_model.add_image(data, **options)
    assert np.allclose(again.scale, layer.scale)
    assert units_of(again) == ["second", "micrometer", "micrometer"]
    assert again.axis_labels == ("t", "y", "x")
    assert tuple(again.contrast_limits) == (5, 5000)
    assert options["name"] == "cells"
    assert np.allclose(again.colormap.colors[-1][:3], (1, 0, 1))


def test_a_large_image_gets_a_pyramid_and_labels_stay_labels(viewer_model, tmp_path):
    pixels = np.zeros((2000, 1500), np.uint8)
    labels = np.zeros((2000, 1500), np.int32)
    labels[100:200, 100:200] = 7
    layers = saved(
        tmp_path / "two.zarr",
        viewer_model.add_image(pixels, name="raw data"),
        viewer_model.add_labels(labels, name="cells"),
    )
    by_name = {options["name"]: (data, kind) for data, options, kind in layers}
    assert set(by_name) == {"raw data", "cells"}
    data, kind = by_name["cells"]
    assert kind == "labels"
    assert np.array_equal(np.asarray(data[0]), labels)
    assert set(np.unique(np.asarray(data[1]))) == {0, 7}
    viewer_model.add_labels(data)


def test_colours_come_back_as_channels(viewer_model, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (32, 40, 3), np.uint8)
    layers = saved(tmp_path / "rgb.zarr", viewer_model.add_image(pixels, rgb=True))
    assert [options["name"] for _, options, _ in layers] == ["red", "green", "blue"]
    for channel, (data, options, _) in enumerate(layers):
        assert np.array_equal(np.asarray(data), pixels[..., channel])
        viewer_model.add_image(data, **options)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("DAPI", "left too"), ["left DAPI", "left left too", "run/2 DAPI", "run/2 left too"]),
        (("left", "2"), ["left", "left 2", "run/2 left", "run/2"]),
    ],
)
def test_layers_of_several_images_are_told_apart(tmp_path, settings, frame_of, labels, names):
    here = settings(keys=("left", "run/2"), lead=(("t", 0), ("c", 2)))
    for array in here.arrays:
        array.channels = [aqz.Channel(name=label) for label in labels]
    with aqz.ZarrStream(here) as stream:
        for key in ("left", "run/2"):
            stream.append(np.stack([frame_of(0), frame_of(1)]), key)
    found = [options["name"] for _, options, _ in read_layers(str(here.store_path))]
    assert found == names


def test_lazy_and_multiscale_layers_are_saved_from_their_full_resolution(viewer_model, tmp_path):
    dask = pytest.importorskip("dask.array")
    pixels = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    lazy = viewer_model.add_image(dask.from_array(pixels, chunks=16))
    multi = viewer_model.add_image([pixels, pixels[::2, ::2]], multiscale=True)
    for number, layer in enumerate((lazy, multi)):
        ((data, _, _),) = saved(tmp_path / f"{number}.zarr", layer)
        assert np.array_equal(np.asarray(data), pixels)


def test_saving_never_replaces_a_store(viewer_model, tmp_path):
    layer = viewer_model.add_image(np.zeros((8, 8)))
    saved(tmp_path / "a.zarr", layer)
    with pytest.raises(aqz.StoreExistsError):
        saved(tmp_path / "a.zarr", layer)


def test_a_plate_offers_its_fields(tmp_path, viewer_model):
    array = aqz.ArraySettings(
        dimensions=[aqz.Dimension(name=n, array_size_px=16, chunk_size_px=16) for n in "yx"],
        data_type=np.uint8,
    )
    wells = [
        aqz.Well(
            row_name=row, column_name="1", images=[aqz.FieldOfView(path="0", array_settings=array)]
        )
        for row in "AB"
    ]
    plate = aqz.Plate(
        path="plate", name="plate", row_names=["A", "B"], column_names=["1"], wells=wells
    )
    settings = aqz.StreamSettings(store_path=tmp_path / "p.zarr", hcs_plates=[plate])
    with aqz.ZarrStream(settings) as stream:
        for value, key in enumerate(settings.get_array_keys()):
            stream.append(np.full((16, 16), value, np.uint8), key)
    path = str(tmp_path / "p.zarr" / "plate")
    ((_, options, _),) = read_layers(path, "B/1/0")
    assert options["name"] == "plate B/1/0"
    assert list_plate_fields(path) == ["A/1/0", "B/1/0"]
    ((data, _, _),) = read_layers(path, "B/1/0")
    assert np.asarray(data).max() == 1
    ((data, _, _),) = get_reader(path)(path)  # without a window: the first
    assert np.asarray(data).max() == 0


def test_a_store_while_it_is_recorded(tmp_path, settings, frame_of):
    with aqz.ZarrStream(settings()) as stream:
        stream.append(frame_of(3))
        stream.flush()
        ((data, _, _),) = read_layers(stream.store_path)
        assert np.array_equal(np.asarray(data[0]), frame_of(3))


def test_plain_arrays_and_what_is_no_store(tmp_path):
    import zarr

    zarr.create_array(tmp_path / "plain.zarr", shape=(4, 4), dtype="u1", dimension_names=("y", "x"))
    ((_, options, kind),) = read_layers(str(tmp_path / "plain.zarr"))
    assert (kind, options["axis_labels"]) == ("image", ("y", "x"))
    assert get_reader(str(tmp_path / "plain.zarr")) is not None
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "nothing.zarr")) is None


def test_units_that_napari_does_not_know_are_left_out(tmp_path, viewer_model, frame_of):
    with aqz.open_stream(
        tmp_path / "u.zarr", shape=(0, 32, 48), dtype="uint16", units={"x": "smoots", "t": "s"}
    ) as stream:
        stream.append(frame_of(0))
    ((data, options, _),) = read_layers(str(tmp_path / "u.zarr"))
    assert units_of(viewer_model.add_image(data, **options)) == ["second", "pixel", "pixel"]


def test_the_sample_is_calibrated_and_offers_its_camera(viewer_model):
    ((data, options, _),) = sample_data()
    assert "simulated camera" in registered_sources()
    unregister_source("simulated camera")
    layer = viewer_model.add_image(data, **options)
    assert (layer.data.shape, tuple(layer.scale)) == ((512, 512), (0.65, 0.65))
    assert np.ptp(layer.data) > 100
