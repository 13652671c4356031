"""A load posted to a running system at the pace of its clock, and when each request went out and was accepted.

Ten times a second of the machine's time every lane posts, in one request, what has become due of its devices; the lanes
take turns. A device belongs to one lane, whose requests follow each other, so its pings keep their order. The pace is
the clock's and not the server's: a request that is answered late makes the lane's next ones late, and how late is told.
What a late device uploads all at once is cut into requests too small to count as a backlog, which would wait its turn.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.client import Connection, array_of, as_a_client_writes, request_of
from benchmarks.load import Load
from schemas.clock import Clock

LANES: Final = 8
SLOT_S: Final = 0.1
REQUEST_PINGS: Final = 250
GIVE_UP_AFTER_S: Final = 30.0
LEAD_S: Final = 0.5
"""From the decision to start until the first request is due."""


@dataclass(frozen=True, eq=False)
class Posted:
    """What became of a load: by request the moments on the event loop's clock, NaN where it did not come to that.

    ``request`` int64[n] is that of each of the load's pings; ``later_ms`` how much later than in the load they are.
    """

    request: npt.NDArray[np.int64]
    due_s: npt.NDArray[np.float64]
    sent_s: npt.NDArray[np.float64]
    accepted_s: npt.NDArray[np.float64]
    later_ms: int
    refused: int
    """Posts that had to be repeated; the first one is when it was sent."""

    @property
    def longest_behind_s(self) -> float:
        """How late a request went out at the most."""
        return float(np.nanmax(self.sent_s - self.due_s))

    @property
    def lasted_s(self) -> float:
        """From when the first request was due until the last was accepted."""
        return float(np.nanmax(self.accepted_s) - self.due_s[0])


async def post(load: Load, clock: Clock, url: str, token: str) -> Posted:
    """Post all of it, but for what is still refused some time after all was due.

    Raises NotAccepted when the server refuses for good.
    """
    loop = asyncio.get_running_loop()
    start_ms, columns = load.day.spec.start_ms, load.day.pings
    slot = (columns.delivered_ms - start_ms) // round(SLOT_S * clock.rate * 1000)
    request = slot * LANES + columns.device % LANES
    rows_of = _groups(request, (int(slot[-1]) + 1) * LANES)
    pings = list(load.pings())
    later_ms = clock.now_ms() + round(LEAD_S * clock.rate * 1000) - start_ms
    due_s = loop.time() + LEAD_S + SLOT_S * (1.0 + np.arange(len(rows_of)) / LANES)
    unknown_s = np.full(len(rows_of), np.nan, np.float64)
    sent_s, accepted_s, refused = unknown_s, unknown_s.copy(), [0] * LANES

    async def keep_posting(lane: int) -> None:
        connection = Connection(url)
        for number in range(lane, len(rows_of), LANES):
            if len(rows_of[number]):
                await asyncio.sleep(due_s[number] - loop.time())
                items = [as_a_client_writes(pings[row], later_ms) for row in rows_of[number].tolist()]
                sent_s[number] = loop.time()
                for first in range(0, len(items), REQUEST_PINGS):
                    request = request_of(token, array_of(items[first : first + REQUEST_PINGS]))
                    refused[lane] += await connection.post_until_accepted(request)
                accepted_s[number] = loop.time()
        connection.close()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(due_s[-1] + GIVE_UP_AFTER_S), asyncio.TaskGroup() as lanes:
            for lane in range(LANES):
                lanes.create_task(keep_posting(lane))
    return Posted(request, due_s, sent_s, accepted_s, later_ms, sum(refused))


def _groups(group: npt.NDArray[np.int64], count: int) -> list[npt.NDArray[np.intp]]:
    """The rows of each of ``count`` groups, in order."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, count)))
