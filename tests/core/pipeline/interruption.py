"""Raising an exception at one instruction of a call, and recordings to try that on."""

from __future__ import annotations

import sys

import numpy as np

import aqz_core as aqz

SIZE = 16


class Interrupt(BaseException):
    """Raised where nobody expects it."""


class InterruptAt:
    """Raises at the n-th instruction, in this thread, of code of the engine."""

    def __init__(self, instruction: int, times: int = 1, distance: int = 0) -> None:
        self.left = instruction
        self.times = times
        self.distance = distance

    def __enter__(self) -> InterruptAt:
        sys.settrace(self._call)
        return self

    def __exit__(self, *error) -> None:
        sys.settrace(None)

    def _call(self, frame, event, argument):
        name = frame.f_code.co_filename
        if "aqz_core" not in name and "threading" not in name:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._instruction

    def _instruction(self, frame, event, argument):
        if event == "opcode" and self.times:
            self.left -= 1
            if self.left <= 0:
                self.times -= 1
                self.left = self.distance
                if not self.times:
                    sys.settrace(None)
                raise Interrupt
        return self._instruction


def frame(number: int) -> np.ndarray:
    """A frame whose pixels say which it is, and where they are."""
    pixels = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE)
    return pixels + np.uint16(1000 * (number + 1) % 60000)


def settings(path, kind: str) -> aqz.StreamSettings:
    """Settings of a small recording."""
    chunk = 12 if kind == "edges" else SIZE // 2 if kind == "pyramid" else SIZE
    method = aqz.DownsamplingMethod.MEAN if kind == "pyramid" else None
    codec = None
    if kind == "codec":
        codec = aqz.CompressionSettings(
            compressor=aqz.Compressor.BLOSC1, codec=aqz.CompressionCodec.BLOSC_LZ4
        )
    space = [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType.SPACE,
            array_size_px=SIZE,
            chunk_size_px=chunk,
            shard_size_chunks=1,
        )
        for name in "yx"
    ]
    time = aqz.Dimension(
        name="t",
        kind=aqz.DimensionType.TIME,
        array_size_px=0,
        chunk_size_px=2,
        shard_size_chunks=2,
    )
    return aqz.StreamSettings(
        store_path=str(path),
        overwrite=True,
        durability="none",
        max_memory=64 << 20,
        version=aqz.ZarrVersion.V2 if kind == "v2" else aqz.ZarrVersion.V3,
        arrays=[
            aqz.ArraySettings(
                dimensions=[time, *space],
                data_type=np.uint16,
                downsampling_method=method,
                compression=codec,
            )
        ],
    )
