"""Settings of Python as structures of C, and a stream of the library, both from Python."""

from __future__ import annotations

import re
from contextlib import contextmanager

from cffi import FFI

from aqz_core.c_library.building import INCLUDE, declarations
from aqz_core.enums import DataType

ffi = FFI()
ffi.cdef(declarations())
_header = (INCLUDE / "acquire.zarr.h").read_text(encoding="utf-8")
_header = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", _header, flags=re.DOTALL)
ffi.cdef(re.sub(r"^#.*\n", "", _header, flags=re.MULTILINE).replace("AQZ_API ", ""), override=True)


class Structures:
    """Structures of one stream; what they point at lives as long as this."""

    def __init__(self):
        self._kept = []

    def new(self, kind, value):
        made = ffi.new(kind, value)
        self._kept.append(made)
        return made

    def text(self, value):
        return ffi.NULL if value is None else self.new("char[]", value.encode())

    def stream(self, settings):
        s3 = settings.s3
        plates = [self.plate(plate) for plate in settings.hcs_plates]
        hcs = {"plates": self.new("ZarrHCSPlate[]", plates), "plate_count": len(plates)}
        return self.new(
            "ZarrStreamSettings *",
            {
                "store_path": self.text(settings.store_path),
                "s3_settings": ffi.NULL
                if s3 is None
                else self.new("ZarrS3Settings *", self.s3(s3)),
                "version": settings.version,
                "max_threads": settings.max_threads,
                "overwrite": settings.overwrite,
                "arrays": self.new("ZarrArraySettings[]", [self.array(a) for a in settings.arrays]),
                "array_count": len(settings.arrays),
                "hcs_settings": self.new("ZarrHCSSettings *", hcs) if plates else ffi.NULL,
            },
        )

    def s3(self, s3):
        return [self.text(one) for one in (s3.endpoint, s3.bucket_name, s3.region)]

    def array(self, array):
        names = [dimension.name for dimension in array.dimensions]
        order = [
            one if isinstance(one, int) else names.index(one)
            for one in array.storage_dimension_order
        ]
        method = array.downsampling_method
        codec = array.compression
        return {
            "output_key": self.text(array.output_key or None),
            "compression_settings": ffi.NULL
            if codec is None
            else self.new(
                "ZarrCompressionSettings *",
                [codec.compressor, codec.codec, codec.level, codec.shuffle],
            ),
            "dimensions": self.new(
                "ZarrDimensionProperties[]", [self.dimension(one) for one in array.dimensions]
            ),
            "dimension_count": len(names),
            "data_type": DataType.of(array.data_type),
            "multiscale": method is not None,
            "downsampling_method": 0 if method is None else method - 1,
            "max_levels": array.max_levels,
            "storage_dimension_order": self.new("size_t[]", order) if order else ffi.NULL,
        }

    def dimension(self, one):
        return [
            self.text(one.name),
            one.kind,
            one.array_size_px,
            one.chunk_size_px,
            one.shard_size_chunks,
            self.text(one.unit),
            one.scale,
        ]

    def plate(self, plate):
        rows = self.new("char *[]", [self.text(name) for name in plate.row_names])
        columns = self.new("char *[]", [self.text(name) for name in plate.column_names])
        runs = [self.acquisition(one) for one in plate.acquisitions]
        return {
            "path": self.text(plate.path),
            "name": self.text(plate.name),
            "row_names": ffi.cast("const char **", rows),
            "row_count": len(plate.row_names),
            "column_names": ffi.cast("const char **", columns),
            "column_count": len(plate.column_names),
            "wells": self.new("ZarrHCSWell[]", [self.well(one) for one in plate.wells]),
            "well_count": len(plate.wells),
            "acquisitions": self.new("ZarrHCSAcquisition[]", runs) if runs else ffi.NULL,
            "acquisition_count": len(runs),
        }

    def well(self, well):
        images = [
            [
                self.text(one.path),
                one.acquisition_id or 0,
                one.acquisition_id is not None,
                self.new("ZarrArraySettings *", self.array(one.array_settings)),
            ]
            for one in well.images
        ]
        return [
            self.text(well.row_name),
            self.text(well.column_name),
            self.new("ZarrHCSFieldOfView[]", images),
            len(images),
        ]

    def acquisition(self, one):
        start, end = one.start_time, one.end_time
        return [
            one.id,
            self.text(one.name),
            self.text(one.description),
            start or 0,
            start is not None,
            end or 0,
            end is not None,
        ]


@contextmanager
def recording(library, settings):
    """A stream of the library; yields what appends bytes to it."""
    lib = ffi.dlopen(str(library.path))
    structures = Structures()
    stream = lib.ZarrStream_create(structures.stream(settings))
    assert stream
    taken = ffi.new("size_t *")

    def append(data, key=None):
        name = ffi.NULL if key is None else ffi.new("char[]", key.encode())
        assert lib.ZarrStream_append(stream, ffi.from_buffer(data), len(data), taken, name) == 0
        assert taken[0] == len(data)

    yield append
    assert lib.ZarrStream_close(stream) == 0
    lib.ZarrStream_destroy(stream)
