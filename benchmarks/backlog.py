"""A day of 1,000 phones posted at once beside live traffic: how late live visits are told meanwhile.

The phones were out of reach for 24 hours, took a fix each 30 s on the move and each five minutes at rest, and connect
in the same moment. Each posts what it has gathered, oldest first and 500 pings a request, waits for each answer, and
posts again what was not accepted. Beside them 1,000 pings a second come in live from other devices. The measure is that
of ``benchmarks latency``, of live events alone whose ping was due from the first post of the backlog on until the
tracker had acknowledged all of it (or the live traffic was over).
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.client import Connection, array_of, as_a_client_writes, request_of
from benchmarks.delays import delays_of, load_at, until_acknowledged, until_told
from benchmarks.load import DISTRICTS, build_district, side_by_side
from benchmarks.stage import Stage, stage
from schemas.ping import Ping
from simulator.day import Day
from simulator.phones import Noise

LIVE_PINGS_PER_S: Final = 1_000
LIVE_DEVICES: Final = 1_000
PHONES: Final = 1_000
HOURS: Final = 24.0
REQUEST_PINGS: Final = 500
FOLDED_WITHIN_S: Final = 300.0

_PHONE: Final = Noise(moving_interval_s=(30.0,), still_interval_s=(300.0,), offline_rate=0.0, late_phones=0.0)


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` takes a tenth of the phones."""
    figures = asyncio.run(measure(PHONES // 10, 5.0, 8.0) if quick else measure(PHONES, 15.0, 60.0))
    return {"figures": figures, "anchors": {}, "ratios": {}}


async def measure(phones: int, warm_up_s: float, for_s: float) -> dict[str, float]:
    """Start a system, let live traffic in, then the backlog, and answer with the figures."""
    load, clock_rate = load_at(LIVE_PINGS_PER_S, warm_up_s + for_s, LIVE_DEVICES)
    gathered = side_by_side(build_district(phones // DISTRICTS, HOURS, _PHONE), prefix="backlog-")
    loop = asyncio.get_running_loop()
    async with stage(load, clock_rate) as running, asyncio.TaskGroup() as tasks:
        requests = list(requests_of(gathered, running))
        before = running.cpu_times()
        live = tasks.create_task(running.post(load))
        await asyncio.sleep(warm_up_s)
        began_s = loop.time()
        backlog = Backlog(running.url, requests)
        posting = tasks.create_task(backlog.post())
        await asyncio.wait([live, posting], return_when=asyncio.FIRST_COMPLETED)
        if not live.done():
            await until_acknowledged(running.kafka, FOLDED_WITHIN_S)
        measured_s = loop.time()
        posted = await live
        cores = running.cpu_times().cores_since(before)
        posting.cancel()
        await until_told(running.kafka, running.listener, FOLDED_WITHIN_S)
    since_s, until_s = np.array([began_s, measured_s]) - posted.due_s[0]
    return {
        **delays_of(load, posted, running.listener, since_s, until_s).figures(),
        "live_pings_per_s": len(load) / posted.lasted_s,
        "longest_behind_ms": posted.longest_behind_s * 1000,
        "live_posts_refused": posted.refused,
        "backlog_pings": len(gathered.pings),
        "backlog_accepted_share": backlog.accepted / sum(map(len, requests)),
        "backlog_posts_refused": backlog.refused,
        "measured_for_s": measured_s - began_s,
        **cores,
    }


class Backlog:
    """The requests of phones that all post at once, and how many were ``accepted``, how often one was ``refused``."""

    def __init__(self, url: str, requests: Sequence[Sequence[bytes]]) -> None:
        self.accepted = 0
        self.refused = 0
        self._url = url
        self._requests = requests

    async def post(self) -> None:
        """A connection a phone."""
        await asyncio.gather(*map(self._post, self._requests))

    async def _post(self, requests: Sequence[bytes]) -> None:
        connection = Connection(self._url)
        for request in requests:
            refused = await connection.post_until_accepted(request)  # before the sum is read: others add to it
            self.refused += refused
            self.accepted += 1
        connection.close()


def requests_of(gathered: Day, running: Stage) -> Iterator[list[bytes]]:
    """By phone its requests; the newest ping is of about now."""
    later_ms = running.clock.now_ms() - int(gathered.pings.ts_ms.max())
    for pings in pings_by_device(gathered):
        items = [as_a_client_writes(ping, later_ms) for ping in pings]
        yield [
            request_of(running.system.token, array_of(items[first : first + REQUEST_PINGS]))
            for first in range(0, len(items), REQUEST_PINGS)
        ]


def pings_by_device(day: Day) -> Iterator[list[Ping]]:
    """Each device's pings by time."""
    columns = day.pings.take(np.lexsort((day.pings.ts_ms, day.pings.device)))
    # One delivery a device: that is how a day is cut into lists.
    for _, pings in replace(day, pings=replace(columns, delivered_ms=np.zeros_like(columns.ts_ms))).deliveries():
        yield pings
