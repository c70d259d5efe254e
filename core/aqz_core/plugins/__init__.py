"""Hooks: where plug-ins take part in a recording.

May import storage and everything below it.

`hookspecs` says what can be implemented, `records` what is handed over,
`create_plugin_manager` gathers the plug-ins of a stream into `Hooks`, and
`frames` chains frame processors. The built-in codecs, sinks and downsamplers
come the same way as anyone else's.
"""

from __future__ import annotations

from aqz_core.codecs.base import CodecProvider
from aqz_core.plugins.discovery import DISABLE_VARIABLE
from aqz_core.plugins.frames import FrameSteps, frame_function
from aqz_core.plugins.hookspecs import OBSERVER_HOOKS, PROVIDER_HOOKS, hookimpl, hookspec
from aqz_core.plugins.manager import RESERVED_METADATA, Hooks, Observer, create_plugin_manager
from aqz_core.plugins.records import FrameFunction, FrameProcessor, FrameSpec
from aqz_core.storage.sink import SinkProvider

__all__ = [
    "DISABLE_VARIABLE",
    "OBSERVER_HOOKS",
    "PROVIDER_HOOKS",
    "RESERVED_METADATA",
    "CodecProvider",
    "FrameFunction",
    "FrameProcessor",
    "FrameSpec",
    "FrameSteps",
    "Hooks",
    "Observer",
    "SinkProvider",
    "create_plugin_manager",
    "frame_function",
    "hookimpl",
    "hookspec",
]
