"""The plug-in keeps the contracts of aqz."""

from __future__ import annotations

import pytest
from aqz_plugin_example import codec, processor, sink

from aqz_core.testing import CodecContract, ProcessorContract, SinkContract


class TestCodec(CodecContract):
    def provider(self):
        return codec.PROVIDER


class TestProcessor(ProcessorContract):
    def processor(self):
        return processor.hot_pixels([(0, 0), (5, 7)])


class TestSink(SinkContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        self.url = f"sqlite://{tmp_path}/store.sqlite"

    def sink(self):
        return sink.SqliteSink(self.url)
