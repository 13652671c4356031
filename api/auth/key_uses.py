"""When each key was last used: noted in memory, told to the log once a minute.

On a topic of its own, so that no late word of a use ever stands in the place of a revocation.
"""

import asyncio
from typing import Final

import structlog

from api.background import Background
from api.ports import EventLog
from schemas import wire
from schemas.key import KeyUse
from schemas.times import Instant
from schemas.topics import KEYS_USED, LogUnavailable

EVERY_S: Final = 60.0
_SLICE: Final = 500

log = structlog.get_logger()


class KeyUses:
    """The uses that one process has seen."""

    def __init__(self) -> None:
        self._untold: dict[str, Instant] = {}

    def note(self, key_id: str, now_ms: Instant) -> None:
        """A key was used."""
        self._untold[key_id] = now_ms

    async def tell(self, event_log: EventLog) -> None:
        """Append what was noted since the last time; while the log is away it is kept."""
        told, self._untold = self._untold, {}
        uses = [KeyUse(key_id, used_at) for key_id, used_at in told.items()]
        try:
            for first in range(0, len(uses), _SLICE):
                records = [(use.key_id, wire.encode(use)) for use in uses[first : first + _SLICE]]
                await event_log.append(KEYS_USED, records)
        except LogUnavailable as error:
            self._untold = told | self._untold
            log.warning("last use of keys not told", keys=len(told), reason=str(error))


class KeyUseTeller(Background):
    """Tells them regularly, and when it is stopped."""

    def __init__(self, uses: KeyUses, event_log: EventLog) -> None:
        self._uses = uses
        self._log = event_log

    async def stop(self) -> None:
        """Tell what is left."""
        await super().stop()
        await self._uses.tell(self._log)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._uses.tell(self._log)
