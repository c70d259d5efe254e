"""An event loop on a thread of its own, where one sink's requests run.

A client belongs to the loop that it was made in, so a sink has one loop for all of its life and
shares it with nobody: neither with a notebook's loop nor with other users of the client library.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from aqz_core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

__all__ = ["EventLoopThread"]

T = TypeVar("T")


class EventLoopThread:
    """A running event loop that other threads hand coroutines to.

    Parameters
    ----------
    name
        Of the thread.

    Raises
    ------
    StorageError
        The machine has no thread left.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self.loop.close()
            raise StorageError(
                f"no thread can be started for requests: {error}. Close other programs, or raise "
                "the number of processes that you may run (ulimit -u)."
            ) from error

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine and return at once."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for its result; it has to set its own deadlines."""
        return self.submit(coroutine).result()

    def stop(self) -> None:
        """Cancel what still runs, end the loop and the thread. Later calls do nothing."""
        if self.loop.is_closed():
            return
        self.run(_end_everything())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _work(self) -> None:
        """Run the loop until it is stopped."""
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())


async def _end_everything() -> None:
    """Cancel every other task of the loop, and drop connections that still have bytes to send.

    A connection whose other side has stopped reading would never close by itself.
    """
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    open_transports: Any = getattr(asyncio.get_running_loop(), "_transports", {})
    for transport in list(open_transports.values()):
        if transport.get_write_buffer_size() or not transport.is_closing():
            transport.abort()
    for _ in range(3):  # closing takes a few turns of the loop
        await asyncio.sleep(0)
