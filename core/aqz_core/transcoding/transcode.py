"""One call that makes a store from another one, or from files of other formats."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aqz_core.codecs.chain import chain_for
from aqz_core.enums import ZarrVersion
from aqz_core.errors import SettingsError
from aqz_core.plugins import create_plugin_manager
from aqz_core.recording.overwriting import remove_recording
from aqz_core.settings.compression import compression_settings, named_compression
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.store import check_store
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.names import PARTIAL
from aqz_core.storage.opening import locked_sink
from aqz_core.transcoding.documents import (
    array_document,
    group_documents,
    image_documents,
    log_file,
)
from aqz_core.transcoding.execution import executor_for
from aqz_core.transcoding.job import Job, Task, flush, write_documents
from aqz_core.transcoding.layout import blocks_with_frames, lay_out
from aqz_core.transcoding.ledger import Ledger, job_of
from aqz_core.transcoding.opening import open_source
from aqz_core.transcoding.progress import (
    ProgressReporter,
    TranscodingPlan,
    TranscodingProgress,
    TranscodingReport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from aqz_core.codecs import CodecChain
    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.settings.compression import CompressionName
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.sink import Sink
    from aqz_core.transcoding.layout import ImageLayout, LevelLayout
    from aqz_core.transcoding.source import Source, SourceImage

__all__ = ["transcode"]

_MOST_GROUPS = 100_000
"""Tasks are put together so that a cluster is never asked for more than so many things."""

_MOST_TASKS = 2**22
"""A petabyte has half as many shards of the usual size."""

_GROUP_NBYTES = 64 << 20
"""Pixels that a group of short tasks stores: a cluster takes some time for each group."""


def transcode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    codec: CompressionName = "zstd",
    level: int = 3,
    pyramid: Literal["none", "mean", "decimate", "min", "max"] | str | None = None,
    version: ZarrVersion | Literal[2, 3] | None = None,
    ngff: Literal["0.4", "0.5"] | None = None,
    axes: str = "",
    source_s3: S3Settings | None = None,
    s3: S3Settings | None = None,
    threads: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[TranscodingProgress], object] | None = None,
    plugins: Iterable[object] = (),
) -> TranscodingReport:
    """Make a store with other chunks, codecs, levels, version or place from another one.

    The same call, after it was interrupted in any way, makes what is missing: a file of the
    destination is either whole or not there, and counts as done by its checksum. The destination
    has no metadata, so that nobody takes it for a store, before all of it is stored.

    Parameters
    ----------
    source : str or os.PathLike
        A store of Zarr V2 or V3, a path or a URL; on this machine also an OME-TIFF or another TIFF
        file, the folder of an NDTiff dataset, or an npy file.
    destination : str or os.PathLike
        Where the store goes: a path or a URL.
    chunks : sequence of int, optional
        Pixels of a chunk on the last axes, 1 on those in front. The chunks of the source if left
        out, or some of about 512 x 512 pixels where it has none.
    shards : sequence of int, optional
        Chunks of a shard on the last axes. The shards of the source if left out and `chunks`, too;
        else as many as are about 128 MiB.
    codec : str
        One of `COMPRESSION_NAMES`.
    level : int
        Of the codec; more is smaller and slower.
    pyramid : str, optional
        How smaller levels are made: "mean", "decimate", "min", "max" or a plug-in's, by "decimate"
        always for labels; "none" for full resolution only. The levels of the source if left out.
    version : ZarrVersion or int, optional
        3 if left out, or 2.
    ngff : str, optional
        "0.5", which goes with Zarr V3, or "0.4", with V2.
    axes : str
        A letter for each axis, for sources that do not name them.
    source_s3, s3 : S3Settings, optional
        How to reach the bucket of the source, and of the destination.
    threads : int, optional
        Tasks at the same time in this process; as many as there are processors if left out.
    workers : int, optional
        Processes of this machine instead.
    scheduler : str, optional
        Address of a Dask scheduler instead, "tcp://10.0.0.1:8786". Its workers reach source and
        destination by the same paths or URLs.
    overwrite : bool
        Remove the store at `destination` first; refused if anything else is in it.
    dry_run : bool
        Only find out what would be done; nothing is written.
    on_progress : callable, optional
        Called with a `TranscodingProgress`, first before anything is done.
    plugins : iterable of object
        Plug-ins that offer codecs, methods or places.

    Returns
    -------
    TranscodingReport
        What was done.

    Raises
    ------
    SettingsError
        Options contradict each other, the source or the machine.
    StoreExistsError
        There is something else at the destination.
    StoreBusyError
        The source is being recorded, or somebody writes the destination.
    StorageError
        Something cannot be read or stored.
    """
    began = time.monotonic()
    plugins = tuple(plugins)
    opened = open_source(source, source_s3, axes, plugins)
    try:
        settings = StreamSettings(store_path=os.fspath(destination), s3=s3, overwrite=overwrite)
        check_store(settings)
        _check_apart(source, settings)
        making = _Making(opened, settings, plugins, codec, level, _version(version, ngff))
        making.lay_out(chunks, shards, pyramid)
        with executor_for(threads, workers, scheduler) as executor:
            plan = making.plan(executor.workers)
            if dry_run:
                return TranscodingReport(plan, 0, 0, 0, 0, time.monotonic() - began)
            with locked_sink(settings, making.hooks.sinks()) as sink:
                return making.run(sink, executor, plan, on_progress, began)
    finally:
        opened.close()


class _Making:
    """One transcoding: from options to a job, its tasks and its documents."""

    def __init__(
        self,
        source: Source,
        settings: StreamSettings,
        plugins: tuple[object, ...],
        codec: CompressionName,
        level: int,
        version: ZarrVersion,
    ) -> None:
        self._source = source
        self._settings = settings
        self._plugins = plugins
        self._version = version
        self.hooks = create_plugin_manager(plugins)
        self._recorded: dict[int, npt.NDArray[np.bool_] | None] = {}
        self._chains = [self._chain(codec, level, image) for image in source.images]

    def _chain(self, codec: CompressionName, level: int, image: SourceImage) -> CodecChain:
        """Return the codecs of an image, and refuse those that the format has not."""
        dtype = image.levels[0].dtype
        named = named_compression(compression_settings(codec, dtype, level))
        chain = chain_for(named, dtype, self.hooks.codecs())
        if self._version is ZarrVersion.V2:
            chain.v2_metadata()
        return chain

    def lay_out(
        self, chunks: Sequence[int] | None, shards: Sequence[int] | None, pyramid: str | None
    ) -> None:
        """Decide how each image is stored."""
        if shards is not None and self._version is ZarrVersion.V2:
            raise SettingsError("Zarr V2 has no shards; leave shards out, or write version 3")
        methods = self.hooks.downsamplers()
        if pyramid not in (None, "none", *methods):
            raise SettingsError(
                f"pyramid {pyramid!r} is unknown; choose one of none, {', '.join(methods)}"
            )
        self._layouts = []
        self._methods: list[Downsampler | None] = []
        for image in self._source.images:
            wanted = "none" if image.is_plain and pyramid is not None else pyramid
            self._layouts.append(lay_out(image, chunks, shards, wanted))
            is_new = wanted not in (None, "none")
            name = "decimate" if image.is_label else wanted
            self._methods.append(methods[name] if is_new and name else None)
        options = repr((self._layouts, self._chains, [m and m.name for m in self._methods]))
        self._identity = hashlib.sha256(
            f"{self._source.identity}{self._version}{options}".encode()
        ).hexdigest()

    def plan(self, workers: int) -> TranscodingPlan:
        """Return what will be done."""
        read, have, stored, most = 0, 0, 0, 0
        for image, layout in zip(self._source.images, self._layouts, strict=True):
            for number, level in enumerate(layout.levels):
                stored += math.prod(level.shape) * layout.dtype.itemsize
                if level.source is not None:
                    theirs = image.levels[level.source]
                    have += math.prod(theirs.shape) * layout.dtype.itemsize
                    read += _read_nbytes(theirs.shape, theirs.chunk_shape, level.block_shape) * (
                        layout.dtype.itemsize
                    )
                most = max(most, self._task_nbytes(image, layout, number))
        return TranscodingPlan(
            len(self._source.images),
            self._number_of_tasks(),
            read,
            read / have if have else 1.0,
            stored,
            most,
            workers,
            self._source.left_out,
        )

    def _task_nbytes(self, image: SourceImage, layout: ImageLayout, number: int) -> int:
        """Return a bound on the memory of a task that begins at a level.

        Its pixels, its chunks encoded, and as shard; a chunk of the source, encoded and decoded,
        with what is read along with it; where a smaller level is made, that of a level before, too.
        """
        level = layout.levels[number]
        block = layout.block_nbytes(number)
        chunk = math.prod(level.chunk_shape) * layout.dtype.itemsize
        if level.source is not None:
            theirs = math.prod(image.levels[level.source].chunk_shape) * layout.dtype.itemsize
            return 3 * block + 2 * chunk + 2 * theirs + (16 << 20)
        factor = 8 if level.halves_z else 4
        return (factor + 3) * block + 4 * chunk + (16 << 20)

    def _number_of_tasks(self) -> int:
        """Return how many tasks there are.

        Raises
        ------
        SettingsError
            There are too many: the source may claim any shape.
        """
        number = sum(
            math.prod(level.grid)
            for layout in self._layouts
            for level in layout.levels
            if not level.follows
        )
        if number > _MOST_TASKS:
            raise SettingsError(
                f"{self._source.url} would be stored in {number:,} files or groups of files; no "
                f"more than {_MOST_TASKS:,} can be made. Are its shapes right? If so, choose "
                "larger chunks, or more of them in a shard"
            )
        return number

    def _phases(self) -> Iterator[Iterator[Task]]:
        """Yield the tasks of the first levels of all images, of the next ones, and so on."""
        most = max(len(layout.levels) for layout in self._layouts)
        for number in range(most):
            yield (
                Task(image, number, block)
                for image, layout in enumerate(self._layouts)
                if number < len(layout.levels) and not layout.levels[number].follows
                for block in self._blocks(image, layout.levels[number])
            )

    def _blocks(self, image: int, level: LevelLayout) -> Iterator[tuple[int, ...]]:
        """Yield the blocks of a level that may have pixels of a recorded frame.

        The others take neither time nor memory: a shape may claim millions of them.
        """
        if image not in self._recorded:
            self._recorded[image] = self._source.recorded(image)
        planes = map(range, level.grid[-2:])
        there = blocks_with_frames(level, self._recorded[image])
        if there is None:
            return product(*map(range, level.grid))
        leads = map(tuple, np.argwhere(there).tolist())
        return ((*lead, *place) for lead, place in product(leads, list(product(*planes))))

    def job(self) -> Job:
        """Return what tasks need to know."""
        images = zip(self._source.images, self._layouts, self._chains, strict=True)
        documents = tuple(
            tuple(
                array_document(image, layout, number, self._version, chain)
                for number in range(len(layout.levels))
            )
            for image, layout, chain in images
        )
        return Job(
            self._source,
            self._settings,
            tuple(self._layouts),
            documents,
            self._version is ZarrVersion.V2,
            tuple(tuple(chain.v3_metadata()) for chain in self._chains),
            tuple(method.name if method else None for method in self._methods),
            self._plugins,
            self._identity,
        )

    def run(
        self,
        sink: Sink,
        executor: Any,
        plan: TranscodingPlan,
        on_progress: Callable[[TranscodingProgress], object] | None,
        began: float,
    ) -> TranscodingReport:
        """Do it, and return what was done."""
        if self._settings.overwrite:
            _make_room(sink, self._identity)
        ledger = Ledger(sink, self._identity)
        job = self.job()
        progress = ProgressReporter(plan, on_progress)
        progress.tell()
        try:
            kept = self._check_done(job, ledger, progress)
            files = nbytes = 0
            for phase in self._phases():
                tasks = (task for task in phase if task not in ledger.done)
                size = _group_size(plan, executor.workers)
                for done in executor.run(job, _grouped(tasks, size)):
                    for task, stored in done:
                        ledger.note(task, stored)
                        files += sum(file.nbytes > 0 for file in stored)
                        nbytes += sum(file.nbytes for file in stored)
                        progress.made()
            progress.ended()
            ledger.save()
            self._finish(sink, ledger)
        except BaseException:
            _save_quietly(ledger)
            raise
        finally:
            job.close()
        return TranscodingReport(
            plan, plan.tasks - kept, files, nbytes, kept, time.monotonic() - began
        )

    def _check_done(self, job: Job, ledger: Ledger, progress: ProgressReporter) -> int:
        """Forget what the ledger has of files that are not right; return how many tasks stay."""
        for task, files in list(ledger.done.items()):
            if all(job.check(file) for file in files):
                progress.found()
            else:
                del ledger.done[task]
        return len(ledger.done)

    def _finish(self, sink: Sink, ledger: Ledger) -> None:
        """Store the metadata."""
        documents: dict[str, bytes] = {}
        for group in self._source.groups:
            documents |= group_documents(group, self._version)
        images = zip(self._source.images, self._layouts, self._chains, self._methods, strict=True)
        for image, layout, chain, method in images:
            documents |= image_documents(image, layout, self._version, chain, method)
            documents |= log_file(image)
        _sweep(sink)
        flush(sink)
        write_documents(sink, documents)
        flush(sink)
        ledger.remove()


def _version(version: ZarrVersion | int | None, ngff: str | None) -> ZarrVersion:
    """Return the Zarr format that is asked for, by its own number or that of NGFF."""
    by_ngff = {None: None, "0.4": ZarrVersion.V2, "0.5": ZarrVersion.V3}
    if ngff not in by_ngff:
        raise SettingsError(f"ngff {ngff!r} cannot be written; choose 0.4 or 0.5")
    if version is not None and int(version) not in (2, 3):
        raise SettingsError(f"version {version!r} is no Zarr format; choose 2 or 3")
    wanted = None if version is None else ZarrVersion(int(version))
    if wanted and by_ngff[ngff] and wanted is not by_ngff[ngff]:
        raise SettingsError(
            f"NGFF {ngff} does not go with Zarr V{int(wanted)}: 0.4 is written as V2, 0.5 as V3; "
            "leave one of both out"
        )
    return wanted or by_ngff[ngff] or ZarrVersion.V3


def _check_apart(source: str | os.PathLike[str], settings: StreamSettings) -> None:
    """Raise if a store would be written into itself."""
    if not is_local(settings.store_path, settings.s3) or not is_local(os.fspath(source), None):
        return
    one, other = local_path(os.fspath(source)).resolve(), local_path(settings.store_path).resolve()
    if one == other or one in other.parents or other in one.parents:
        raise SettingsError(
            f"{other} is, or lies in, what it would be made from; choose another place. Levels are "
            "added in place by `aqz pyramid`"
        )


def _read_nbytes(shape: Sequence[int], chunks: Sequence[int], blocks: Sequence[int]) -> int:
    """Return the pixels that are decoded when an array is read block by block."""
    total = 1
    for n, chunk, block in zip(shape, chunks, blocks, strict=True):
        cuts = np.arange(block, n, block)
        cut = cuts[cuts % chunk != 0] // chunk * chunk  # begin of each chunk that is read once more
        total *= n + int((np.minimum(cut + chunk, n) - cut).sum())
    return total


def _group_size(plan: TranscodingPlan, workers: int) -> int:
    """Return how many tasks are given to a worker at once: more where each is short."""
    least = -(-plan.tasks // _MOST_GROUPS)
    short = _GROUP_NBYTES * plan.tasks // max(1, plan.nbytes)
    return max(1, least, min(short, plan.tasks // (8 * workers)))


def _grouped(tasks: Iterator[Task], size: int) -> Iterator[list[Task]]:
    """Yield tasks in lists of some size."""
    while group := list(islice(tasks, size)):
        yield group


def _make_room(sink: Sink, identity: str) -> None:
    """Remove what is at the destination, unless it is the beginning of this very job."""
    job = job_of(sink)
    if job is None:
        remove_recording(sink)
    elif job != identity:
        sink.remove("")  # it was empty when that job began


def _sweep(sink: Sink) -> None:
    """Remove what writers that were killed left on a filesystem."""
    if isinstance(sink, FilesystemSink):
        for path in sink.root.rglob(f"*{PARTIAL}"):
            path.unlink(missing_ok=True)


def _save_quietly(ledger: Ledger) -> None:
    """Store the ledger after an error, which counts more than another one."""
    with contextlib.suppress(OSError):
        ledger.save()
