"""Revisions on their way to ``onsite.visits``, while further frames are folded."""

import asyncio
from collections.abc import Sequence
from typing import Final

from schemas.topics import VISITS
from schemas.visit import Visit
from schemas.wire import encode
from stream.kafka import KafkaLog

MOST_WAITING: Final = 20_000
"""Revisions that wait for the broker; beyond, ``room`` waits too."""


class Publisher:
    """Appends revisions in their order; what comes while some are on their way goes together, after them."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log
        self._waiting: list[Visit] = []
        self._taken = 0
        self._confirmed = 0
        self._sending: asyncio.Task[None] | None = None

    def publish(self, visits: Sequence[Visit]) -> None:
        """Send these too, and go on. Raises what made earlier ones fail for good."""
        self._waiting += visits
        self._taken += len(visits)
        if self._sending is None:
            self._send_waiting()
        elif self._sending.done():
            self._sending.result()

    async def room(self) -> None:
        """Wait while too many wait already."""
        if len(self._waiting) >= MOST_WAITING:
            await self.published()

    async def published(self) -> None:
        """Wait until the broker has all that there are by now. Raises what made one fail for good."""
        taken = self._taken
        while self._confirmed < taken and self._sending is not None:
            await asyncio.shield(self._sending)

    def _send_waiting(self) -> None:
        self._sending = asyncio.create_task(self._send()) if self._waiting else None

    async def _send(self) -> None:
        visits, self._waiting = self._waiting, []
        await self._log.append_patiently(VISITS, [(visit.device_id, encode(visit)) for visit in visits])
        self._confirmed += len(visits)
        self._send_waiting()
