"""What is built in keeps the contracts that plug-ins are tested by."""

from __future__ import annotations

import numpy as np
import pytest

from aqz_core import FrameSpec, processors
from aqz_core.plugins import create_plugin_manager
from aqz_core.settings.stream import StreamSettings
from aqz_core.storage.memory import MemorySink
from aqz_core.testing import CodecContract, ProcessorContract, SinkContract, SourceContract

BUILT_IN = create_plugin_manager(load_entry_points=False)


class TestBlosc(CodecContract):
    def provider(self):
        return BUILT_IN.codecs()["blosc"]

    def configuration(self):
        return {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}


class TestZstd(CodecContract):
    def provider(self):
        return BUILT_IN.codecs()["zstd"]


class TestGzip(CodecContract):
    def provider(self):
        return BUILT_IN.codecs()["gzip"]


class TestCrc32c(CodecContract):
    def provider(self):
        return BUILT_IN.codecs()["crc32c"]

    def dtype(self):
        return np.dtype("u1")


class TestMemory(SinkContract):
    def sink(self):
        return MemorySink()


class TestFolder(SinkContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = str(tmp_path / "out.zarr")

    def sink(self):
        settings = StreamSettings(store_path=self.path)
        return BUILT_IN.sinks()["file"].open(settings.store_path, settings)


class TestFlatField(ProcessorContract):
    def processor(self):
        return processors.flat_field(np.linspace(0.5, 2, 32 * 48).reshape(32, 48), dark=3)


class TestBin(ProcessorContract):
    def processor(self):
        return processors.bin_pixels(3, "sum")


class TestCrop(ProcessorContract):
    def processor(self):
        return processors.crop((1, 2), of=(40, 50))

    def spec(self):
        return FrameSpec("image", (20, 10), np.dtype("f4"))


class TestCounter(SourceContract):
    def source(self):
        buffer = np.zeros((4, 5), "u2")
        for number in range(3):
            buffer[:] = number  # a camera's one buffer
            yield buffer

    def shape(self):
        return (4, 5)
