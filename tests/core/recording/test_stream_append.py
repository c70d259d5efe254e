"""What `append` takes, what it refuses, and that a refused call has written nothing."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.errors import (
    FrameShapeError,
    FrameTypeError,
    OutOfBoundsError,
    UnknownArrayError,
)
from tests.support.decoders import read_with_zarr_python
from tests.support.frames import encoded_frames
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

HEIGHT, WIDTH = 10, 14
FAST = {"durability": "none"}


def array_plan(key="", dtype="uint16", frames=7, **more):
    return ArrayPlan(
        axes=axes("tyx", (0, HEIGHT, WIDTH), (2, 4, 5), (2, 2, 1)),
        key=key,
        dtype=dtype,
        frames=frames,
        **more,
    )


def opened(tmp_path, *arrays):
    return aqz.ZarrStream(settings_for(aqz, StreamPlan(arrays, FAST), tmp_path / "s"))


def stored(tmp_path, key=""):
    return read_with_zarr_python(tmp_path / "s", key)


def fortran(frames):
    return np.asfortranarray(frames)


def transposed(frames):
    return np.ascontiguousarray(frames.transpose(2, 0, 1)).transpose(1, 2, 0)


def strided(frames):
    return np.repeat(np.repeat(frames, 2, axis=1), 3, axis=2)[:, ::2, ::3]


def reversed_memory(frames):
    return np.ascontiguousarray(frames[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]


def big_endian(frames):
    return frames.astype(frames.dtype.newbyteorder(">"))


def read_only(frames):
    frames = frames.copy()
    frames.flags.writeable = False
    return frames


def misaligned(frames):
    memory = np.empty(frames.nbytes + 1, np.uint8)
    view = memory[1:].view(frames.dtype).reshape(frames.shape)
    view[...] = frames
    return view


MEMORY_LAYOUTS = (
    np.copy,
    fortran,
    transposed,
    strided,
    reversed_memory,
    big_endian,
    read_only,
    misaligned,
)


@pytest.mark.parametrize("lay_out", MEMORY_LAYOUTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64", "bool", "float16"])
@pytest.mark.parametrize("form", ["frame", "stack"])
def test_any_memory_layout_stores_the_same_pixels(tmp_path, lay_out, dtype, form):
    plan = array_plan(dtype=dtype)
    frames = frames_of(plan)
    given = lay_out(frames)
    with opened(tmp_path, plan) as stream:
        for part in given if form == "frame" else [given]:
            stream.append(part)
    np.testing.assert_array_equal(stored(tmp_path), frames, strict=True)


@pytest.mark.parametrize("lay_out", [np.copy, big_endian, read_only, misaligned])
def test_flat_pixels_store_the_same_in_any_memory_layout(tmp_path, lay_out):
    plan = array_plan()
    frames = frames_of(plan)
    given = lay_out(frames).reshape(-1)
    with opened(tmp_path, plan) as stream:
        stream.append(given[:100])
        stream.append(given[100:])
    np.testing.assert_array_equal(stored(tmp_path), frames, strict=True)


def test_a_strided_run_of_pixels_is_stored(tmp_path):
    plan = array_plan()
    frames = frames_of(plan)
    with opened(tmp_path, plan) as stream:
        stream.append(np.repeat(frames.reshape(-1), 2)[::2])
    np.testing.assert_array_equal(stored(tmp_path), frames, strict=True)


def test_a_broadcast_frame_is_stored_as_often_as_it_is_shown(tmp_path):
    frame = encoded_frames(range(1), HEIGHT, WIDTH, "uint16")
    with opened(tmp_path, array_plan()) as stream:
        stream.append(np.broadcast_to(frame, (5, HEIGHT, WIDTH)))
    np.testing.assert_array_equal(stored(tmp_path), np.repeat(frame, 5, axis=0))


def test_whole_blocks_of_the_leading_dimensions_are_taken(tmp_path):
    plan = ArrayPlan(
        axes=axes("tczyx", (0, 2, 3, HEIGHT, WIDTH), (1, 1, 2, 5, 5), (2, 1, 1, 2, 2)), frames=24
    )
    block = frames_of(plan).reshape(4, 2, 3, HEIGHT, WIDTH)
    with opened(tmp_path, plan) as stream:
        stream.append(block[0])
        stream.append(block[1, 0])
        stream.append(block[1, 1, 0])
        stream.append(block[1, 1, 1:])
        stream.append(block[2:])
    np.testing.assert_array_equal(stored(tmp_path), block)


def test_a_two_dimensional_array_takes_one_frame(tmp_path):
    plan = ArrayPlan(axes=axes("yx", (HEIGHT, WIDTH), (4, 5), (2, 1)))
    (frame,) = frames_of(plan)
    with opened(tmp_path, plan) as stream:
        stream.append(frame)
        with pytest.raises(OutOfBoundsError):
            stream.append(frame)
    np.testing.assert_array_equal(stored(tmp_path), frame, strict=True)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cuts=st.lists(st.integers(0, 7 * HEIGHT * WIDTH), max_size=8))
def test_pixels_may_be_cut_anywhere(tmp_path_factory, cuts):
    tmp_path = tmp_path_factory.mktemp("cut")
    plan = array_plan()
    pixels = frames_of(plan).reshape(-1)
    with opened(tmp_path, plan) as stream:
        for part in np.split(pixels, sorted(cuts)):
            stream.append(part)
    np.testing.assert_array_equal(stored(tmp_path), frames_of(plan))


@pytest.mark.parametrize("shape", [(0,), (0, HEIGHT, WIDTH)])
def test_nothing_appended_changes_nothing(tmp_path, shape):
    plan = array_plan()
    with opened(tmp_path, plan) as stream:
        stream.append(np.empty(shape, np.uint16))
        stream.append(frames_of(plan))
        stream.append(np.empty(shape, np.uint16))
    np.testing.assert_array_equal(stored(tmp_path), frames_of(plan))


@pytest.mark.parametrize("flat", [False, True])
def test_the_buffer_may_be_reused_as_soon_as_append_returns(tmp_path, flat):
    plan = array_plan(frames=40)
    buffer = np.empty((HEIGHT, WIDTH), np.uint16)
    with opened(tmp_path, plan) as stream:
        for frame in frames_of(plan):
            buffer[...] = frame
            stream.append(buffer.reshape(-1) if flat else buffer)
            buffer[...] = 0xDEAD
    np.testing.assert_array_equal(stored(tmp_path), frames_of(plan))


# ---- refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    ["uint8", "int16", "uint32", "float64", "bool", "complex64", "object", "datetime64[s]", "S2"],
)
def test_another_data_type_is_refused_naming_both(tmp_path, given):
    plan = array_plan()
    frames = frames_of(plan)
    with opened(tmp_path, plan) as stream:
        stream.append(frames[:3])
        with pytest.raises(FrameTypeError, match="uint16") as caught:
            stream.append(np.zeros((HEIGHT, WIDTH), given))
        assert str(np.dtype(given)) in str(caught.value)
        assert isinstance(caught.value, TypeError)
        stream.append(frames[3:])
    np.testing.assert_array_equal(stored(tmp_path), frames)


@pytest.mark.parametrize("given", [None, b"\0" * 280, [[0] * WIDTH] * HEIGHT, "pixels", 3])
def test_what_is_no_array_is_a_type_error(tmp_path, given):
    with opened(tmp_path, array_plan()) as stream, pytest.raises(TypeError):
        stream.append(given)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("form", ["frame", "stack", "run"])
def test_masked_pixels_are_not_stored_as_what_lies_under_the_mask(tmp_path, form, mask):
    plan = array_plan()
    frames = np.ma.masked_array(frames_of(plan), mask=mask)
    given = {"frame": frames[0], "stack": frames, "run": frames.reshape(-1)}[form]
    with opened(tmp_path, plan) as stream:
        with pytest.raises(FrameTypeError, match=r"masked.*data\.filled\(0\)"):
            stream.append(given)
        stream.append(given.filled(0))
    expected = np.zeros_like(frames) if mask else frames_of(plan)
    np.testing.assert_array_equal(stored(tmp_path), expected[:1] if form == "frame" else expected)


def bytes_of(frames):
    return frames.tobytes()


def bytearray_of(frames):
    return bytearray(frames.tobytes())


def memoryview_of(frames):
    return memoryview(frames.tobytes())


def array_of_bytes(frames):
    return np.frombuffer(frames.tobytes(), np.uint8)


@pytest.mark.parametrize("form", [bytes_of, bytearray_of, memoryview_of, array_of_bytes])
def test_the_advice_for_bytes_stores_the_frames(tmp_path, form):
    plan = array_plan()
    data = form(frames_of(plan))
    with opened(tmp_path, plan) as stream:
        with pytest.raises(FrameTypeError) as caught:
            stream.append(data)
        advice = re.search(r"(numpy\.frombuffer\(.*\)\.reshape\(.*\)\))", str(caught.value))[1]
        stream.append(eval(advice, {"numpy": np, "data": data}))
    np.testing.assert_array_equal(stored(tmp_path), frames_of(plan), strict=True)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (None, r"skip_frames\(1\)"),
        (iter([]), "append what it yields"),
        ((frame for frame in []), "append what it yields"),
        ({"a": 1}, "a frame is a numpy array of shape"),
        ({1, 2}, "append what it yields"),
        (object(), "a frame is a numpy array of shape"),
    ],
)
def test_what_is_no_frame_gets_advice_of_its_own(tmp_path, given, advice):
    with opened(tmp_path, array_plan()) as stream, pytest.raises(FrameTypeError, match=advice):
        stream.append(given)


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (HEIGHT, 0), (2, HEIGHT, 0), (0, 0)])
def test_empty_frames_are_refused(tmp_path, shape):
    stream = opened(tmp_path, array_plan())
    with stream, pytest.raises(FrameShapeError, match="no pixels in it"):
        stream.append(np.empty(shape, np.uint16))


@pytest.mark.parametrize(
    "shape",
    [(), (3, 3), (WIDTH, HEIGHT), (HEIGHT, WIDTH + 1), (2, HEIGHT, WIDTH - 1), (HEIGHT, WIDTH, 1)],
)
def test_another_shape_is_refused_naming_both(tmp_path, shape):
    plan = array_plan()
    frames = frames_of(plan)
    with opened(tmp_path, plan) as stream:
        stream.append(frames[:3])
        with pytest.raises(FrameShapeError, match=rf"{HEIGHT}, {WIDTH}") as caught:
            stream.append(np.zeros(shape, np.uint16))
        assert str(shape) in str(caught.value)
        assert isinstance(caught.value, ValueError)
        stream.append(frames[3:])
    np.testing.assert_array_equal(stored(tmp_path), frames)


def test_an_unknown_key_is_refused_naming_the_keys_there_are(tmp_path):
    plans = [array_plan("left"), array_plan("deep/right")]
    with opened(tmp_path, *plans) as stream:
        with pytest.raises(UnknownArrayError, match="midle") as caught:
            stream.append(frames_of(plans[0]), "midle")
        assert "left" in str(caught.value)
        assert "deep/right" in str(caught.value)
        for plan in plans:
            stream.append(frames_of(plan), plan.key)
    for plan in plans:
        np.testing.assert_array_equal(stored(tmp_path, plan.key), frames_of(plan))


def test_a_key_is_needed_when_there_are_several_arrays(tmp_path):
    plans = [array_plan("left"), array_plan("right")]
    with opened(tmp_path, *plans) as stream, pytest.raises(UnknownArrayError, match="left"):
        stream.append(frames_of(plans[0]))


def test_the_only_array_needs_no_key(tmp_path):
    plan = array_plan("deep/er")
    with opened(tmp_path, plan) as stream:
        stream.append(frames_of(plan))
    np.testing.assert_array_equal(stored(tmp_path, "deep/er"), frames_of(plan))


@pytest.mark.parametrize("key", ["deep/er", "/deep/er/", "deep//er", " deep/er "])
def test_a_key_may_be_written_as_in_the_settings(tmp_path, key):
    plan = array_plan("deep/er")
    with opened(tmp_path, plan) as stream:
        stream.append(frames_of(plan), key)
    np.testing.assert_array_equal(stored(tmp_path, "deep/er"), frames_of(plan))


@pytest.mark.parametrize("form", ["stack", "pixels"])
def test_a_call_that_goes_past_the_end_writes_nothing(tmp_path, form):
    plan = ArrayPlan(axes=axes("tyx", (5, HEIGHT, WIDTH), (2, 4, 5), (2, 2, 1)), frames=5)
    frames = frames_of(plan)
    too_many = encoded_frames(range(50, 53), HEIGHT, WIDTH, "uint16")
    with opened(tmp_path, plan) as stream:
        stream.append(frames[:3])
        with pytest.raises(OutOfBoundsError, match="5") as caught:
            stream.append(too_many.reshape(-1) if form == "pixels" else too_many)
        assert isinstance(caught.value, IndexError)
        assert isinstance(caught.value, RuntimeError)
        stream.append(frames[3:])
        with pytest.raises(OutOfBoundsError):
            stream.append(frames[0])
    np.testing.assert_array_equal(stored(tmp_path), frames)


def test_pixels_that_begin_a_frame_past_the_end_are_refused(tmp_path):
    plan = ArrayPlan(axes=axes("tyx", (2, HEIGHT, WIDTH), (2, 4, 5), (2, 2, 1)), frames=2)
    with opened(tmp_path, plan) as stream:
        stream.append(frames_of(plan))
        with pytest.raises(OutOfBoundsError):
            stream.append(np.zeros(1, np.uint16))
    np.testing.assert_array_equal(stored(tmp_path), frames_of(plan))


# ---- several threads --------------------------------------------------------------------


def run_together(functions):
    """Run functions in threads that start at the same moment; raise what they raised."""
    gate = threading.Barrier(len(functions))
    errors = []

    def call(function):
        gate.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_may_append_to_different_arrays(tmp_path):
    plans = [array_plan(f"camera{number}", frames=60, seed=number) for number in range(4)]
    with opened(tmp_path, *plans) as stream:

        def feed(plan):
            for frame in frames_of(plan):
                stream.append(frame, plan.key)

        run_together([lambda plan=plan: feed(plan) for plan in plans])
    for plan in plans:
        np.testing.assert_array_equal(stored(tmp_path, plan.key), frames_of(plan))


def test_threads_may_append_to_one_array(tmp_path):
    plan = array_plan(frames=160)
    shares = np.split(frames_of(plan), 4)
    with opened(tmp_path, plan) as stream:

        def feed(share):
            for pair in share.reshape(-1, 2, HEIGHT, WIDTH):
                stream.append(pair)

        run_together([lambda share=share: feed(share) for share in shares])
    numbers = {frame.tobytes(): number for number, frame in enumerate(frames_of(plan))}
    order = [numbers[frame.tobytes()] for frame in stored(tmp_path)]
    assert sorted(order) == list(range(160))
    # A call's frames stay together, and each thread's calls stay in their order.
    assert all(second == first + 1 for first, second in zip(order[::2], order[1::2], strict=True))
    for start in range(0, 160, 40):
        of_thread = [number for number in order if start <= number < start + 40]
        assert of_thread == sorted(of_thread)
