"""Arguments that mean nothing are refused by name, with what was given, before anything is made."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import SettingsTypeError

GIVEN = {"shape": (0, 3, 4), "dtype": "uint16"}
FRAME = np.arange(12, dtype=np.uint16).reshape(3, 4)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("store_path", b"x", r"store_path must be a string or a path, got b'x' \(bytes\)"),
        ("store_path", 5, r"store_path must be .*5 \(int\); for example"),
        ("store_path", "a\ud800", r"store_path: .*'\\ud800' at position 1.*remove it"),
        ("store_path", "s3:/bucket/x", r"s3://bucket/x"),
        ("store_path", "s3://bucket/x\udcff", r"store_path 's3://bucket/x\\udcff' has .*remove"),
        ("shape", (0, 3.5, 4), r"shape must be .*integers.*got 3\.5 \(float\) at position 1"),
        ("shape", (True, 3, 4), r"shape must be .*got True \(bool\) at position 0"),
        ("shape", ("a", 3, 4), r"shape must be .*got 'a' \(str\) at position 0"),
        ("shape", (0, 3, 0x99999999999), r"shape must be .*at position 2"),
        ("shape", None, r"shape must be .*got None .*for example shape="),
        ("shape", 5, r"shape must be .*got 5 \(int\)"),
        ("dtype", None, r"dtype: .*got None"),
        ("axes", 5, r"axes must be .*got 5 \(int\)"),
        ("axes", (1, 2, 3), r"axes must be .*got 1 \(int\) at position 0"),
        ("axes", ["t", "y\udc00", "x"], r"axes: .*at position 1"),
        ("chunks", (1, 1.5, 1), r"chunks must be .*got 1\.5 \(float\) at position 1"),
        ("chunks", 5, r"chunks must be .*got 5 \(int\)"),
        ("chunks", (0, 3, 4), r"chunks must be .*from 1 .*got 0 \(int\) at position 0"),
        ("chunks", (1, 3), r"chunks \(1, 3\) must have one size for each"),
        ("shards", (None,) * 3, r"shards must be .*got None .*leave shards out"),
        ("compression", ["zstd"], r"compression must be a string.*choose one of none, blosc"),
        ("compression", "zip", r"compression 'zip' is unknown"),
        ("pyramid", True, r"pyramid must be .*got True .*choose one of decimate, mean"),
        ("scale", 0.65, r"scale must be a mapping, got 0\.65 .*scale=\{"),
        ("scale", {"x": "wide"}, r"scale\['x'\] must be a number, got 'wide'"),
        ("scale", {1: 2.0}, r"a name in scale must be a string"),
        ("units", ["micrometer"], r"units must be a mapping"),
        ("units", {"x": 3}, r"units\['x'\] must be a string, got 3"),
        ("channels", "DAPI", r"channels must be a list of names or Channels, got 'DAPI'"),
        ("channels", [3], r"channels must be .*got 3 \(int\) at position 0"),
        ("plugins", 5, r"plugins must be a list .*plugins=\[one\]"),
        ("mode", 5, r"mode is 5; choose"),
        ("overwrite", "yes", r"overwrite must be True or False, got 'yes'"),
        ("max_memory", "1 GB", r"max_memory must be .*got '1 GB'"),
    ],
)
def test_open_stream(argument, value, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {"store_path": "a.zarr", **GIVEN, argument: value}
    with pytest.raises(aqz.SettingsError, match=message) as caught:
        aqz.open_stream(arguments.pop("store_path"), **arguments)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)
    assert not list(tmp_path.iterdir())


def test_near_misses_that_lose_nothing_are_taken(tmp_path):
    shape, chunks = np.array([2, 3, 4]), [np.int8(1), 3, 4]
    channels = ("one", aqz.Channel(name="two"))
    options = {"scale": {"x": np.float32(0.5)}, "axes": ("c", "y", "x")}
    with aqz.open_stream(
        tmp_path / "a.zarr", shape=shape, dtype="u2", chunks=chunks, channels=channels, **options
    ) as stream:
        stream.append(np.stack([FRAME, FRAME]))


@pytest.fixture
def stream(tmp_path):
    with aqz.open_stream(tmp_path / "a.zarr", **GIVEN) as opened:
        yield opened


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.extend(5), SettingsTypeError, r"settings: .*StreamSettings, not 5 \(int\)"),
        (lambda s: s.append(FRAME, 5), aqz.UnknownArrayError, r"no array 5 .*it has ''"),
        (lambda s: s.skip_frames(1, 5), aqz.UnknownArrayError, "no array 5"),
        (lambda s: s.flush(5), aqz.UnknownArrayError, "no array 5"),
        (lambda s: s.write(FRAME, (17,)), aqz.FrameIndexError, r"index must be .*'t'.*\(17,\)"),
        (lambda s: s.write(FRAME, 17), aqz.FrameIndexError, r"index must be .*\{'t': 0\}.*17"),
        (lambda s: s.write(FRAME, {"t": 1.5}), aqz.FrameIndexError, r"1\.5 on axis 't'"),
        (lambda s: s.skip_frames("two"), TypeError, r"n must be an integer.*'two'"),
        (lambda s: s.skip(1.5), TypeError, r"n_bytes must be an integer.*1\.5"),
        (
            lambda s: s.write_custom_metadata({}, metadata_key=5),
            aqz.MetadataError,
            "metadata_key must be a string, got 5",
        ),
    ],
)
def test_methods_of_a_stream(stream, call, error, message):
    with pytest.raises(error, match=message):
        call(stream)
    stream.append(FRAME)  # and it goes on
    stream.flush()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda store: aqz.ZarrStream.resume(store, 5), r"settings: ZarrStream\.resume .*5"),
        (lambda store: aqz.ZarrStream.resume(5), r"store must be a string or a path, got 5"),
        (lambda store: aqz.ZarrStream.resume(store, None, 5), "plugins must be a list"),
        (lambda store: aqz.ZarrStream(5), "takes StreamSettings, not int"),
        (lambda store: aqz.read_frame_metadata(store, 3), "key must be a string, got 3"),
        (lambda store: aqz.read_frame_metadata(3), "store must be a string or a path, got 3"),
        (lambda store: aqz.missing_frames(store, 3), "key must be a string, got 3"),
        (lambda store: aqz.suggest_layout(5, "u2"), r"shape must be .*got 5"),
        (lambda store: aqz.suggest_layout((3, 2.5), "u2"), r"shape must be .*2\.5"),
        (lambda store: aqz.StreamSettings.from_string(b"a"), "from_string takes text, not bytes"),
        (lambda store: aqz.StreamSettings.from_file(5), "path must be a string or a path"),
    ],
)
def test_functions(tmp_path, call, message):
    store = tmp_path / "a.zarr"
    with aqz.open_stream(store, **GIVEN) as opened:
        opened.append(FRAME)
    with pytest.raises(SettingsTypeError, match=message) as caught:
        call(store)
    assert isinstance(caught.value, TypeError | aqz.AqzError)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("several", [False, True])
def test_a_matrix_is_an_array(tmp_path, several):
    frame = np.asmatrix(FRAME)
    with aqz.open_stream(tmp_path / "a.zarr", **GIVEN) as opened:
        for _ in range(1 + several):
            opened.append(frame)
    read = aqz.ZarrArrayReader(tmp_path / "a.zarr" / "0").read()
    assert (read == FRAME).all()
    assert len(read) == 1 + several


@pytest.mark.parametrize("text", ["\0", "a: \x07", "\ud800"])
def test_config_text_with_characters_that_no_text_has(text):
    with pytest.raises(aqz.SettingsError, match=r"config text: .*at position \d+.*remove it"):
        aqz.StreamSettings.from_string(text)


def test_settings_for_a_directory_that_is_not_there(tmp_path):
    file = tmp_path / "nowhere" / "x.json"
    with pytest.raises(aqz.StorageError, match=r"x\.json: .*No such file.*choose a directory"):
        aqz.StreamSettings(store_path="a.zarr").to_file(file)


def test_names_that_cannot_be_stored_are_refused_where_they_are_set():
    with pytest.raises(aqz.SettingsError, match=r"Dimension\.name: 't\\ud800' .* has '\\ud800'"):
        aqz.Dimension(name="t\ud800")
    with pytest.raises(aqz.SettingsError, match=r"S3Settings\.secret") as caught:
        aqz.S3Settings(secret="hush\ud800")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("read", [aqz.read_frame_metadata, aqz.missing_frames])
def test_a_key_that_is_not_there_is_told_with_those_that_are(tmp_path, read):
    settings = aqz.StreamSettings(
        store_path=tmp_path / "a.zarr",
        arrays=[
            aqz.ArraySettings(
                output_key=key,
                data_type="u2",
                dimensions=[
                    aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1),
                    aqz.Dimension(name="y", array_size_px=3, chunk_size_px=3),
                    aqz.Dimension(name="x", array_size_px=4, chunk_size_px=4),
                ],
            )
            for key in ("left", "deep/right")
        ],
    )
    aqz.ZarrStream(settings).close()
    with pytest.raises(aqz.UnknownArrayError, match=r"no array at 'lefd'.* has ") as caught:
        read(tmp_path / "a.zarr", "lefd")
    assert "'left'" in str(caught.value)
    assert "'deep/right'" in str(caught.value)
    with pytest.raises(aqz.StorageError, match=r"nostore.*there is no "):
        read(tmp_path / "nostore", "a")
