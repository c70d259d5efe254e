"""The one place where requests are repeated: a deadline for each, jittered waits, a bound on all.

Client libraries have retry loops of their own, one inside the other, which can turn a request to a
busy server into minutes of silence. They are switched off; this one replaces them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from aqz_core.errors import AqzError, SettingsError, StorageError
from aqz_core.storage.objects.faults import Fault, fault_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aqz_core.storage.objects.redaction import Redaction

__all__ = ["RetryPolicy", "error_for", "repeat"]

_log = logging.getLogger("aqz")

T = TypeVar("T")

_PASSING = ("endpoint", "region")
"""What the settings are to blame for when a store is opened, and something on the way later."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long requests may take.

    Attributes
    ----------
    total
        Seconds from the first attempt of a request to giving up.
    base, rate
        One attempt may take `base` seconds and one more for each `rate` bytes that it moves.
    first_wait, longest_wait
        Seconds to wait after the first failure, doubled each time, and their bound. The actual
        wait is chosen at random between half of that and all of it, so that requests which
        failed together do not come back together.
    opening
        Whether the store is just being opened: what the user can fix is a `SettingsError` then,
        and a `StorageError` later.
    """

    total: float = 60.0
    base: float = 10.0
    rate: float = 1e6
    first_wait: float = 0.1
    longest_wait: float = 5.0
    opening: bool = False

    def attempt_seconds(self, nbytes: int) -> float:
        """Return how long one attempt that moves `nbytes` may take."""
        return self.base + nbytes / self.rate

    def wait_seconds(self, failures: int) -> float:
        """Return how long to wait after that many failures."""
        longest: float = min(self.longest_wait, self.first_wait * 2 ** (failures - 1))
        return longest * (1 + random.random()) / 2  # jitter, nothing secret


async def repeat(
    make: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    what: str,
    where: str,
    nbytes: int = 0,
    renew: Callable[[], Awaitable[bool]] | None = None,
    redaction: Redaction | None = None,
) -> T:
    """Make a request until it succeeds or there is no point in going on.

    Parameters
    ----------
    make
        Starts one attempt.
    policy
        How long it may take.
    what, where
        For the message: what was tried, and on which store.
    nbytes
        Bytes that the request moves.
    renew
        Logs in again after expired credentials; returns whether that may help.
    redaction
        Takes secrets out of what is shown and chained.

    Raises
    ------
    StorageError, SettingsError
        With the first line of the cause in words and the cause chained.
    """
    begun = time.monotonic()
    failures = 0
    told: tuple[Fault, BaseException] | None = None
    while True:
        left = policy.total - (time.monotonic() - begun)
        wanted = policy.attempt_seconds(nbytes)
        try:
            return await asyncio.wait_for(make(), min(left, wanted))
        except AqzError:
            raise
        except Exception as error:
            cause, fault = _shown(error, redaction)
            failures += 1
            if isinstance(error, TimeoutError) and left < wanted and told is not None:
                fault, cause = told  # the last try got only what was left: that says nothing
            told = fault, cause
            wait = policy.wait_seconds(failures)
            again = fault.transient or (fault.kind in _PASSING and not policy.opening)
            if fault.kind == "expired" and renew is not None:
                again = await renew()  # whoever renews them may be a moment late
            seconds = time.monotonic() - begun
            if not again or seconds + wait >= policy.total:
                tried = f" (tried {failures} times in {seconds:.1f} s)" if failures > 1 else ""
                message = f"{what} failed on {where}: {fault.words}{tried}"
                failed = error_for(fault, message, opening=policy.opening)
                break
            _log.info("%s: %s; trying again in %.1f s", what, fault.words, wait)
            await asyncio.sleep(wait)
    raise failed from cause  # out here, where the error that was caught is not its context


def _shown(error: Exception, redaction: Redaction | None) -> tuple[BaseException, Fault]:
    """Return what is chained of an error, and what it means, without secrets."""
    fault = fault_of(error)
    if redaction is None:
        return error, fault
    return redaction.error(error), replace(fault, words=redaction.text(fault.words))


def error_for(fault: Fault, message: str, *, opening: bool) -> AqzError:
    """Return the error to raise for a fault."""
    return SettingsError(message) if fault.settings and opening else StorageError(message)
