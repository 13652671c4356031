"""What was erased of whom, followed by a part that keeps fixes or visits; and its word that it has forgotten them."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

from dispatch.erased import ErasedSpans
from schemas.erasure import Erasure, Honoured, HonouredBy, StepName
from schemas.settings import Settings
from schemas.topics import ERASURES, ERASURES_HONOURED
from schemas.wire import decode, encode
from stream.kafka import Follower, KafkaLog

_BEFORE_TRACKS: Final[StepName] = "registers"
"""Once this is done the tracks may go: the jobs do not follow from them any more."""


class Erasures:
    """``spans`` are all that was ever erased. ``news`` is set when there may be something to forget."""

    def __init__(self, settings: Settings, part: HonouredBy | None = None) -> None:
        self.spans = ErasedSpans()
        self.news = asyncio.Event()
        self._part = part
        self._told: set[str] = set()
        self._compactions = 0
        self._follower = Follower(settings.kafka, ERASURES, partial(decode, Erasure), self._changed)

    async def start(self) -> None:
        """Read all of them."""
        await self._follower.start()
        await self._follower.caught_up()

    async def stop(self) -> None:
        """Follow no longer."""
        await self._follower.stop()

    def due(self, partitions: Iterable[int]) -> list[Honoured]:
        """What is to be said of these partitions, once what ``spans`` cover is forgotten there."""
        if self._part is None:
            return []
        under_way = [
            erasure_id
            for erasure_id, erasure in self._follower.records.items()
            if _BEFORE_TRACKS in erasure.done and "tracks" not in erasure.done
        ]
        words = [Honoured(each, self._part, number) for each in under_way for number in partitions]
        return [word for word in words if word.key not in self._told]

    def take_nudge(self) -> bool:
        """Whether the broker is to be brought to compact since this was asked: it does where something is written."""
        compactions = sum(erasure.compactions for erasure in self._follower.records.values())
        before, self._compactions = self._compactions, compactions
        return compactions > before

    async def tell(self, log: KafkaLog, honoured: Iterable[Honoured]) -> None:
        """Say it."""
        words = list(honoured)
        await log.append_patiently(ERASURES_HONOURED, [(word.key, encode(word)) for word in words])
        self._told |= {word.key for word in words}

    def _changed(self, erasure_id: str, erasure: Erasure | None) -> None:
        self.spans.changed(erasure_id, erasure)
        self.news.set()
