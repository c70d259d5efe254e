"""The hooks of aqz: every place where a plug-in can take part.

An implementation is a function of the same name marked with
``@aqz_core.hookimpl``; it may take any subset of the arguments. Provider hooks
return one record, several, or None, and are called when a stream opens.
Observer hooks are notified of one event each, on a thread of their own, and what
they return is ignored. None is called per frame or per chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_core.codecs.base import CodecProvider
    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.events import (
        Progress,
        ShardWritten,
        StreamClosed,
        StreamFailed,
        StreamOpened,
        StreamSpilled,
    )
    from aqz_core.plugins.records import FrameProcessor
    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.sink import SinkProvider

__all__ = ["OBSERVER_HOOKS", "PROJECT", "PROVIDER_HOOKS", "hookimpl", "hookspec"]

PROJECT = "aqz"
"""Name of the pluggy project, of the entry-point group, and prefix of the hooks."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def aqz_codecs() -> Iterable[CodecProvider] | None:
    """Offer codecs. A name that is already taken is an error. Added in hook API 1."""


@hookspec
def aqz_sinks() -> Iterable[SinkProvider] | None:
    """Offer places to write to, by URL scheme. A scheme that is taken is an error.

    Added in hook API 1.
    """


@hookspec
def aqz_frame_processors(settings: StreamSettings) -> Iterable[FrameProcessor] | None:
    """Offer steps on each frame of the stream that `settings` describe.

    Added in hook API 1.
    """


@hookspec
def aqz_downsamplers() -> Iterable[Downsampler] | None:
    """Offer ways to halve an image for the pyramid. Added in hook API 1."""


@hookspec
def aqz_metadata(settings: StreamSettings) -> Mapping[str, Any] | None:
    """Offer attributes for the root group of the store.

    Names are the plug-in's own: one that another plug-in uses is an error, and so are
    ``ome`` and ``aqz``. Values must be JSON. Added in hook API 1.
    """


@hookspec
def aqz_stream_opened(event: StreamOpened) -> None:
    """Note that a stream takes frames. Added in hook API 1."""


@hookspec
def aqz_progress(event: Progress) -> None:
    """Note how a stream is doing, ten times a second at most.

    An observer that is slow gets the newest event and misses those between.
    Added in hook API 1.
    """


@hookspec
def aqz_shard_written(event: ShardWritten) -> None:
    """Note that a shard is complete. Added in hook API 1."""


@hookspec
def aqz_stream_spilled(event: StreamSpilled) -> None:
    """Note that an object store failed and a local folder took over. Added in hook API 1."""


@hookspec
def aqz_stream_closed(event: StreamClosed) -> None:
    """Note that a store is finished, and what is in it. Added in hook API 1."""


@hookspec
def aqz_stream_failed(event: StreamFailed) -> None:
    """Note that a stream ended by an error. Added in hook API 1."""


PROVIDER_HOOKS = (
    "aqz_codecs",
    "aqz_sinks",
    "aqz_frame_processors",
    "aqz_downsamplers",
    "aqz_metadata",
)
OBSERVER_HOOKS = (
    "aqz_stream_opened",
    "aqz_progress",
    "aqz_shard_written",
    "aqz_stream_spilled",
    "aqz_stream_closed",
    "aqz_stream_failed",
)
