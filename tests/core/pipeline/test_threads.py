"""Jobs on threads: every one is run, large ones at the same time, small ones by few threads."""

from __future__ import annotations

import threading

import pytest

from aqz_core.pipeline.failure import Failure
from aqz_core.pipeline.threads import LARGE_NBYTES, JobGroup, TaskPool

THREADS = 4


@pytest.mark.parametrize("nbytes", [0, LARGE_NBYTES // 3, LARGE_NBYTES])
@pytest.mark.parametrize("stopped_early", [True, False])
def test_every_job_is_run(nbytes, stopped_early):
    pool, group, done = TaskPool("test", THREADS, Failure()), JobGroup(), []
    for number in range(500):
        pool.submit(group, done.append, number, nbytes=nbytes)
    if stopped_early:
        pool.stop()
    group.wait(60)
    pool.stop()
    assert sorted(done) == list(range(500))


@pytest.mark.timeout(60)
def test_a_large_job_gets_a_thread_of_its_own_whatever_waits():
    pool, group = TaskPool("test", THREADS, Failure()), JobGroup()
    at_once = threading.Barrier(THREADS)
    for _ in range(THREADS):
        pool.submit(group, at_once.wait, nbytes=LARGE_NBYTES)
    group.wait(60)
    held = threading.Event()
    pool.submit(group, held.wait, 60, nbytes=1)
    pool.submit(group, int, nbytes=1)  # waits for the one that is held
    pool.submit(group, held.set, nbytes=LARGE_NBYTES)
    group.wait(60)
    pool.stop()


def test_small_jobs_wait_for_a_thread_that_runs():
    pool, group, threads = TaskPool("test", THREADS, Failure(), 2), JobGroup(), []
    running, held, large_done = threading.Semaphore(0), threading.Event(), threading.Event()

    def small():
        threads.append(threading.get_ident())
        running.release()
        held.wait(60)

    pool.submit(group, small, nbytes=1)
    assert running.acquire(timeout=60)
    for _ in range(10):
        pool.submit(group, small, nbytes=1)
    pool.submit(group, large_done.set, nbytes=LARGE_NBYTES, urgency=1)
    assert large_done.wait(60)
    held.set()
    group.wait(60)
    pool.stop()
    assert len(threads) == 11
    assert len(set(threads)) <= 2  # the one that ran the large job may go on in the other's place
