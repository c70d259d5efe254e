"""The hooks of this plug-in: what the entry point names.

Importing this module must be cheap: it happens whenever a stream opens.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aqz_core import hookimpl

if TYPE_CHECKING:
    from aqz_core import CodecProvider, FrameProcessor, Progress, SinkProvider, StreamClosed


@hookimpl
def aqz_codecs() -> CodecProvider:
    """Offer ``PluginCompression("example.lzma")``."""
    from aqz_plugin_example.codec import PROVIDER

    return PROVIDER


@hookimpl
def aqz_sinks() -> SinkProvider:
    """Offer ``sqlite:///path/to/file.sqlite``."""
    from aqz_plugin_example.sink import PROVIDER

    return PROVIDER


@hookimpl
def aqz_frame_processors() -> FrameProcessor | None:
    """Repair the hot pixels that the environment lists; none, and every pixel stays as it is."""
    listed = os.environ.get("AQZ_EXAMPLE_HOT_PIXELS", "")
    if not listed:
        return None
    from aqz_plugin_example.processor import hot_pixels, parse_pixels

    return hot_pixels(parse_pixels(listed))


@hookimpl
def aqz_progress(event: Progress) -> None:
    """Show how the stream is doing, on a terminal or where it is wanted."""
    if os.environ.get("AQZ_EXAMPLE_DASHBOARD"):
        from aqz_plugin_example.dashboard import show_progress

        show_progress(event)


@hookimpl
def aqz_stream_closed(event: StreamClosed) -> None:
    """Show what was recorded."""
    if os.environ.get("AQZ_EXAMPLE_DASHBOARD"):
        from aqz_plugin_example.dashboard import show_closed

        show_closed(event)
