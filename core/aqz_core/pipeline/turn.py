"""One caller at a time, whatever becomes of a caller."""

from __future__ import annotations

import gc
import operator
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from aqz_core.errors import AqzError, StalledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["Turn"]

Token = tuple[int]
Result = TypeVar("Result")

MIN_PAUSE = 50e-6
MAX_PAUSE = 2e-3
"""Seconds between two looks of one who waits for his turn."""


class Turn(dict[int, Token]):
    """A lock that does not stay taken when its holder is interrupted before he gives it back.

    It is taken by one call into C, ``turn.setdefault(0, token) is token``, with a new `token`, the
    number of the thread in a tuple; and given back by another, ``turn.pop(0, None)``. An exception
    between the two may leave it taken. So one who waits looks whether the holder is still at it:
    **whoever takes a turn keeps it in a local variable named ``turn``** meanwhile, and a thread
    that has no such variable on its stack has left. Who finds a turn abandoned becomes the heir of
    its token; that, again, is one call into C, and heirs may be abandoned as well.
    """

    __slots__ = ("_heirs", "wanted")

    def __init__(self) -> None:
        super().__init__()
        self.wanted = False
        self._heirs: dict[int, tuple[Token, Token]] = {}

    def __enter__(self) -> None:
        """Take the turn, waiting for it."""
        me = (threading.get_ident(),)
        if self.setdefault(0, me) is not me:
            self.wait(me)

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.pop(0, None)

    def try_take(self) -> bool:
        """Take the turn if it is free; give it back by ``turn.pop(0, None)``."""
        me = (threading.get_ident(),)
        return self.setdefault(0, me) is me or self._inherit(me)

    def wait(self, me: Token, *, timeout: float | None = None, closing: int | None = None) -> None:
        """Wait until the turn is that of `me`.

        Parameters
        ----------
        me
            A new token.
        timeout
            Seconds after which to give up.
        closing
            A thread whose hold is not waited for: it waits for the caller itself.

        Raises
        ------
        StalledError
            It did not come free in time.
        AqzError
            The same thread holds it: a signal handler or a plug-in calls what it interrupts.
        """
        began, pause = time.monotonic(), MIN_PAUSE
        while self.setdefault(0, me) is not me and not self._inherit(me, closing):
            if timeout is not None and time.monotonic() - began > timeout:
                raise StalledError(
                    f"A call of another thread on the same array did not end within {timeout:g} s."
                )
            self.wanted = True
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def give_way(self, me: Token) -> None:
        """Let one who waits have the turn, then take it again."""
        self.wanted = False
        self.pop(0, None)
        time.sleep(2 * MAX_PAUSE)
        self.wait(me)

    def _inherit(self, me: Token, closing: int | None = None) -> bool:
        """Take the place of a holder who has left; return whether there is one."""
        first = holder = self.get(0)
        if first is None or holder is None:
            return False
        while (heir := self._heirs.get(id(holder))) is not None:
            holder = heir[1]
        if holder[0] != closing and self._is_held(holder[0], me[0]):
            return False
        if self.get(0) is not first:  # it was given back meanwhile
            return False
        # The holder is kept with its heir: its `id` must not be given to another token.
        return self._heirs.setdefault(id(holder), (holder, me))[1] is me

    def _is_held(self, thread: int, own: int) -> bool:
        """Return whether a thread is inside a call that takes this turn."""
        frame: FrameType | None = _uninterrupted(sys._current_frames).get(thread)
        calls = 0
        while frame is not None:
            if "turn" in frame.f_code.co_varnames:
                calls += _uninterrupted(partial(getattr, frame, "f_locals")).get("turn") is self
            frame = _uninterrupted(partial(getattr, frame, "f_back"))
        if thread == own and calls > 1:
            raise AqzError(
                "A call on this array is under way in the same thread: a signal handler or a "
                "plug-in must not record into the array that it interrupts. Raise an exception "
                "there, or close the stream."
            )
        return bool(calls) and thread != own


def _uninterrupted(call: Callable[[], Result]) -> Result:
    """Return what a call into C returns, during which no garbage is collected.

    To look at what other threads execute makes objects. That may collect garbage, whose finalizers
    let these threads run on. Up to Python 3.11, `sys._current_frames` holds a lock of the
    interpreter meanwhile: one who asks for it then waits with the interpreter's own, and the whole
    process stands still for ever; and a frame may end while its variables are read. The calls are
    made by one loop in C: nothing comes between them, and no exception interrupts them.
    """
    resume = gc.enable if gc.isenabled() else gc.isenabled
    _, found, _ = map(operator.call, (gc.disable, call, resume))
    return cast("Result", found)
