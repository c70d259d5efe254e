"""TIFF files and NDTiff datasets that are not to be trusted, as what is transcoded.

Each is opened, and transcoded, in a child process with limits of memory and time: an error of aqz,
or an answer, and nothing is left open or read from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from tests.faults.hostile_files import DATASETS, FILES, honest_dataset
from tests.faults.limits import outcomes

pytest.importorskip("tifffile")
pytest.importorskip("ndstorage")
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="limits of memory, links and FIFOs of Linux"
)

PRECIOUS = 201
ANSWERED = {
    *("a circle inside", "escapes in a name", "numbers of ImageJ", "entries of nothing"),
    *("cut in a directory", "2^31 images of ImageJ", "entities", "64 GB of nothing"),
}
"""What can be read all the same, and may be."""


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def transcode(source):
    """Transcode, and look for what came from elsewhere and for files that were left open."""
    before = open_files()
    made = source.parent / "made"
    try:
        aqz.transcode(source, made, threads=1, overwrite=made.exists())
    finally:
        assert open_files() == before
    with aqz.open_dataset(made) as dataset:
        for image in dataset.images.values():
            assert not (image.to_dask().compute(scheduler="sync") == PRECIOUS).any()


READERS = {
    "dry run": lambda source: aqz.transcode(source, source.parent / "none", dry_run=True),
    "transcode": transcode,
}


@pytest.fixture
def outside(tmp_path):
    import tifffile

    folder = tmp_path / "outside"
    folder.mkdir()
    tifffile.imwrite(folder / "own.tif", np.full((16, 16), PRECIOUS, "u1"))
    return folder / "own.tif"


@pytest.mark.parametrize("name", FILES)
def test_a_tiff_file_is_believed_only_as_far_as_it_goes(tmp_path, outside, name):
    (tmp_path / "given").mkdir()
    found = outcomes(READERS, FILES[name](tmp_path / "given", outside))
    assert set(found) == set(READERS)
    assert name in ANSWERED or found["transcode"] != "answered"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # ndstorage keeps files open
@pytest.mark.parametrize("name", DATASETS)
def test_an_ndtiff_dataset_is_believed_only_as_far_as_it_goes(tmp_path, outside, name):
    (tmp_path / "given").mkdir()
    found = outcomes(READERS, DATASETS[name](tmp_path / "given", outside))
    assert set(found) == set(READERS)
    assert name in ANSWERED or found["transcode"] != "answered"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # ndstorage keeps files open
def test_an_honest_dataset_leaves_nothing_open(tmp_path):
    source = honest_dataset(tmp_path)
    transcode(source)
    assert aqz.open_dataset(tmp_path / "made").read_image(t=3).max() == 3
