"""Contract tests for plug-ins: inherit from a class, return what is to be tested, run pytest.

    from aqz_core.testing import CodecContract

    class TestMyCodec(CodecContract):
        def provider(self):
            return my_plugin.PROVIDER

Every test describes what the engine counts on. pytest is needed to run them, and by nothing else
in this package.
"""

from __future__ import annotations

import abc
import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from aqz_core.codecs import PluginCompression
from aqz_core.codecs.base import Codec, CodecProvider
from aqz_core.plugins import FrameProcessor, FrameSpec, frame_function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_core.storage.sink import Bytes, Sink

__all__ = ["CodecContract", "ProcessorContract", "SinkContract", "SourceContract"]

Frame = npt.NDArray[Any]


class CodecContract(abc.ABC):
    """What the engine counts on of a codec."""

    @abc.abstractmethod
    def provider(self) -> CodecProvider:
        """Return the provider that the plug-in offers."""

    def configuration(self) -> dict[str, Any]:
        """Return the configuration to test with; empty by default."""
        return {}

    def dtype(self) -> np.dtype[Any]:
        """Return the data type to test with; ``uint16`` by default."""
        return np.dtype("<u2")

    @pytest.fixture
    def codec(self) -> Codec:
        """Build the codec of one array."""
        provider = self.provider()
        return provider.build(PluginCompression(provider.name, self.configuration()), self.dtype())

    @pytest.fixture(params=["one", "zeros", "ramp", "noise"])
    def chunk(self, request: pytest.FixtureRequest) -> Frame:
        """Chunks that are easy, hard and unusual to encode."""
        generator = np.random.default_rng(7)
        pixels = {
            "one": np.ones(1),
            "zeros": np.zeros(64 * 64),
            "ramp": np.arange(64 * 64),
            "noise": generator.integers(0, 256, 64 * 64),
        }[request.param]
        return pixels.astype(self.dtype())

    def test_it_has_every_method(self, codec: Codec) -> None:
        """The record fits the protocol."""
        assert isinstance(codec, Codec)

    def test_what_is_encoded_can_be_decoded(self, codec: Codec, chunk: Frame) -> None:
        """Decoding gives back the bytes, of an array as of a memoryview."""
        expected = chunk.tobytes()
        assert bytes(codec.decode(codec.encode(chunk))) == expected
        assert bytes(codec.decode(codec.encode(memoryview(expected)))) == expected

    def test_encoding_leaves_the_chunk_alone(self, codec: Codec, chunk: Frame) -> None:
        """The buffer is only read; it may be written to disk again."""
        before = chunk.copy()
        chunk.flags.writeable = False
        codec.encode(chunk)
        np.testing.assert_array_equal(chunk, before)

    def test_nothing_grows_beyond_the_bound(self, codec: Codec, chunk: Frame) -> None:
        """Room for shards is set aside by this bound."""
        assert len(codec.encode(chunk)) <= codec.max_encoded_size(chunk.nbytes)

    def test_threads_share_one_record(self, codec: Codec) -> None:
        """Worker threads encode at the same time."""
        chunks = [np.full(10_000, number, self.dtype()) for number in range(8)]
        encoded: dict[int, bytes] = {}

        def encode(number: int) -> None:
            for _ in range(5):
                encoded[number] = bytes(codec.decode(codec.encode(chunks[number])))

        threads = [threading.Thread(target=encode, args=(n,)) for n in range(len(chunks))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert encoded == {number: chunk.tobytes() for number, chunk in enumerate(chunks)}

    def test_metadata_build_the_codec_again(self, codec: Codec) -> None:
        """A store is resumed and repaired by what stands in its metadata."""
        metadata, provider = codec.v3_metadata(), self.provider()
        assert metadata["name"] == codec.name == provider.name
        again = provider.build(
            PluginCompression(provider.name, metadata.get("configuration", {})), self.dtype()
        )
        assert again.v3_metadata() == metadata
        data = bytes(range(256)) * self.dtype().itemsize
        assert bytes(again.decode(codec.encode(data))) == data

    def test_metadata_are_json(self, codec: Codec) -> None:
        """They go into ``zarr.json``; V2 may have no such codec."""
        json.dumps(codec.v3_metadata(), allow_nan=False)
        json.dumps(codec.v2_metadata(), allow_nan=False)

    def test_settings_can_be_sent_to_another_process(self, codec: Codec) -> None:
        """The record can be pickled, and stays the same codec."""
        assert pickle.loads(pickle.dumps(codec)).v3_metadata() == codec.v3_metadata()


class ProcessorContract(abc.ABC):
    """What the engine counts on of a frame processor."""

    @abc.abstractmethod
    def processor(self) -> FrameProcessor:
        """Return the record that the plug-in offers."""

    def spec(self) -> FrameSpec:
        """Return the frames to be stored; 32 x 48 pixels of ``uint16`` by default."""
        return FrameSpec("image", (32, 48), np.dtype("<u2"))

    def _function(self) -> Any:
        """Return the processor as the engine calls it."""
        function = frame_function([self.processor()], self.spec())
        if function is None:
            pytest.fail("the processor leaves frames of spec() alone; test it with others")
        return function

    def _frame(self, takes: FrameSpec) -> Frame:
        """Return a frame whose pixels differ."""
        pixels = np.arange(takes.shape[0] * takes.shape[1]) % 251
        return pixels.reshape(takes.shape).astype(takes.dtype)

    def test_frames_come_out_as_they_are_stored(self) -> None:
        """Shape and data type are those of the array."""
        function = self._function()
        result = function(self._frame(function.takes), (0,))
        assert (result.shape, result.dtype) == (self.spec().shape, self.spec().dtype)

    def test_frames_are_only_read(self) -> None:
        """A frame may be the buffer of a camera."""
        function = self._function()
        frame = self._frame(function.takes)
        before = frame.copy()
        function(frame, (0,))
        np.testing.assert_array_equal(frame, before)

    def test_the_same_frame_gives_the_same_pixels(self) -> None:
        """What came before does not matter, so that a recording can be resumed."""
        function = self._function()
        frame = self._frame(function.takes)
        first = function(frame, (3,)).copy()
        function(np.zeros_like(frame), (4,))
        np.testing.assert_array_equal(function(frame, (3,)), first)

    def test_arrays_do_not_share_state(self) -> None:
        """A stream prepares the processor once for each of its arrays."""
        one, other = self._function(), self._function()
        frame = self._frame(one.takes)
        np.testing.assert_array_equal(one(frame, (0,)), other(frame, (0,)))


class SinkContract(abc.ABC):
    """What the engine counts on of a place that keeps bytes under names."""

    @abc.abstractmethod
    def sink(self) -> Sink:
        """Return a new, empty sink."""

    @pytest.fixture
    def empty(self) -> Iterable[Sink]:
        """Open a sink for one test, and close it afterwards."""
        sink = self.sink()
        yield sink
        sink.close()

    def test_nothing_is_there_at_first(self, empty: Sink) -> None:
        """What is not there is None, not an error."""
        assert empty.read("zarr.json") is None
        assert list(empty.names("")) == []
        empty.remove("zarr.json")

    def test_objects_are_replaced_whole(self, empty: Sink) -> None:
        """A shorter document leaves nothing of the longer one behind."""
        empty.write("a/zarr.json", b"longer than the other", sync=True)
        empty.write("a/zarr.json", b"short", sync=False)
        empty.commit(["a/zarr.json"])
        assert empty.read("a/zarr.json") == b"short"

    def test_every_form_of_bytes_is_stored(self, empty: Sink) -> None:
        """Chunks come as views and arrays, metadata as bytes."""
        forms: tuple[Bytes, ...] = (
            b"abc",
            bytearray(b"abc"),
            memoryview(b"abc"),
            np.frombuffer(b"abc", "u1"),
        )
        for number, data in enumerate(forms):
            empty.write(str(number), data, sync=True)
            assert empty.read(str(number)) == b"abc"

    def test_names_are_those_directly_below(self, empty: Sink) -> None:
        """Objects and groups of objects alike, each once."""
        for name in ("zarr.json", "0/zarr.json", "0/c/0/0", "0/c/0/1", "00/zarr.json"):
            empty.write(name, b"x", sync=True)
        assert sorted(empty.names("")) == ["0", "00", "zarr.json"]
        assert sorted(empty.names("0")) == ["c", "zarr.json"]
        assert sorted(empty.names("0/c/0")) == ["0", "1"]

    def test_logs_grow(self, empty: Sink) -> None:
        """An object that is appended to begins empty."""
        empty.append("0/frames.jsonl", b"one\n")
        empty.append("0/frames.jsonl", b"two\n")
        empty.commit(["0/frames.jsonl"])
        assert empty.read("0/frames.jsonl") == b"one\ntwo\n"

    def test_removing_takes_everything_below(self, empty: Sink) -> None:
        """And nothing that merely begins alike."""
        for name in ("0/zarr.json", "0/c/0", "00/zarr.json"):
            empty.write(name, b"x", sync=True)
        empty.remove("0")
        assert empty.read("0/zarr.json") is None
        assert empty.read("0/c/0") is None
        assert empty.read("00/zarr.json") == b"x"

    def test_shards_hold_what_was_written(self, empty: Sink) -> None:
        """In order; where bytes can go anywhere, in any order, and read back at once."""
        shard = empty.create_shard("0/c/0", None, visible=False)
        if empty.random_access:
            shard.write_at(3, b"def")
            shard.write_at(0, b"abc")
            assert shard.read(1, 4) == b"bcde"
            assert shard.nbytes() == 6
        else:
            shard.write_at(0, b"abc")
            shard.write_at(3, b"def")
        shard.finish(6, sync=True)
        empty.commit()
        assert empty.read("0/c/0") == b"abcdef"

    def test_shards_are_cut_to_size(self, empty: Sink) -> None:
        """Room that was set aside and not used does not stay."""
        if not empty.random_access:
            pytest.skip("only where room is set aside")
        shard = empty.create_shard("0/c/0", 100, visible=True)
        shard.write_at(0, b"abc")
        shard.finish(3, sync=True)
        assert empty.read("0/c/0") == b"abc"

    def test_shards_that_are_given_up_are_not_seen(self, empty: Sink) -> None:
        """A shard that never was visible leaves nothing."""
        shard = empty.create_shard("0/c/0", None, visible=False)
        shard.write_at(0, b"abc")
        shard.discard()
        assert empty.read("0/c/0") is None

    def test_many_threads_write_at_once(self, empty: Sink) -> None:
        """Every method may be called from any thread."""

        def write(number: int) -> None:
            for turn in range(5):
                empty.write(f"c/{number}/{turn}", bytes([number] * 100), sync=False)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        empty.commit()
        for number in range(4):
            for turn in range(5):
                assert empty.read(f"c/{number}/{turn}") == bytes([number] * 100)


class SourceContract(abc.ABC):
    """What a recording counts on of a source of frames: a camera, a reader, a simulation.

    A source is any iterable of frames (Y, X); there is no hook for it. Whoever iterates appends.
    """

    @abc.abstractmethod
    def source(self) -> Iterable[Frame]:
        """Return a source of a few frames, from its first one on."""

    def shape(self) -> tuple[int, int] | None:
        """Return rows and columns of the frames, where they are known beforehand."""
        return None

    def test_frames_are_alike(self) -> None:
        """All have one shape and data type, which Zarr can store."""
        frames = [(np.shape(frame), np.asarray(frame).dtype) for frame in self.source()]
        assert frames, "the source gave no frame"
        assert len(set(frames)) == 1
        shape, dtype = frames[0]
        assert len(shape) == 2
        assert self.shape() in (None, shape)
        assert dtype.kind in "biuf"

    def test_a_recording_reads_back_as_it_came(self, tmp_path: Any) -> None:
        """No frame is lost, repeated, or changed by a buffer that is used again."""
        from aqz_core import ZarrArrayReader, open_stream

        expected = [np.array(frame) for frame in self.source()]
        first = expected[0]
        with open_stream(
            tmp_path / "source.zarr", shape=(0, *first.shape), dtype=first.dtype
        ) as stream:
            for frame in self.source():
                stream.append(frame)
        recorded = ZarrArrayReader(str(tmp_path / "source.zarr" / "0"))
        assert recorded.shape == (len(expected), *first.shape)
        for number, frame in enumerate(expected):
            np.testing.assert_array_equal(recorded.read_plane(number), frame)
