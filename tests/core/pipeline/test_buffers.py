"""Memory for pixels: reused, bounded, and no wait without an end."""

from __future__ import annotations

import threading

import pytest

from aqz_core.errors import AqzError, MemoryBudgetError, StalledError
from aqz_core.pipeline.buffers import BufferPool
from aqz_core.pipeline.failure import Failure
from aqz_core.pipeline.threads import JobGroup, TaskPool
from aqz_core.planning.memory import size_class

PAGE = 4096


def pool(capacity=4 * PAGE, failure=None, stall_timeout=30.0):
    failure = Failure() if failure is None else failure
    return BufferPool(capacity, failure, stall_timeout)


def test_a_released_buffer_is_used_again():
    buffers = pool()
    (first,) = buffers.acquire([PAGE])
    buffers.hand_over(first, readers=2)
    buffers.release(first)
    assert buffers.in_use == PAGE  # one reader is left
    buffers.release(first)
    assert buffers.in_use == 0
    assert buffers.acquire([100])[0] is first
    assert buffers.peak == PAGE


def test_buffers_are_aligned_for_direct_writes():
    for buffer in pool(1 << 24).acquire([1, PAGE + 1, 1 << 20]):
        assert buffer.memory.ctypes.data % PAGE == 0
        assert buffer.nbytes % PAGE == 0


def test_the_next_caller_waits_until_memory_comes_free():
    buffers = pool()
    held = buffers.acquire([3 * PAGE])[0]
    buffers.hand_over(held, readers=1)
    releasing = threading.Timer(0.01, buffers.release, [held])
    releasing.start()
    assert buffers.acquire([2 * PAGE])[0].nbytes == 2 * PAGE
    releasing.join()
    assert buffers.nbytes <= buffers.capacity


def test_memory_that_nothing_in_flight_can_free_is_an_error():
    buffers = pool()
    buffers.acquire([3 * PAGE])
    with pytest.raises(MemoryBudgetError, match="max_memory"):
        buffers.acquire([2 * PAGE])


def test_relief_is_asked_for_before_that():
    buffers = pool()
    held = buffers.acquire([3 * PAGE])

    def relieve():
        buffers.hand_over(held[0], readers=1)
        buffers.release(held.pop())
        return True

    assert buffers.acquire([2 * PAGE], relieve=relieve)
    assert not held


def test_a_store_that_never_answers_ends_the_wait():
    buffers = pool(stall_timeout=0.01)
    buffers.hand_over(buffers.acquire([4 * PAGE])[0], readers=1)
    with pytest.raises(StalledError, match="stall_timeout"):
        buffers.acquire([PAGE])


def test_a_failure_ends_the_wait():
    failure = Failure()
    buffers = pool(failure=failure)
    buffers.hand_over(buffers.acquire([4 * PAGE])[0], readers=1)
    failing = threading.Timer(0.01, failure.set, [AqzError("the disk is gone")])
    failing.start()
    with pytest.raises(AqzError, match="the disk is gone"):
        buffers.acquire([PAGE])
    failing.join()


def test_buffers_of_another_size_make_room():
    buffers = pool()
    for buffer in buffers.acquire([PAGE] * 4):
        buffers.hand_over(buffer, readers=1)
        buffers.release(buffer)
    assert buffers.nbytes == 4 * PAGE
    buffers.acquire([3 * PAGE])
    assert buffers.nbytes <= buffers.capacity


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
