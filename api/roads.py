"""Ways by road for requests: a provider that is asked in threads, and never waited for longer than it pays."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import structlog

from routing.matrix import matrix_of, ways_to_ask
from routing.provider import Floats, Provider, Ways
from routing.straight_line import NAME as STRAIGHT_LINE

AT_ONCE: Final = 4
"""Requests that are looking for ways."""

PATIENCE_S: Final = 1.0
MATRIX_PATIENCE_S: Final = 15.0
"""So long a request waits for its ways, and a plan for all of its own, before the straight line has to do."""

LOOK_AGAIN_S: Final = 10.0
"""So often one looks whether a map has come, or whether a provider that has failed is there again."""

log = structlog.get_logger()


class Roads:
    """A ``provider`` of travel times, or none: then nobody is asked, and nothing is waited for.

    One that knows no roads yet is left to open its map in the background.
    """

    def __init__(
        self, provider: Provider | None = None, patience_s: float = PATIENCE_S, look_again_s: float = LOOK_AGAIN_S
    ) -> None:
        self._provider = provider
        self._patience_s = patience_s
        self._look_again_s = look_again_s
        self._threads = ThreadPoolExecutor(AT_ONCE, "roads")
        self._not_before_s = 0.0

    def are_known(self) -> bool:
        """Whether it pays to ask."""
        now_s = time.monotonic()
        if self._provider is None or now_s < self._not_before_s:
            return False
        if self._provider.name != STRAIGHT_LINE:
            return True
        self._not_before_s = now_s + self._look_again_s
        self._threads.submit(self._provider.ways, *[np.zeros(1)] * 4)
        return False

    async def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways | None:
        """As ``Provider`` has it; None where they are not to be had."""
        return await self._ask((lat, lon, to_lat, to_lon), self._patience_s)

    async def matrix(self, lat: Floats, lon: Floats) -> Floats | None:
        """As ``routing.matrix.matrix_of``; None where ways are not to be had."""
        if len(lat) < 2 or not self.are_known():
            return None
        start, end = await asyncio.to_thread(ways_to_ask, lat, lon)
        ways = await self._ask((lat[start], lon[start], lat[end], lon[end]), MATRIX_PATIENCE_S)
        return None if ways is None else await asyncio.to_thread(matrix_of, ways, start, end, lat, lon)

    async def _ask(self, places: tuple[Floats, Floats, Floats, Floats], patience_s: float) -> Ways | None:
        if self._provider is None or not self.are_known():
            return None
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._provider.ways, *places)
        try:
            return await asyncio.wait_for(asked, patience_s)
        except (TimeoutError, RuntimeError, OSError) as error:
            log.warning("no ways by road, the straight line stands in", reason=str(error) or "they take too long")
            self._not_before_s = time.monotonic() + self._look_again_s
            return None

    def close(self) -> None:
        """Ask nobody any more; the provider is its owner's."""
        self._threads.shutdown(wait=False, cancel_futures=True)
