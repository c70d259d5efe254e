"""Encoding and decoding of single chunks by each codec."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.codecs import (
    BloscCodec,
    CodecChain,
    Crc32cCodec,
    GzipCodec,
    PluginCompression,
    ZstdCodec,
    chain_for,
    crc32c,
)
from aqz_core.errors import SettingsError, StorageError
from aqz_core.plugins import create_plugin_manager

CNAMES = ("lz4", "lz4hc", "zstd", "zlib", "blosclz")
SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
DTYPES = ("uint8", "<u2", "<u4", "<u8", "int8", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8", "bool")

# 16 runs of 16 equal numbers: short to print, and every codec makes it shorter.
STEPS = np.repeat(np.arange(16, dtype="<u2"), 16)

codecs = st.one_of(
    st.builds(
        BloscCodec,
        typesize=st.sampled_from((1, 2, 4, 8)),
        cname=st.sampled_from(CNAMES),
        clevel=st.integers(0, 9),
        shuffle=st.sampled_from(SHUFFLES),
        blocksize=st.sampled_from((0, 256, 4096)),
    ),
    st.builds(ZstdCodec, level=st.integers(-5, 9), checksum=st.booleans()),
    st.builds(GzipCodec, level=st.integers(0, 9)),
    st.builds(Crc32cCodec),
)
chains = st.lists(codecs, max_size=3).map(lambda parts: CodecChain(tuple(parts)))


@st.composite
def chunks(draw):
    """Bytes from all equal to incompressible, of the sizes where block rules change."""
    nbytes = draw(st.integers(1, 300) | st.sampled_from((4096, 65_536, 131_071, 400_000)))
    values = draw(st.sampled_from((1, 4, 256)))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, values, nbytes, dtype=np.uint8)


@given(chain=chains, chunk=chunks())
def test_what_is_encoded_decodes_to_the_same_bytes(chain, chunk):
    assert chain.decode(chain.encode(chunk)) == chunk.tobytes()


@given(chain=chains, chunk=chunks())
def test_no_content_encodes_to_more_than_the_bound(chain, chunk):
    encoded = chain.encode(chunk)
    assert type(encoded) is bytes
    assert len(encoded) <= chain.max_encoded_size(chunk.nbytes)


@pytest.mark.parametrize("codec", [ZstdCodec(), GzipCodec(), BloscCodec(2), Crc32cCodec()])
def test_bounds_are_close_to_the_size_itself(codec):
    assert codec.max_encoded_size(10_000_000) <= 11_300_000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("codec_name", ["blosc", "zstd", "gzip", "crc32c"])
def test_arrays_of_every_data_type_are_encoded_in_place(dtype, codec_name):
    registry = create_plugin_manager(load_entry_points=False).codecs()
    chain = chain_for(PluginCompression(codec_name), np.dtype(dtype), registry)
    pixels = (np.arange(2 * 30 * 7) % 2).astype(dtype).reshape(2, 30, 7)
    pixels.flags.writeable = False

    decoded = np.frombuffer(chain.decode(chain.encode(pixels)), dtype)

    np.testing.assert_array_equal(decoded.reshape(pixels.shape), pixels)
    assert (
        chain.encode(pixels) == chain.encode(memoryview(pixels)) == chain.encode(pixels.tobytes())
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_blosc_shuffles_by_the_item_size(dtype):
    registry = create_plugin_manager(load_entry_points=False).codecs()
    chain = chain_for(PluginCompression("blosc"), np.dtype(dtype), registry)
    header = chain.encode(np.ones(100, dtype))[:16]
    assert header[3] == np.dtype(dtype).itemsize
    assert chain.v3_metadata()[1]["configuration"]["typesize"] == np.dtype(dtype).itemsize


def test_many_threads_share_one_codec():
    frames = [np.random.default_rng(n).integers(0, 50, 50_000, dtype="<u2") for n in range(24)]
    chain = CodecChain((BloscCodec(2, cname="zstd"), Crc32cCodec()))
    with ThreadPoolExecutor(4) as pool:
        encoded = list(pool.map(chain.encode, frames))
    for frame, chunk in zip(frames, encoded, strict=True):
        assert chain.decode(chunk) == frame.tobytes()


def test_encoding_off_the_main_thread_gives_the_same_pixels_as_on_it():
    pixels = np.random.default_rng(1).integers(0, 50, 1_000_000, dtype="<u2")
    codec = BloscCodec(2)
    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(codec.encode, pixels).result()
    assert codec.decode(elsewhere) == codec.decode(codec.encode(pixels)) == pixels.tobytes()


def test_equal_chunks_give_equal_gzip_bytes():
    """No time stamp: acquiring the same thing twice gives the same files."""
    assert GzipCodec().encode(STEPS)[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize(
    ("codec", "encoded"),
    [
        pytest.param(
            BloscCodec(2, cname="lz4", shuffle="shuffle"),
            "0201210200020000000200006d00000014000000460000001b0001001b0101001b0201001b0301001b"
            "0401001b0501001b0601001b0701001b0801001b0901001b0a01001b0b01001b0c01001b0d01001b0e"
            "0100160f0100500f0f0f0f0f0b0000001f000100e7500000000000",
            id="blosc-lz4-shuffle",
        ),
        pytest.param(
            BloscCodec(2, cname="lz4hc", shuffle="bitshuffle"),
            "0201240200020000000200004d00000014000000260000004f0000ffff04000b0006000f08000b040c"
            "000f1000090c18000e20000f01005e5000000000000b0000001f000100e7500000000000",
            id="blosc-lz4hc-bitshuffle",
        ),
        pytest.param(
            BloscCodec(2, cname="zstd", shuffle="bitshuffle"),
            "0201940200020000000200003d000000140000002500000028b52ffd600001dd0000200000ffff0880"
            "c0e3016d387528702732937d21562465f5a22301",
            id="blosc-zstd-bitshuffle",
        ),
        pytest.param(
            BloscCodec(2, cname="zlib", shuffle="shuffle"),
            "020161020002000000020000510000001400000029000000785e5dc1c901c010000030a56e65ff6dfb"
            "962484db838884171905150d1d03130b1f360e7e70de07810c000000785e636018d9000001000001",
            id="blosc-zlib-shuffle",
        ),
        pytest.param(
            BloscCodec(2, cname="blosclz", shuffle="bitshuffle"),
            "0201040200020000000200005d0000001400000035000000230000ffffe0140305000000ffffffe013"
            "07010000802301ffff8027010000e0090fc0010100ffe0050000ffc018e06c01020000000c00000023"
            "00000000e0f00302000000",
            id="blosc-blosclz-bitshuffle",
        ),
        pytest.param(
            ZstdCodec(3),
            "28b52ffd600001a501008800000102030405060708090a0b0c0d0e0f1000a011d01c6818680434071a"
            "061a01cd818681464073a061a011d05cae61226803",
            id="zstd",
        ),
        pytest.param(
            ZstdCodec(3, checksum=True),
            "28b52ffd640001a501008800000102030405060708090a0b0c0d0e0f1000a011d01c6818680434071a"
            "061a01cd818681464073a061a011d05cae61226803b462a46f",
            id="zstd-checksum",
        ),
        pytest.param(  # by GNU gzip 1.12, gzip -n -9
            GzipCodec(),
            "1f8b080000000000020385c18701c010000030a5b6f2ffb7fd409210ee1e8c98f0c58c052b36ec3870"
            "e2c20f371efc01e1effc5800020000",
            id="gzip",
        ),
    ],
)
def test_stored_bytes_stay_readable(codec, encoded):
    assert codec.decode(bytes.fromhex(encoded)) == STEPS.tobytes()


@pytest.mark.parametrize(
    ("data", "checksum"),
    [  # RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_is_that_of_the_standard(data, checksum):
    stored = checksum.to_bytes(4, "little")
    assert crc32c(data) == crc32c(memoryview(data)) == crc32c(np.frombuffer(data, "<u4")) == stored
    assert Crc32cCodec().encode(data) == data + stored


@pytest.mark.parametrize("codec", [BloscCodec(2), ZstdCodec(checksum=True), GzipCodec()])
def test_a_chunk_cut_short_is_an_error_that_names_the_codec(codec):
    chain = CodecChain((codec,))
    encoded = chain.encode(STEPS)
    for length in (0, 3, 15, 40, len(encoded) - 1):
        with pytest.raises(StorageError, match=codec.name):
            chain.decode(encoded[:length])


def test_a_flipped_bit_is_found_by_crc32c():
    chain = CodecChain((Crc32cCodec(),))
    encoded = bytearray(chain.encode(STEPS))
    encoded[100] ^= 1
    with pytest.raises(StorageError, match=r"crc32c checksum of 512 bytes is \w+, but \w+ is"):
        chain.decode(bytes(encoded))
    with pytest.raises(StorageError, match="3 bytes are too few"):
        chain.decode(b"abc")


def test_a_chunk_too_large_for_blosc_is_refused_before_it_is_recorded():
    chain = CodecChain((BloscCodec(2),))
    assert chain.max_encoded_size(2**31 - 17) == 2**31 - 1
    with pytest.raises(SettingsError, match="make chunks smaller"):
        chain.max_encoded_size(2**31 - 16)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BloscCodec(2, cname="lz5"), "blosc cname is 'lz5'; this build offers blosclz,"),
        (lambda: BloscCodec(2, shuffle="byte"), "blosc shuffle is 'byte'"),
        (lambda: BloscCodec(2, clevel=10), "blosc clevel is 10; it must be .* 0 to 9"),
        (lambda: BloscCodec(0), "blosc typesize is 0"),
        (lambda: ZstdCodec(23), "zstd level is 23; it must be .* to 22"),
        (lambda: ZstdCodec(3, checksum=1), "zstd checksum is 1"),
        (lambda: GzipCodec(True), "gzip level is True"),
        (lambda: GzipCodec(-1), "gzip level is -1"),
        (lambda: PluginCompression(""), "codec_name must be the name of a codec"),
    ],
)
def test_bad_values_are_named(build, message):
    with pytest.raises(SettingsError, match=message):
        build()


@given(chain=chains)
def test_chains_are_values(chain):
    copied = pickle.loads(pickle.dumps(chain))
    assert copied == chain
    assert copied.decode(copied.encode(STEPS)) == STEPS.tobytes()
