"""The door for backlogs: so many bytes a second come in, one body at a time is in work, live pings pass between.

A backlog is a body over ``BACKLOG_BYTES``, as declared or as it turns out while it is read and unpacked. One whose turn
is near waits for it unread; any other is refused unread and told when its turn is, one after another.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from fastapi import Request
from prometheus_client import Counter

from api.http.problems import Problem, unavailable
from api.ports import EventLog
from schemas.topics import LogUnavailable

BACKLOG_BYTES: Final = 64 * 1024
WAITS_S: Final = 1.0
"""A turn within this is waited for."""

LONGEST_S: Final = 60.0
"""A client is told to come back within this."""

IN_WORK: Final = 4
"""Bodies that were read: one is being decoded and appended, the others wait for it."""

_BURST_S: Final = 0.5


class Turns:
    """Bytes a second, given out in turns. Pure: it is told the time, in seconds of any clock that only goes forward.

    ``burst_bytes`` come at once after a silence. A turn is given even to more than that; the next one waits longer.
    """

    def __init__(self, bytes_per_s: float, burst_bytes: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._burst_s = burst_bytes / bytes_per_s
        self._free_s = -math.inf
        self._promised_s = -math.inf

    def take(self, size_bytes: int, now_s: float, within_s: float) -> float | None:
        """Seconds until the turn that is taken; None, and nothing taken, where that is more than ``within_s``."""
        self._free_s = max(self._free_s, now_s - self._burst_s)
        wait_s = self._free_s - now_s
        if wait_s > within_s:
            return None
        self.charge(size_bytes)
        return max(wait_s, 0.0)

    def charge(self, size_bytes: int) -> None:
        """So much more than was thought when the turn was taken."""
        self._free_s += size_bytes / self._bytes_per_s

    def promise(self, size_bytes: int, now_s: float, longest_s: float) -> float:
        """Seconds after which to ask again: each one asked for is later than the one before, by its size.

        Past ``longest_s`` they begin anew at half of it: spread still, though some come in vain.
        """
        self._promised_s = max(self._promised_s, self._free_s, now_s)
        if self._promised_s > now_s + longest_s:
            self._promised_s = now_s + longest_s / 2
        wait_s = self._promised_s - now_s
        self._promised_s += size_bytes / self._bytes_per_s
        return wait_s


class NotItsTurn(Exception):  # noqa: N818 -- not an error
    """Others' backlogs come first; ``reason`` is one of a few words, for the metrics."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        super().__init__(f"others' backlogs come first; send it again in {retry_after_s} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class Backlogs:
    """What all backlogs of one process share. ``bytes_per_s`` of 0 sets no limit; time is injected."""

    def __init__(
        self,
        bytes_per_s: float = 0.0,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._turns = Turns(bytes_per_s, bytes_per_s * _BURST_S) if bytes_per_s else None
        self._now_s = now_s
        self._sleep = sleep
        self._in_work = 0
        self._work = asyncio.Lock()

    async def take_turn(self, size_bytes: int) -> None:
        """Wait for the turn of a backlog. Raises NotItsTurn where it is not near, or too many are in work."""
        if self._turns is None:
            return
        now_s = self._now_s()
        wait_s = self._turns.take(size_bytes, now_s, WAITS_S) if self._in_work < IN_WORK else None
        if wait_s is None:
            reason = "rate" if self._in_work < IN_WORK else "work"
            promised_s = self._turns.promise(size_bytes, now_s, LONGEST_S)
            raise NotItsTurn(reason, max(1, math.ceil(promised_s)))
        if wait_s:
            await self._sleep(wait_s)

    def charge(self, size_bytes: int) -> None:
        """So much more than was thought when the turn was taken."""
        if self._turns is not None:
            self._turns.charge(size_bytes)

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """While a backlog is decoded and appended: wait until it is the only one."""
        self._in_work += 1
        try:
            async with self._work:
                yield
        finally:
            self._in_work -= 1


class Passage:
    """One body's way through the door. Small ones pass at once; of a backlog ``enter`` and ``grow`` raise Problem
    429 when it is not its turn, 503 when the log has no room.
    """

    def __init__(self, request: Request, backlogs: Backlogs, log: EventLog, refused: Counter) -> None:
        self._request = request
        self._backlogs = backlogs
        self._log = log
        self._refused = refused
        self._charged_bytes = 0

    async def enter(self, declared_bytes: int) -> None:
        """Ask before the body is read; 0 where its size is not known."""
        try:
            await self.grow(declared_bytes)
        except Problem as refusal:
            if self._request.headers.get("expect", "").lower() == "100-continue":
                # The body may follow or not; what comes next on this connection could not be told from it.
                refusal.headers["Connection"] = "close"
            raise

    async def grow(self, size_bytes: int) -> None:
        """Ask again while the body is read and unpacked, for so much so far."""
        if size_bytes <= max(self._charged_bytes, BACKLOG_BYTES):
            return
        if self._charged_bytes:
            self._backlogs.charge(size_bytes - self._charged_bytes)
        else:
            await self._take_turn(size_bytes)
        self._charged_bytes = size_bytes

    def work(self) -> contextlib.AbstractAsyncContextManager[None]:
        """While the body is decoded and appended."""
        return self._backlogs.work() if self._charged_bytes else contextlib.nullcontext()

    async def _take_turn(self, size_bytes: int) -> None:
        try:
            self._log.ensure_room()
            await self._backlogs.take_turn(size_bytes)
        except LogUnavailable as error:
            self._refused.labels("log").inc()
            raise unavailable(str(error)) from error
        except NotItsTurn as error:
            self._refused.labels(error.reason).inc()
            headers = {"Retry-After": str(error.retry_after_s)}
            raise Problem(429, "not_its_turn", str(error), headers) from error
