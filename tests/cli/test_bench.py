"""``aqz bench``: figures with the engine itself on a small scale, verdicts on made-up figures."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.cli import main
from aqz_core.cli.bench import measure as camera_bench
from aqz_core.cli.bench import plot as bench_plot
from aqz_core.cli.bench.load import CameraLoad, deliver, make_ring
from aqz_core.cli.bench.measure import CodecTrial, Run, judge
from aqz_core.errors import SettingsError

SMALL = ("--camera", "32x48@200:uint16", "--seconds", "0.1")
CAMERA = CameraLoad.parse("1000x1000@100:uint16")  # 200 MB/s


def bench(*options):
    """Run ``aqz bench`` and return its exit code."""
    return main(["bench", *map(str, options)])


# ---- the command ----------------------------------------------------------------------------


def test_it_measures_each_codec_answers_and_leaves_nothing(tmp_path, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    code = bench(disk, *SMALL, "--json", tmp_path / "out.json")
    said = capsys.readouterr().out

    for text in ("32 x 48 uint16 at 200 frames/s", "none", "blosc-lz4", "blosc-zstd", "GB/s"):
        assert text in said
    assert "Will it hold 32x48@200:uint16?" in said
    assert list(disk.iterdir()) == []

    document = json.loads((tmp_path / "out.json").read_text())
    assert list(document["codecs"]) == ["none", "blosc-lz4", "blosc-zstd"]
    answers = [trial["verdict"]["answer"] for trial in document["codecs"].values()]
    assert code == all(answer == "no" for answer in answers)
    for trial in document["codecs"].values():
        for run in (trial["sustained"], trial["paced"]):
            assert run["bytes_in"] == run["frames"] * 32 * 48 * 2
            assert 0 < run["append_p50"] <= run["append_p99"] <= run["append_max"]
        assert 1 <= trial["paced"]["frames"] <= 21
    assert document["codecs"]["blosc-zstd"]["sustained"]["ratio"] > 1


def test_codecs_and_a_pyramid_as_asked(tmp_path, capsys, monkeypatch):
    opened = []
    real = camera_bench.open_stream

    def noted(store, **options):
        opened.append((options["compression"], options["pyramid"]))
        return real(store, **options)

    monkeypatch.setattr(camera_bench, "open_stream", noted)
    bench(tmp_path, *SMALL, "--codec", "zstd", "--codec", "none", "--codec", "zstd", "--pyramid")
    assert opened == [("zstd", "mean")] * 2 + [("none", "mean")] * 2


def test_what_is_measured_is_a_recording(tmp_path, monkeypatch):
    stored = []
    real = shutil.rmtree

    def looked_at(path, **options):
        if (path / "0").exists():
            stored.append(zarr.open_array(path / "0", mode="r")[...])
        real(path, **options)

    monkeypatch.setattr(camera_bench.shutil, "rmtree", looked_at)
    camera = CameraLoad.parse("32x48@100:uint8")
    (trial,) = camera_bench.measure(tmp_path, camera, ["none"], seconds=0.1)
    ring = make_ring(camera)
    assert [len(pixels) for pixels in stored] == [trial.sustained.frames, trial.paced.frames]
    for pixels in stored:
        for number, frame in enumerate(pixels[:40]):
            np.testing.assert_array_equal(frame, ring[number % len(ring)])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(143)])
def test_an_interruption_leaves_nothing(tmp_path, capsys, monkeypatch, error):
    def interrupted(take, ring, **options):
        take(ring[0])
        raise error

    monkeypatch.setattr(camera_bench, "deliver", interrupted)
    assert bench(tmp_path, *SMALL) == (130 if error is KeyboardInterrupt else 143)
    assert list(tmp_path.iterdir()) == []
    assert ("interrupted" in capsys.readouterr().out) == (error is KeyboardInterrupt)


def test_a_failure_leaves_nothing(tmp_path, capsys, monkeypatch):
    def failing(take, ring, **options):
        raise SettingsError("the camera fell off")

    monkeypatch.setattr(camera_bench, "deliver", failing)
    assert bench(tmp_path, *SMALL) == 1
    assert capsys.readouterr().err == "aqz: error: the camera fell off\n"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_left_alone(tmp_path, capsys, monkeypatch):
    usage = SimpleNamespace(free=3 << 30)
    monkeypatch.setattr(camera_bench.shutil, "disk_usage", lambda path: usage)
    assert bench(tmp_path, "--camera", "4096x4096@100", "--seconds", "10") == 1
    error = capsys.readouterr().err
    assert "has room for 2.1 GB" in error
    assert "--seconds below 0.5" in error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_has_no_room_for_any_length(tmp_path, capsys, monkeypatch):
    usage = SimpleNamespace(free=3 << 20)
    monkeypatch.setattr(camera_bench.shutil, "disk_usage", lambda path: usage)
    assert bench(tmp_path, "--camera", "4096x4096@100", "--seconds", "10") == 1
    error = capsys.readouterr().err
    assert "has no room (1 GB is left free)" in error
    assert "name another disk" in error
    assert "--seconds below" not in error


def test_the_fast_recording_ends_before_the_disk_is_full(tmp_path, monkeypatch):
    camera = CameraLoad.parse("100x100@1000:uint8")
    usage = SimpleNamespace(free=camera_bench.SPARE_NBYTES + 20 * camera.frame_nbytes)
    monkeypatch.setattr(camera_bench.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(camera_bench, "check_room", lambda *arguments: None)
    (trial,) = camera_bench.measure(tmp_path, camera, ["none"], seconds=60)
    assert trial.sustained.frames == 15


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--camera", "2048x2048"], 2, "is not rows x columns @ frames"),
        (["--camera", "2048x2048@0"], 2, "is not rows x columns @ frames"),
        (["--camera", "2048x2048@10:rgb"], 2, "not a data type"),
        (["--camera", "2048x2048@10:bool"], 2, "no camera sends"),
        (["--seconds", "0"], 2, "0.05"),
        (["--codec", "lzma"], 2, "lzma"),
        (["--plot", "figure.pdf"], 1, "let its name end with .png"),
        (["--json", "no/such/folder/out.json"], 1, "no/such/folder/out.json"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_measured(
    options, code, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert bench(".", *options) == code
    assert message in " ".join(capsys.readouterr().err.replace("│", "").split())
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file"):
        assert bench(path, *SMALL) == 1
        assert "is not a folder" in capsys.readouterr().err


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(bench_plot, "find_spec", lambda name: None)
    assert bench(tmp_path, *SMALL, "--plot", tmp_path / "a.png") == 1
    assert "pip install matplotlib" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib draws the plot")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_plot_is_a_picture(tmp_path):
    trials = [trial("none", 500), trial("blosc-zstd", 100, latencies=np.full(5000, 0.01))]
    bench_plot.write_plot(tmp_path / "a.png", CAMERA, trials)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


# ---- the verdict ----------------------------------------------------------------------------


def trial(codec, megabytes_per_second, *, ratio=1, cores=0.1, backlog=0, latencies=(0.001,)):
    """Make up what was measured with one codec."""
    nbytes = int(megabytes_per_second * 1e6)
    fast = Run(100, nbytes, nbytes // ratio, 1.0, cores, np.array([0.001]), 0)
    paced = Run(len(latencies), nbytes, nbytes // ratio, 1.0, cores, np.asarray(latencies), backlog)
    return CodecTrial(codec, fast, paced)


@pytest.mark.parametrize(
    ("measured", "answer", "text"),
    [
        (trial("none", 500), "yes", "yes, with 2.50-fold headroom."),
        (trial("none", 500, backlog=9), "yes", "A buffer of 9 frames is enough."),
        (trial("none", 500, backlog=51), "only just", "more than 51 frames (102 MB)"),
        (trial("none", 220), "only just", "1.10-fold headroom. A disk that gets full"),
        (trial("none", 220), "only just", "The disk is the limit"),
        (trial("none", 150), "no", "sustains 150 MB/s of the 200 MB/s"),
        (trial("none", 150), "no", "75 of 100 frames/s"),
        (trial("none", 150), "no", "use a codec, a faster disk"),
        (trial("zstd", 150), "no", "use a faster disk"),
        (trial("zstd", 150, cores=1e6), "no", "The processor is the limit"),
        (trial("zstd", 150, cores=1e6), "no", "use a lighter codec, "),
        (trial("none", 150, cores=1e6), "no", "use fewer or smaller frames, or more cores"),
    ],
)
def test_the_verdict_is_plain(measured, answer, text):
    (verdict,) = judge(CAMERA, [measured])
    assert verdict.answer == answer
    assert verdict.text.startswith(answer)
    assert text in verdict.text


def test_what_neither_disk_nor_codec_explains_is_laid_to_others():
    (_, verdict) = judge(CAMERA, [trial("none", 190), trial("zstd", 40)])
    assert "measure again" in verdict.text


def test_the_smallest_of_those_that_do_it_easily_is_named():
    trials = [
        trial("none", 150),
        trial("blosc-lz4", 500, ratio=2),
        trial("blosc-zstd", 300, ratio=3),
        trial("gzip", 210, ratio=4),
    ]
    verdicts = judge(CAMERA, trials)
    assert [verdict.answer for verdict in verdicts] == ["no", "yes", "yes", "only just"]
    assert verdicts[0].text.endswith("Use blosc-zstd, which has 1.50-fold headroom.")


# ---- the camera -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "fps", "dtype"),
    [
        ("2048x2048@100:uint16", (2048, 2048), 100, "uint16"),
        ("1200X1600@23.5", (1200, 1600), 23.5, "uint16"),
        (" 64 x 32 @ 1000 : uint8 ", (64, 32), 1000, "uint8"),
        ("64x32@5:float32", (64, 32), 5, "float32"),
    ],
)
def test_a_camera_in_words(text, shape, fps, dtype):
    camera = CameraLoad.parse(text)
    assert (camera.shape, camera.fps, camera.dtype) == (shape, fps, np.dtype(dtype))
    assert CameraLoad.parse(str(camera)) == camera
    assert camera.bytes_per_second == shape[0] * shape[1] * np.dtype(dtype).itemsize * fps


@pytest.mark.parametrize("text", ["64x32@1:uint8", "64x32@1:int16", "64x32@1", "64x32@1:float32"])
def test_frames_have_the_noise_of_a_camera(text):
    camera = CameraLoad.parse(text)
    ring = make_ring(camera)
    assert ring.dtype == camera.dtype
    assert ring.shape == (16, 64, 32)
    assert len(np.unique(ring.reshape(16, -1), axis=0)) == 16
    again = make_ring(camera)
    np.testing.assert_array_equal(ring, again)
    offset = 0 if camera.dtype.itemsize == 1 else 100
    photons = ring.astype(float) - offset
    assert photons.min() >= 0
    # Exposures of one scene: their variance in a pixel is its mean, but for few of them.
    exposures = photons[:4]
    ratio = exposures.var(axis=0, ddof=1).mean() / exposures.mean()
    assert ratio == pytest.approx(1, rel=0.15)


def test_frames_larger_than_the_noise_that_is_drawn(monkeypatch):
    monkeypatch.setattr("aqz_core.cli.bench.load.MAX_TILE_EDGE", 16)
    monkeypatch.setattr("aqz_core.cli.bench.load.RING_NBYTES", 1)
    ring = make_ring(CameraLoad.parse("40x20@1:uint8"))
    assert ring.shape == (2, 40, 20)
    np.testing.assert_array_equal(ring[0, :16, 16:], ring[0, 16:32, :4])


class Clock:
    """Time that passes only when someone sleeps or works."""

    def __init__(self):
        self.now = 5.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


def delivered(work, **options):
    """Deliver frames to one who needs ``work[n]`` seconds for frame n, and no time after."""
    clock, taken = Clock(), []
    ring = np.arange(3)

    def take(frame):
        clock.pass_by(work[len(taken)] if len(taken) < len(work) else 0)
        taken.append(int(frame))

    delivery = deliver(take, ring, clock=clock, sleep=clock.pass_by, **options)
    assert taken == [n % 3 for n in range(delivery.frames)]
    return delivery


def test_a_camera_keeps_its_pace():
    delivery = delivered([0.01] * 20, seconds=1, fps=8)
    assert delivery.frames == 8
    assert delivery.backlog == 0
    assert delivery.latencies == pytest.approx([0.01] * 8)


def test_frames_wait_behind_one_that_took_long():
    delivery = delivered([0, 0.5], seconds=2, fps=8)
    assert delivery.frames == 16  # none is left out, none comes later than it should
    assert delivery.backlog == 4
    assert delivery.seconds == pytest.approx(15 / 8)


def test_who_is_too_slow_gets_fewer_frames_in_the_time():
    delivery = delivered([0.5] * 20, seconds=2, fps=8)
    assert delivery.frames == 4
    assert delivery.backlog == 13


def test_without_a_pace_frames_come_as_fast_as_they_are_taken():
    assert delivered([0.125] * 99, seconds=2).frames == 16
    assert delivered([0.125] * 99, seconds=2, most_frames=3).frames == 3
    assert delivered([9.0], seconds=2).frames == 1


@given(
    work=st.lists(st.floats(0, 0.5), max_size=30),
    fps=st.floats(0.5, 50),
    seconds=st.floats(0.1, 3),
)
def test_a_delivery_adds_up(work, fps, seconds):
    delivery = delivered(work, seconds=seconds, fps=fps)
    assert 1 <= delivery.frames <= seconds * fps + 1
    assert len(delivery.latencies) == delivery.frames
    assert 0 <= delivery.backlog <= delivery.seconds * fps + 1
