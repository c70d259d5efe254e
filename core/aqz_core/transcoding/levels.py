"""Levels of a store added or replaced, in place."""

from __future__ import annotations

import dataclasses
import json
from itertools import product
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.errors import SettingsError
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.chunks import ChunkDecoder
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.store import check_store
from aqz_core.storage.opening import locked_sink
from aqz_core.transcoding.documents import array_document, image_documents, level_name
from aqz_core.transcoding.execution import executor_for
from aqz_core.transcoding.job import Job, Task, flush, write_documents
from aqz_core.transcoding.layout import ImageLayout, lay_out
from aqz_core.transcoding.zarr_source import ZarrSource

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from aqz_core.codecs import CodecChain
    from aqz_core.plugins import Hooks
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.sink import Sink
    from aqz_core.transcoding.execution import Executor

__all__ = ["add_pyramid"]


def add_pyramid(
    store: str | os.PathLike[str],
    method: str = "mean",
    *,
    s3: S3Settings | None = None,
    threads: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    plugins: Iterable[object] = (),
) -> int:
    """Make the smaller levels of every image of a store, in place of those that it has.

    Full resolution is not touched. While it runs, and if it is interrupted, the store has full
    resolution alone; the same call makes the levels then.

    Parameters
    ----------
    store : str or os.PathLike
        A store that is not being recorded: a path or a URL.
    method : str
        "mean", "decimate", "min", "max" or a plug-in's; labels are always decimated. "none" only
        removes the levels.
    s3 : S3Settings, optional
        How to reach a bucket.
    threads, workers, scheduler
        As for `transcode`.
    plugins : iterable of object
        Plug-ins that offer codecs, methods or places.

    Returns
    -------
    int
        How many levels there are below full resolution, all images together.

    Raises
    ------
    SettingsError
        There is no such method, or full resolution is stored under a name that levels need.
    StoreBusyError
        The store is being recorded.
    StorageError
        Something cannot be read or stored.
    """
    plugins = tuple(plugins)
    hooks = create_plugin_manager(plugins)
    methods = hooks.downsamplers()
    if method not in ("none", *methods):
        known = ", ".join(["none", *methods])
        raise SettingsError(f"method {method!r} is unknown; choose one of {known}")
    settings = StreamSettings(store_path=str(store), s3=s3)
    check_store(settings)
    with locked_sink(settings, hooks.sinks()) as sink:
        source = ZarrSource(str(store), s3, plugins, True)
        try:
            adding = _Adding(source, settings, plugins, hooks, method)
            with executor_for(threads, workers, scheduler) as executor:
                return adding.run(sink, executor)
        finally:
            source.close()


class _Adding:
    """The levels that are added to a store."""

    def __init__(
        self,
        source: ZarrSource,
        settings: StreamSettings,
        plugins: tuple[object, ...],
        hooks: Hooks,
        method: str,
    ) -> None:
        self._source = source
        self._settings = settings
        self._plugins = plugins
        codecs = hooks.codecs()
        self._images = [number for number, image in enumerate(source.images) if not image.is_plain]
        self._layouts: dict[int, ImageLayout] = {}
        self._names: dict[int, str | None] = {}
        self._chains: dict[int, CodecChain] = {}
        for number in self._images:
            image = source.images[number]
            _check_name(source, number)
            self._layouts[number] = _without_first(lay_out(image, None, None, method))
            self._names[number] = (
                None if method == "none" else "decimate" if image.is_label else method
            )
            self._chains[number] = ChunkDecoder(source.array(number), codecs).chain
        self._methods = hooks.downsamplers()

    def run(self, sink: Sink, executor: Executor) -> int:
        """Make them; return how many there are."""
        for number in self._images:
            self._write_metadata(sink, number, 1)
            self._remove_levels(sink, number)
        job = self._job()
        try:
            most = max((len(one.levels) for one in self._layouts.values()), default=1)
            for level in range(1, most):
                tasks = self._tasks(level)
                for _ in executor.run(job, ([task] for task in tasks)):
                    pass
        finally:
            job.close()
        flush(sink)  # no ledger would notice levels that were lost
        for number in self._images:
            self._write_metadata(sink, number, len(self._layouts[number].levels))
        flush(sink)
        return sum(len(layout.levels) - 1 for layout in self._layouts.values())

    def _tasks(self, level: int) -> Iterable[Task]:
        """Yield the tasks of a level that none of the level before makes along with it."""
        for number in self._images:
            levels = self._layouts[number].levels
            if level < len(levels) and not levels[level].follows:
                for block in product(*map(range, levels[level].grid)):
                    yield Task(number, level, block)

    def _job(self) -> Job:
        """Return what tasks need to know."""
        layouts, documents, codecs, names = [], [], [], []
        for number, image in enumerate(self._source.images):
            layout = self._layouts.get(number)
            first = self._source.document(number)
            of_image = [json.dumps(first).encode()]
            if layout is not None:
                version, chain = self._source.version(number), self._chains[number]
                of_image += [
                    array_document(image, layout, level, version, chain)
                    for level in range(1, len(layout.levels))
                ]
            layouts.append(layout or lay_out(image, None, None, "none"))
            documents.append(tuple(of_image))
            own = self._chains.get(number)
            codecs.append(() if own is None else tuple(own.v3_metadata()))
            names.append(self._names.get(number))
        return Job(
            self._source,
            self._settings,
            tuple(layouts),
            tuple(documents),
            self._source.version(0) is ZarrVersion.V2,
            tuple(codecs),
            tuple(names),
            self._plugins,
            "",
        )

    def _write_metadata(self, sink: Sink, number: int, levels: int) -> None:
        """Store the metadata of an image with some of its levels; those of the first stay."""
        image, layout = self._source.images[number], self._layouts[number]
        shown = dataclasses.replace(layout, levels=layout.levels[:levels])
        name = self._names[number]
        downsampler = self._methods[name] if name is not None and levels > 1 else None
        version = self._source.version(number)
        documents = image_documents(image, shown, version, self._chains[number], downsampler)
        first = f"{level_name(image, 0)}/"
        write_documents(
            sink, {name: text for name, text in documents.items() if not name.startswith(first)}
        )

    def _remove_levels(self, sink: Sink, number: int) -> None:
        """Remove the levels that the image has, and what an interrupted call left of others."""
        image = self._source.images[number]
        known = {*self._source.level_names(number)[1:]}
        known |= {level_name(image, n) for n in range(1, len(self._layouts[number].levels))}
        for name in known:
            sink.remove(name)


def _check_name(source: ZarrSource, number: int) -> None:
    """Raise if full resolution is not where level 0 is."""
    image = source.images[number]
    first = source.level_names(number)[0]
    if first != level_name(image, 0):
        raise SettingsError(
            f"full resolution of the image {image.key!r} is stored as {first!r}, not as "
            f"{level_name(image, 0)!r}; make a new store with levels by transcode(..., pyramid=)"
        )


def _without_first(layout: ImageLayout) -> ImageLayout:
    """Return a layout whose level 1 is made from what is stored."""
    levels: list[Any] = list(layout.levels)
    if len(levels) > 1:
        levels[1] = dataclasses.replace(levels[1], follows=False)
    return dataclasses.replace(layout, levels=tuple(levels))
