"""Where tasks run: threads of this process, processes of this machine, or a cluster of Dask.

All three take groups of tasks, hold only so many at once, and give back what is done as it is.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from aqz_core.dataset.lazy import imported
from aqz_core.errors import SettingsError, StorageError
from aqz_core.planning.stream import processor_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aqz_core.transcoding.job import Job, StoredFile, Task

__all__ = ["Executor", "executor_for"]

_AHEAD = 4
"""Groups that wait for each worker, so that none waits for the client."""

_PATIENCE = 30
"""Seconds in which a cluster must have a scheduler and a worker."""

_LOOK = 0.05
"""Seconds between two looks at what a cluster has done."""

_RETRIES = 3
"""How often a group that failed on a cluster is tried again, perhaps by another worker."""


class Executor(Protocol):
    """Runs tasks.

    Attributes
    ----------
    workers
        Tasks at the same time.
    """

    workers: int

    def run(
        self, job: Job, groups: Iterable[Sequence[Task]]
    ) -> Iterator[list[tuple[Task, list[StoredFile]]]]:
        """Yield what is done, group by group, in any order."""


@contextlib.contextmanager
def executor_for(
    threads: int | None, workers: int | None, scheduler: str | None
) -> Iterator[Executor]:
    """Return what runs tasks, until the context ends.

    Parameters
    ----------
    threads
        Of this process; as many as it may use processors if nothing else is asked for.
    workers
        Processes of this machine, each running one task at a time.
    scheduler
        Address of a Dask scheduler.

    Raises
    ------
    SettingsError
        More than one of them is given, or none of something.
    """
    given = {"threads": threads, "workers": workers, "scheduler": scheduler}
    asked = {name: value for name, value in given.items() if value is not None}
    if len(asked) > 1:
        raise SettingsError(f"{' and '.join(asked)} exclude each other; give one of them")
    for name, value in asked.items():
        if value in (0, "") or (isinstance(value, int) and value < 0):
            raise SettingsError(f"{name} is {value!r}; give at least 1, or leave it out")
    if workers is None and scheduler is None:
        yield _Threads(threads or processor_count())
        return
    distributed = imported("distributed", "distributed")
    with contextlib.ExitStack() as ending:
        if scheduler is None:
            cluster = ending.enter_context(
                distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
                )
            )
            client = ending.enter_context(distributed.Client(cluster))
            client.wait_for_workers(workers)
        else:
            client = ending.enter_context(_connected(distributed, scheduler))
        yield _Cluster(client, distributed)


def _connected(distributed: Any, scheduler: str) -> Any:
    """Return a client of a scheduler that has workers.

    Raises
    ------
    SettingsError
        It does not answer, or has none.
    """
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"no Dask scheduler answers at {scheduler!r} ({error}); start one with `dask scheduler`"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        client.close()
        raise SettingsError(
            f"the Dask scheduler at {scheduler!r} has no workers after {_PATIENCE} s; start some "
            f"with `dask worker {scheduler}`"
        ) from error
    return client


class _Threads:
    """Threads of this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(
        self, job: Job, groups: Iterable[Sequence[Task]]
    ) -> Iterator[list[tuple[Task, list[StoredFile]]]]:
        """Yield what is done."""
        waiting = iter(groups)
        with ThreadPoolExecutor(self.workers, "aqz-transcode") as pool:
            running: set[Future[Any]] = set()
            try:
                while True:
                    room = _AHEAD * self.workers - len(running)
                    running |= {pool.submit(job.run, group) for group in islice(waiting, room)}
                    if not running:
                        return
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
            finally:
                for future in running:
                    future.cancel()


class _Cluster:
    """Workers of Dask."""

    def __init__(self, client: Any, distributed: Any) -> None:
        self._client = client
        self._distributed = distributed
        workers = client.scheduler_info(n_workers=-1)["workers"]
        self.workers = max(1, sum(one["nthreads"] for one in workers.values()))

    def run(
        self, job: Job, groups: Iterable[Sequence[Task]]
    ) -> Iterator[list[tuple[Task, list[StoredFile]]]]:
        """Yield what is done; a group whose worker was lost runs on another one."""
        waiting = iter(groups)
        results = self._distributed.as_completed(with_results=True)
        running = 0
        try:
            while True:
                for group in islice(waiting, max(0, _AHEAD * self.workers - running)):
                    results.add(self._client.submit(job.run, group, pure=False, retries=_RETRIES))
                    running += 1
                if not running:
                    return
                for _, done in self._next_batch(results):
                    if isinstance(done, CancelledError):  # what Dask gives without a scheduler
                        raise done
                    running -= 1
                    yield done
        except (
            self._distributed.KilledWorker,
            self._distributed.comm.CommClosedError,
            CancelledError,
            TimeoutError,
        ) as error:
            raise StorageError(
                f"the cluster lost its workers ({error}); what is stored stays, and the same call "
                "makes the rest. If they were out of memory, give them more or take smaller shards"
            ) from error

    def _next_batch(self, results: Any) -> Any:
        """Return what is done, once something is; a `TimeoutError` if nobody is there to do it."""
        last_seen = looked = time.monotonic()
        while not (batch := results.next_batch(block=False)):
            time.sleep(_LOOK)
            now = time.monotonic()
            if now - looked < 1:
                continue
            looked = now
            if self._client.scheduler_info(n_workers=-1)["workers"]:
                last_seen = now
            elif now - last_seen > _PATIENCE:
                raise TimeoutError(f"none was there for {_PATIENCE} s")
        return batch
