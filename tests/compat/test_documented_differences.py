"""Every row of docs/from-acquire-zarr.md is held by a test, which is named here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import aqz_core as aqz

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "from-acquire-zarr.md"

HELD_BY = {
    # the two releases contradict each other
    "default of `version`": "test_defaults_are_those_of_0_5_1",
    "empty `output_key`, no pyramid": "test_an_empty_key_is_an_image",
    "chunks of small pyramid levels": "test_chunks_of_small_levels_are_no_larger_than_the_level",
    "`write_custom_metadata`": "test_form_of_0_5_1",
    "`DownsamplingMethod`": "test_downsampling_methods_count_from_0",
    "dimensions of an array": "test_three_dimensions_at_least",
    "`max_threads`": "test_threads_of_0_5_are_those_of_the_machine",
    # settings and calls
    "settings that cannot be recorded": "test_array_that_cannot_be_recorded",
    "settings objects": "test_misspelt_setting_suggests_the_right_one",
    "lists in settings": "test_lists_are_live_and_the_settings_own_them",
    "`store_path`": "test_paths_become_absolute",
    "default of `shard_size_chunks`": "test_no_shards_on_any_axis",
    "level above 255, `-1`": "test_wrong_type_is_a_type_error_that_names_the_field",
    "`Acquisition.start_time = <ms>`": "test_milliseconds_fit_an_acquisition",
    "field without `acquisition_id`": "test_a_field_without_acquisition_names_none",
    "unsupported data type": "test_unsupported_data_type_names_the_choices",
    "`data_type = None` by assignment": "test_missing_values_of_the_constructor_only",
    "duplicate dimension names": "test_dimensions_that_cannot_be",
    "keys that differ in case only": "test_keys_that_differ_in_case",
    "keys that are no names on Windows: `aux`, `con.raw`, `a.`": (
        "test_keys_that_no_store_should_hold"
    ),
    "duplicate in `storage_dimension_order`": "test_storage_order_with_a_name_twice",
    "`storage_dimension_order`": "test_any_order_reads_back_equal_on_every_level",
    "rows and columns swapped in the store": "test_positions_instead_of_names",
    "keys `zarr.json`, `.zarray` ...": "test_keys_that_no_store_should_hold",
    "`get_array_keys()`": "test_keys_in_the_order_given",
    "`get_maximum_memory_usage()`": "test_memory_is_what_the_recording_needs",
    "`LogLevel`": "test_log_levels",
    "`ZARR_DIRECT_IO`": "test_an_environment_variable_of_the_peer_has_no_effect",
    "config files": "test_what_is_no_config",
    "library for C and C++": "test_same_frames_give_the_same_store",
    "secrets in config files": "test_secrets_are_not_written",
    # frames
    "wrong data type of the same size": "test_data_of_another_type",
    "wider type, such as float64 into uint16": "test_data_of_another_type",
    "object arrays": "test_another_data_type_is_refused_naming_both",
    "big-endian data": "test_any_memory_layout_stores_the_same_pixels",
    "frame of another shape, such as 3 x 3": "test_frames_of_another_shape",
    "masked array": "test_masked_pixels_are_not_stored_as_what_lies_under_the_mask",
    "array with no pixels of another shape, such as (3, 0)": "test_empty_frames_are_refused",
    "NaN in the metadata of a frame": "test_a_frame_is_not_given_up_for_a_number_that_json_lacks",
    "0-D array": "test_a_scalar",
    "unknown key, closed stream, too many frames": "test_unknown_key_and_no_key",
    "too many frames in 0.5.1": "test_faults_of_0_5_1_are_not_reproduced",
    "incomplete frame at `close`": "test_incomplete_frame_at_the_end",
    "`skip`": "test_nothing_of_older_frames_shows",
    "`skip` of bytes that are no whole pixels": "test_what_is_no_count",
    "stream not closed": "test_forgotten_stream",
    # custom metadata
    "a JSON list or scalar without key": "test_only_objects_can_be_merged_without_a_key",
    "`ome` as a name": "test_custom_metadata_that_cannot_be",
    "numpy values in a mapping": "test_numpy_and_enum_values_become_plain_python",
    "when it is stored": "test_attributes_that_come_while_recording_are_kept",
    "shorter rewrite of `acquire.json` in 0.5.1": "test_custom_metadata",
    "`StreamSettings.custom_metadata` in 0.5.1": (
        "test_metadata_of_0_5_may_be_an_attribute_of_the_settings"
    ),
    # the store
    "metadata files": "test_every_group_on_the_way_is_a_group_from_the_first_moment",
    "no frame appended": "test_no_frame_at_all",
    "groups that are there already": "test_groups_that_are_there_are_kept",
    "`overwrite=True`": "test_what_others_put_into_a_store_is_not_removed",
    "array at the key already, `overwrite=False`": "test_smaller_frames_into_the_same_store",
    "store directory that disappears": "test_store_removed_while_recording",
    "attribute `aqz`": "test_the_document_of_an_array",
    "`consolidated_metadata: null`, `storage_transformers: []`": (
        "test_the_sharded_document_is_the_one_acquire_zarr_writes"
    ),
    "`blocksize: 0` of blosc in Zarr V2": "test_files_are_those_of_acquire_zarr",
    "name of an image": "test_the_document_of_an_image",
    "description of the downsampling": "test_records_say_in_ngff_terms_what_they_do",
    "bytes inside a shard": "test_many_flushes_do_not_grow_the_store",
    "chunks of zeros": "test_chunks_of_zeros",
    "plate without `name`, without acquisitions": (
        "test_a_plate_without_name_or_acquisitions_leaves_them_out"
    ),
    "acquisition without fields": "test_metadata_of_plate_and_wells",
    # pyramids
    "MEAN of 32 and 64 bit integers": "test_means_of_wide_integers_do_not_overflow",
    "single image with a pyramid": "test_single_image_with_a_pyramid",
    "unlimited stack (z first) with a pyramid, or as a field": (
        "test_unlimited_stack_with_a_pyramid"
    ),
    "incomplete last volume, odd number of planes": (
        "test_append_size_is_the_size_of_a_complete_recording"
    ),
    "`CompressionSettings()` in 0.5.1": "test_faults_of_0_5_1_are_not_reproduced",
    "last shard not full in 0.5.1": "test_any_recording_reads_back_equal",
    "restart of a recording": "test_a_pyramid_goes_on_as_it_began",
}


def test_every_row_is_held_by_a_test_that_is_there():
    rows = {
        line.split("|")[1].strip()
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| case |", "| what |"))
    }
    assert rows == set(HELD_BY)
    found = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE)
    }
    assert set(HELD_BY.values()) <= found


def test_milliseconds_fit_an_acquisition():
    acquisition = aqz.Acquisition(start_time=1_700_000_000_000)
    acquisition.end_time = 1_700_000_000_001
    assert (acquisition.start_time, acquisition.end_time) == (1_700_000_000_000, 1_700_000_000_001)


@pytest.mark.parametrize("value", ["1", "0", "nonsense"])
def test_an_environment_variable_of_the_peer_has_no_effect(tmp_path, monkeypatch, value):
    monkeypatch.setenv("ZARR_DIRECT_IO", value)
    aqz.open_stream(tmp_path / "a.zarr", shape=(0, 8, 8), dtype="u1").close()
    assert aqz.validate_store(tmp_path / "a.zarr").is_valid
