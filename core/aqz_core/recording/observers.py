"""Notifying observers, without ever making the recording wait.

Events go through a queue to one daemon thread, which calls the observers in
order. Of progress only the newest waits in the queue; every other event is
kept until it was delivered. An observer that raises is logged once and does not
disturb the others or the stream; one that hangs delays only those behind it,
and `close` gives up on it after a deadline, which the log then says.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from aqz_core.events import (
    Event,
    Progress,
    ShardWritten,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    StreamSpilled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.plugins.manager import Hooks, Observer

__all__ = ["HOOK_OF_EVENT", "EventDispatcher"]

HOOK_OF_EVENT: Mapping[type[Event], str] = {
    StreamOpened: "aqz_stream_opened",
    Progress: "aqz_progress",
    ShardWritten: "aqz_shard_written",
    StreamSpilled: "aqz_stream_spilled",
    StreamClosed: "aqz_stream_closed",
    StreamFailed: "aqz_stream_failed",
}

_PROGRESS_KEY = -1

_log = logging.getLogger("aqz")


class EventDispatcher:
    """Calls the observers of a stream on a thread of its own.

    The thread exists only where somebody observes.

    Parameters
    ----------
    hooks : Hooks
        Whose observers to tell; resolved here, once.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._observers: dict[type[Event], tuple[tuple[str, Observer], ...]] = {
            kind: observers
            for kind, hook_name in HOOK_OF_EVENT.items()
            if (observers := _described(hooks, hook_name))
        }
        self._waiting: OrderedDict[int, Event] = OrderedDict()  # progress under one key
        self._published = 0
        self._changed = threading.Condition()
        self._closing = False
        self._abandoned = False
        self._calling: tuple[str, str] | None = None  # plug-in and hook, while it is called
        self._failures: Counter[tuple[str, str]] = Counter()
        self._thread: threading.Thread | None = None
        if self._observers:
            self._thread = threading.Thread(target=self._run, name="aqz-observers", daemon=True)
            self._thread.start()

    def observes(self, kind: type[Event]) -> bool:
        """Return whether events of `kind` reach anyone; if not, none need be made."""
        return kind in self._observers

    def publish(self, event: Event) -> None:
        """Queue `event` for its observers; never waits, does nothing once closed.

        Parameters
        ----------
        event : Event
            A `Progress` takes the place of one that still waits.
        """
        if type(event) not in self._observers:
            return
        with self._changed:
            if self._closing:
                return
            if isinstance(event, Progress):
                self._waiting.pop(_PROGRESS_KEY, None)
                self._waiting[_PROGRESS_KEY] = event
            else:
                self._waiting[self._published] = event
                self._published += 1
            self._changed.notify()

    def close(self, timeout: float = 5.0) -> bool:
        """Wait until every queued event is told, `timeout` seconds at most.

        Called by an observer itself, it does not wait. Calling it again is harmless.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        bool
            Whether everything was told. If not, the log names the observer that is
            stuck, and the events behind it are given up.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is None:
            return True
        if self._thread is threading.current_thread():
            return not self._waiting
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return not self._waiting
        self._abandon(timeout)
        return False

    def _abandon(self, timeout: float) -> None:
        """Give up what still waits, and say because of whom."""
        with self._changed:
            if self._abandoned:
                return
            self._abandoned = True
            plugin, hook_name = self._calling or ("unknown", "unknown")
            _log.warning(
                "observer %s of plug-in %s is still busy %g s after close; "
                "%d events behind it are not delivered",
                hook_name,
                plugin,
                timeout,
                len(self._waiting),
            )

    def _run(self) -> None:
        """Tell events until the dispatcher is closed and nothing waits, or it is given up."""
        while (event := self._next()) is not None:
            hook_name = HOOK_OF_EVENT[type(event)]
            for plugin, observer in self._observers[type(event)]:
                self._calling = (plugin, hook_name)
                self._tell(plugin, hook_name, observer, event)
                self._calling = None
                if self._abandoned:
                    return
        for (plugin, hook_name), count in self._failures.items():
            if count > 1:
                _log.error("observer %s of plug-in %s failed %d times", hook_name, plugin, count)

    def _next(self) -> Event | None:
        """Wait for an event; None when there will be no more."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            if not self._waiting or self._abandoned:
                return None
            return self._waiting.popitem(last=False)[1]

    def _tell(self, plugin: str, hook_name: str, observer: Observer, event: Event) -> None:
        """Call one observer; log its first error."""
        try:
            observer(event)
        except (Exception, SystemExit):  # an observer that exits must not end the others
            self._failures[plugin, hook_name] += 1
            if self._failures[plugin, hook_name] == 1:
                _log.exception(
                    "observer %s of plug-in %s failed; the recording goes on, "
                    "further failures of it are counted",
                    hook_name,
                    plugin,
                )


def _described(hooks: Hooks, hook_name: str) -> tuple[tuple[str, Observer], ...]:
    """Return the observers of a hook, each with the name and origin of its plug-in."""
    return tuple((hooks.described(name), observer) for name, observer in hooks.observers(hook_name))
