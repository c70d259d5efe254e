"""Memory for pixels: reused, bounded, and no wait without an end."""

from __future__ import annotations

import threading

import pytest

from aqz_core.errors import AqzError, MemoryBudgetError, StalledError
from aqz_core.pipeline.buffers import SlabPool
from aqz_core.pipeline.failure import Failure
from aqz_core.pipeline.threads import JobGroup, TaskPool
from aqz_core.planning.memory import size_class

PAGE = 4096


def pool(capacity=4 * PAGE, failure=None, stall_timeout=30.0):
    failure = Failure() if failure is None else failure
    return SlabPool(capacity, failure, stall_timeout)


def test_a_released_slab_is_used_again():
    slabs = pool()
    (first,) = slabs.acquire([PAGE])
    slabs.hand_over(first, readers=2)
    slabs.release(first)
    assert slabs.in_use == PAGE  # one reader is left
    slabs.release(first)
    assert slabs.in_use == 0
    assert slabs.acquire([100])[0] is first
    assert slabs.peak == PAGE


def test_slabs_are_aligned_for_direct_writes():
    for slab in pool(1 << 24).acquire([1, PAGE + 1, 1 << 20]):
        assert slab.memory.ctypes.data % PAGE == 0
        assert slab.nbytes % PAGE == 0


def test_the_next_caller_waits_until_memory_comes_free():
    slabs = pool()
    held = slabs.acquire([3 * PAGE])[0]
    slabs.hand_over(held, readers=1)
    releasing = threading.Timer(0.01, slabs.release, [held])
    releasing.start()
    assert slabs.acquire([2 * PAGE])[0].nbytes == 2 * PAGE
    releasing.join()
    assert slabs.nbytes <= slabs.capacity


def test_memory_that_nothing_in_flight_can_free_is_an_error():
    slabs = pool()
    slabs.acquire([3 * PAGE])
    with pytest.raises(MemoryBudgetError, match="max_memory"):
        slabs.acquire([2 * PAGE])


def test_relief_is_asked_for_before_that():
    slabs = pool()
    held = slabs.acquire([3 * PAGE])

    def relieve():
        slabs.hand_over(held[0], readers=1)
        slabs.release(held.pop())
        return True

    assert slabs.acquire([2 * PAGE], relieve=relieve)
    assert not held


def test_a_store_that_never_answers_ends_the_wait():
    slabs = pool(stall_timeout=0.01)
    slabs.hand_over(slabs.acquire([4 * PAGE])[0], readers=1)
    with pytest.raises(StalledError, match="stall_timeout"):
        slabs.acquire([PAGE])


def test_a_failure_ends_the_wait():
    failure = Failure()
    slabs = pool(failure=failure)
    slabs.hand_over(slabs.acquire([4 * PAGE])[0], readers=1)
    failing = threading.Timer(0.01, failure.set, [AqzError("the disk is gone")])
    failing.start()
    with pytest.raises(AqzError, match="the disk is gone"):
        slabs.acquire([PAGE])
    failing.join()


def test_slabs_of_another_size_make_room():
    slabs = pool()
    for slab in slabs.acquire([PAGE] * 4):
        slabs.hand_over(slab, readers=1)
        slabs.release(slab)
    assert slabs.nbytes == 4 * PAGE
    slabs.acquire([3 * PAGE])
    assert slabs.nbytes <= slabs.capacity


@pytest.mark.parametrize("nbytes", [1, 1 << 14, 100_000, 3 << 20, (16 << 20) + 1])
def test_size_classes_are_few_and_close(nbytes):
    assert nbytes <= size_class(nbytes) <= max(1 << 14, nbytes * 9 // 8 + PAGE)


def test_urgent_jobs_go_first_and_an_error_is_kept():
    failure = Failure()
    tasks = TaskPool("test", 1, failure, urgencies=2)
    group, order, gate = JobGroup(), [], threading.Event()
    tasks.submit(group, gate.wait)
    for number in range(3):
        tasks.submit(group, order.append, number)
    tasks.submit(group, order.append, "urgent", urgency=1)
    tasks.submit(group, [].pop)
    gate.set()
    group.wait(30)
    tasks.stop()
    assert order == ["urgent", 0, 1, 2]
    assert isinstance(failure.error, IndexError)


def test_waiting_for_jobs_that_never_end_is_an_error():
    gate, group = threading.Event(), JobGroup()
    tasks = TaskPool("test", 1, Failure())
    tasks.submit(group, gate.wait)
    with pytest.raises(StalledError, match="1 jobs did not finish"):
        group.wait(0.01)
    gate.set()
    group.wait(30)
    tasks.stop()
