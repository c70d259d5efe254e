"""From settings to codecs to Zarr metadata, judged by other implementations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorstore
import zarr
import zarr.codecs

from aqz_core.codecs import (
    BloscCodec,
    CodecChain,
    Crc32cCodec,
    GzipCodec,
    PluginCompression,
    ZstdCodec,
    chain_for,
    chain_from_v3,
)
from aqz_core.enums import CompressionCodec, Compressor
from aqz_core.errors import PluginError, SettingsError
from aqz_core.plugins import CodecProvider, create_plugin_manager
from aqz_core.settings.compression import CompressionSettings, named_compression

REGISTRY = create_plugin_manager(load_entry_points=False).codecs()
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
PIXELS = np.arange(6 * 40, dtype="<u2").reshape(6, 40)

CHAINS = [
    pytest.param(CodecChain(), id="none"),
    *(
        pytest.param(CodecChain((BloscCodec(2, cname, 5, shuffle),)), id=f"blosc-{cname}-{shuffle}")
        for cname in ("lz4", "lz4hc", "zstd", "zlib", "blosclz")
        for shuffle in ("noshuffle", "shuffle", "bitshuffle")
    ),
    pytest.param(CodecChain((ZstdCodec(3),)), id="zstd"),
    pytest.param(CodecChain((GzipCodec(6),)), id="gzip"),
]
CHECKED_CHAINS = [
    pytest.param(CodecChain((Crc32cCodec(),)), id="crc32c"),
    pytest.param(CodecChain((ZstdCodec(1, checksum=True), Crc32cCodec())), id="zstd-crc32c"),
]

BLOSC_CODECS = {
    CompressionCodec.BLOSC_LZ4: "lz4",
    CompressionCodec.BLOSC_LZ4HC: "lz4hc",
    CompressionCodec.BLOSC_ZSTD: "zstd",
    CompressionCodec.BLOSC_ZLIB: "zlib",
    CompressionCodec.BLOSC_BLOSCLZ: "blosclz",
}


def chain_of(compression, dtype="<u2"):
    return chain_for(named_compression(compression), np.dtype(dtype), REGISTRY)


def v3_document(chain):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(PIXELS.shape),
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(PIXELS.shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": chain.v3_metadata(),
        "attributes": {},
    }


def tensorstore_open(driver, path, **options):
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(spec, **options).result()


@pytest.mark.parametrize("chain", CHAINS + CHECKED_CHAINS)
def test_v3_chunks_are_read_by_other_implementations(chain, tmp_path):
    (tmp_path / "c/0").mkdir(parents=True)
    (tmp_path / "zarr.json").write_text(json.dumps(v3_document(chain)))
    (tmp_path / "c/0/0").write_bytes(chain.encode(PIXELS))

    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[...], PIXELS)
    np.testing.assert_array_equal(tensorstore_open("zarr3", tmp_path)[...].read().result(), PIXELS)


@pytest.mark.parametrize("chain", CHAINS + CHECKED_CHAINS)
def test_v3_chunks_of_another_implementation_are_decoded(chain, tmp_path):
    document = v3_document(chain)
    written = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(tmp_path)},
            "metadata": document,
        },
        create=True,
    ).result()
    written.write(PIXELS).result()
    stored = json.loads((tmp_path / "zarr.json").read_text())

    rebuilt = chain_from_v3(stored["codecs"], np.dtype("<u2"), REGISTRY)

    assert rebuilt == chain
    assert rebuilt.decode((tmp_path / "c/0/0").read_bytes()) == PIXELS.tobytes()


@pytest.mark.parametrize("chain", CHAINS)
def test_v2_chunks_are_read_by_other_implementations(chain, tmp_path):
    document = {
        "zarr_format": 2,
        "shape": list(PIXELS.shape),
        "chunks": list(PIXELS.shape),
        "dtype": "<u2",
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
        "compressor": chain.v2_metadata(),
    }
    (tmp_path / "0").mkdir()
    (tmp_path / ".zarray").write_text(json.dumps(document))
    (tmp_path / "0/0").write_bytes(chain.encode(PIXELS))

    array = zarr.open_array(tmp_path, mode="r", zarr_format=2)
    np.testing.assert_array_equal(array[...], PIXELS)
    np.testing.assert_array_equal(tensorstore_open("zarr", tmp_path)[...].read().result(), PIXELS)


@pytest.mark.parametrize(
    ("codec", "theirs"),
    [
        (
            BloscCodec(4, "zstd", 3, "bitshuffle"),
            zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=4),
        ),
        (
            BloscCodec(1, "lz4", 0, "noshuffle"),
            zarr.codecs.BloscCodec(cname="lz4", clevel=0, shuffle="noshuffle", typesize=1),
        ),
        (ZstdCodec(7), zarr.codecs.ZstdCodec(level=7)),
        (GzipCodec(4), zarr.codecs.GzipCodec(level=4)),
        (Crc32cCodec(), zarr.codecs.Crc32cCodec()),
    ],
)
def test_v3_metadata_is_what_zarr_python_writes(codec, theirs):
    assert codec.v3_metadata() == json.loads(json.dumps(theirs.to_dict()))


@pytest.mark.parametrize("codec", BLOSC_CODECS)
@pytest.mark.parametrize("dtype", ["<u2", "<f2", "bool", "<f8"])
def test_blosc_settings_become_blosc_metadata(codec, dtype):
    chain = chain_of(
        CompressionSettings(compressor=Compressor.BLOSC1, codec=codec, level=4, shuffle=2), dtype
    )
    blosc = {
        "typesize": np.dtype(dtype).itemsize,
        "cname": BLOSC_CODECS[codec],
        "clevel": 4,
        "shuffle": "bitshuffle",
        "blocksize": 0,
    }
    assert chain.v3_metadata() == [LITTLE, {"name": "blosc", "configuration": blosc}]
    assert chain.v2_metadata() == {
        "id": "blosc",
        "cname": BLOSC_CODECS[codec],
        "clevel": 4,
        "shuffle": 2,
        "blocksize": 0,
    }


def test_zstd_and_gzip_settings_become_their_metadata():
    zstd = chain_of(
        CompressionSettings(compressor=Compressor.ZSTD, codec=CompressionCodec.ZSTD, level=19)
    )
    gzip = chain_of(
        CompressionSettings(compressor=Compressor.GZIP, codec=CompressionCodec.GZIP, level=6)
    )
    assert zstd.v3_metadata()[1:] == [
        {"name": "zstd", "configuration": {"level": 19, "checksum": False}}
    ]
    assert zstd.v2_metadata() == {"id": "zstd", "level": 19}
    assert gzip.v3_metadata()[1:] == [{"name": "gzip", "configuration": {"level": 6}}]
    assert gzip.v2_metadata() == {"id": "gzip", "level": 6}


@pytest.mark.parametrize(
    "compression", [None, CompressionSettings(), CompressionSettings(codec=CompressionCodec.ZSTD)]
)
def test_no_compressor_stores_chunks_as_they_are(compression):
    chain = chain_of(compression)
    assert chain.is_identity
    assert chain.v3_metadata() == [LITTLE]
    assert chain.v2_metadata() is None
    assert chain.encode(PIXELS) == chain.decode(PIXELS.tobytes()) == PIXELS.tobytes()
    assert chain.max_encoded_size(480) == 480


def test_a_compressor_without_codec_is_refused():
    with pytest.raises(SettingsError, match="BLOSC1 needs a codec, but codec is NONE"):
        chain_of(CompressionSettings(compressor=Compressor.BLOSC1))


def test_codecs_are_named_with_their_v3_configuration():
    chain = chain_of(
        PluginCompression("blosc", {"cname": "lz4hc", "clevel": 9, "shuffle": "bitshuffle"})
    )
    assert chain == CodecChain((BloscCodec(2, "lz4hc", 9, "bitshuffle"),))
    assert not chain.is_identity


def test_v2_cannot_describe_crc32c_or_several_codecs():
    for codecs in ((Crc32cCodec(),), (ZstdCodec(), GzipCodec())):
        with pytest.raises(SettingsError, match="Zarr V2 cannot describe"):
            CodecChain(codecs).v2_metadata()


@pytest.mark.parametrize(
    ("compression", "message"),
    [
        (PluginCompression("lz77"), "no codec 'lz77'; available are blosc, crc32c, gzip, zstd"),
        (PluginCompression("zstd", {"lvl": 3}), "codec 'zstd' has no setting lvl; it takes level"),
        (PluginCompression("crc32c", {"x": 1}), "codec 'crc32c' has no setting x; it takes none"),
        (PluginCompression("gzip", {"level": "high"}), "gzip level is 'high'"),
        (
            CompressionSettings(
                compressor=Compressor.BLOSC1, codec=CompressionCodec.BLOSC_LZ4, shuffle=3
            ),
            "blosc shuffle is 3",
        ),
    ],
)
def test_what_cannot_be_built_is_explained(compression, message):
    with pytest.raises(SettingsError, match=message):
        chain_of(compression)


@pytest.mark.parametrize(
    "codecs",
    [
        [],
        [{"name": "bytes", "configuration": {"endian": "big"}}],
        [{"name": "transpose", "configuration": {"order": [1, 0]}}, LITTLE],
    ],
)
def test_other_layouts_of_stored_arrays_are_refused(codecs):
    with pytest.raises(SettingsError, match="do not start with little-endian 'bytes'"):
        chain_from_v3(codecs, np.dtype("<u2"), REGISTRY)


def test_codecs_named_by_a_string_alone_are_known():
    """Zarr V3 allows a codec without configuration to be its name."""
    chain = chain_from_v3(["bytes", "crc32c"], np.dtype("u1"), REGISTRY)
    assert chain == CodecChain((Crc32cCodec(),))


def test_a_provider_that_fails_is_named_with_its_error_chained():
    def build(compression, dtype):
        raise ZeroDivisionError("no levels")

    with pytest.raises(PluginError, match=r"codec 'odd' failed to build .*no levels") as caught:
        chain_for(PluginCompression("odd"), np.dtype("u1"), {"odd": CodecProvider("odd", build)})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_provider_that_builds_no_codec_is_named():
    registry = {"odd": CodecProvider("odd", lambda compression, dtype: "codec")}
    with pytest.raises(PluginError, match="codec 'odd' built 'codec', which is not a codec"):
        chain_for(PluginCompression("odd"), np.dtype("u1"), registry)
