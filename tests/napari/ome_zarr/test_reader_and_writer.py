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
zarr = pytest.importorskip("zarr", reason="reading needs zarr")


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
    assert np.array_equal(data, labels)
    assert viewer_model.add_labels(data).editable
    small = zarr.open_array(tmp_path / "two.zarr" / "labels" / "cells" / "1", mode="r")
    assert set(np.unique(small[:])) == {0, 7}  # a mean of labels is no label
    group = zarr.open_group(tmp_path / "two.zarr", mode="r")
    assert group["labels"].attrs["ome"]["labels"] == ["cells"]
    assert "image-label" in group["labels/cells"].attrs["ome"]


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


TURNED = {
    "placed": {"translate": (100, 200), "scale": (0.5, 0.25)},
    "mirrored": {"scale": (-0.5, 0.5), "translate": (3, 0)},
    "turned": {"rotate": 30, "scale": (2, 2)},
    "sheared": {"shear": [0.3]},
    "transformed": {"affine": [[1, 0.2, 5], [0, 1, 7], [0, 0, 1]]},
}


@pytest.mark.parametrize("how", TURNED)
@pytest.mark.parametrize("kind", ["image", "labels"])
def test_a_layer_comes_back_where_it_was(viewer_model, tmp_path, how, kind):
    add = getattr(viewer_model, f"add_{kind}")
    layer = add(np.arange(48, dtype=np.uint16).reshape(6, 8), name=how, **TURNED[how])
    ((data, options, found),) = saved(tmp_path / "a.ome.zarr", layer)
    again = getattr(viewer_model, f"add_{found}")(data, **options)
    assert (found, options["name"]) == (kind, how)
    for corner in ((0, 0), (5, 7)):
        assert np.allclose(again.data_to_world(corner), layer.data_to_world(corner))


def test_what_ome_zarr_has_no_place_for_is_said_before_it_is_saved(viewer_model, tmp_path):
    from napari.utils.notifications import notification_manager

    def said(store, **options):
        before = len(notification_manager.records)
        saved(tmp_path / f"{store}.zarr", viewer_model.add_image(np.zeros((6, 8)), **options))
        return [str(record.message) for record in notification_manager.records[before:]]

    assert said("plain", translate=(1, 2), scale=(3, 4)) == []
    (message,) = said("turned", name="tile", rotate=10, scale=(-1, 1))
    assert "tile: OME-Zarr has no place for rotation and negative scale" in message


def test_the_display_comes_back(viewer_model, tmp_path):
    from napari.utils import Colormap

    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    own = Colormap([[0, 0, 1, 1], [1, 1, 0, 1]], name="own")
    for number, colormap in enumerate(("viridis", own)):
        layer = viewer_model.add_image(
            pixels, colormap=colormap, blending="additive", opacity=0.4, gamma=0.7,
            contrast_limits=(0, 4095),
        )  # fmt: skip
        ((data, options, _),) = saved(tmp_path / f"{number}.zarr", layer)
        again = viewer_model.add_image(data, **options)
        assert (again.blending, again.opacity, again.gamma) == ("additive", 0.4, 0.7)
        assert tuple(again.contrast_limits) == (0, 4095)
        assert np.allclose(again.colormap.map([0.2, 0.9]), layer.colormap.map([0.2, 0.9]))


def test_big_endian_pixels_are_saved(viewer_model, tmp_path):
    pixels = np.arange(48).reshape(6, 8).astype(">u2")
    ((data, _, _),) = saved(tmp_path / "a.zarr", viewer_model.add_image(pixels, name="ImageJ"))
    assert np.array_equal(np.asarray(data), pixels)


def test_six_axes_come_back_with_scale_units_and_name(viewer_model, tmp_path):
    pixels = np.arange(2 * 2 * 20, dtype=np.uint8).reshape(1, 2, 1, 2, 4, 5)
    layer = viewer_model.add_image(
        pixels, name="six", scale=(1, 1, 1, 2, 0.5, 0.5), units=["pixel"] * 3 + ["um"] * 3
    )
    ((data, options, _),) = saved(tmp_path / "a.zarr", layer)
    again = viewer_model.add_image(data, **options)
    assert (options["name"], tuple(again.scale)) == ("six", (1, 1, 1, 2, 0.5, 0.5))
    assert units_of(again)[-3:] == ["micrometer"] * 3
    assert np.array_equal(np.asarray(data), pixels)


def test_a_stack_has_a_pyramid_that_is_of_use_in_3d(viewer_model, tmp_path):
    layer = viewer_model.add_image(np.zeros((40, 1024, 1024), np.uint8))
    ((data, _, _),) = saved(tmp_path / "a.zarr", layer)
    assert data[-1].shape[0] >= 40 * data[-1].shape[1] // 1024


def test_axes_with_channels_last_are_saved_with_rows_and_columns_last(viewer_model, tmp_path):
    pixels = np.arange(6 * 8 * 2, dtype=np.uint8).reshape(6, 8, 2)
    layer = viewer_model.add_image(pixels, axis_labels=("y", "x", "c"), scale=(2, 3, 1))
    ((data, options, _),) = saved(tmp_path / "a.zarr", layer)
    assert options["axis_labels"] == ("c", "y", "x")
    assert options["scale"] == (1, 2, 3)
    assert np.array_equal(np.asarray(data), np.moveaxis(pixels, -1, 0))


def test_a_name_without_an_ending_gets_one_that_opens(viewer_model, tmp_path):
    layer = viewer_model.add_image(np.zeros((6, 8)))
    (path,) = write_layers(str(tmp_path / "goodimg"), [layer.as_layer_data_tuple()])
    assert path == str(tmp_path / "goodimg.ome.zarr")
    assert get_reader(path) is not None


def test_labels_of_several_images_belong_to_those_of_their_size(viewer_model, tmp_path):
    add = viewer_model.add_image
    layers = [
        add(np.zeros((6, 8)), name="left"), add(np.zeros((9, 9)), name="right"),
        viewer_model.add_labels(np.ones((9, 9), int), name="cells"),
        viewer_model.add_labels(np.ones((5, 5), int), name="alone"),
    ]  # fmt: skip
    found = saved(tmp_path / "a.zarr", *layers)
    assert {(options["name"], kind) for _, options, kind in found} == {
        ("left", "image"), ("right", "image"), ("right cells", "labels"), ("alone", "labels"),
    }  # fmt: skip
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert root["OME"].attrs["ome"]["series"] == ["left", "right", "alone"]
    assert root["right/labels"].attrs["ome"]["labels"] == ["cells"]


def test_many_positions_are_stacked_and_none_is_left_out(tmp_path, settings, frame_of):
    keys = [f"position_{number:02}" for number in range(40)]
    here = settings(keys=keys, lead=(("t", 0), ("c", 2)))
    for array in here.arrays:
        array.channels = [aqz.Channel(name="DAPI"), aqz.Channel(name="FITC")]
    with aqz.ZarrStream(here) as stream:
        for number, key in enumerate(keys):
            stream.append(np.stack([frame_of(number), frame_of(100 + number)]), key)
    layers = read_layers(str(here.store_path))
    assert [options["name"] for _, options, _ in layers] == ["DAPI", "FITC"]
    for channel, (data, options, _) in enumerate(layers):
        data = data[0] if isinstance(data, list) else data
        assert data.shape == (40, 1, 32, 48)
        assert options["metadata"]["positions"] == keys
        assert options["axis_labels"] == ("position", "t", "y", "x")
        assert np.array_equal(np.asarray(data[7, 0]), frame_of(7 + 100 * channel))
