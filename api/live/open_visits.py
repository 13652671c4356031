"""The visits that are open or confirmed, in memory: those of the store, then every revision that is told."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from api.ports import History, StoreUnavailable, VisitQuery
from dispatch.erased import ErasedSpans
from schemas.visit import Visit, VisitState

UNDER_WAY: Final[tuple[VisitState, ...]] = ("open", "confirmed")
_PAGE: Final = 10_000
_ASK_AGAIN_S: Final = 1.0

log = structlog.get_logger()


class OpenVisits:
    """``records`` holds the newest revision by visit id. ``on_change(visit)`` is called with each revision told.

    Fed by ``stream.tail``.
    """

    def __init__(self, history: History) -> None:
        self.records: dict[str, Visit] = {}
        self.is_caught_up = False
        self.on_change: Callable[[Visit], None] | None = None
        self._history = history

    async def begin(self) -> None:
        """Read what the store holds, as soon as it answers."""
        while True:
            try:
                for state in UNDER_WAY:
                    await self._load(state)
            except StoreUnavailable as error:
                log.warning("open visits not read", error=str(error))
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                return

    def take(self, visit: Visit) -> None:
        """The next revision that is told."""
        self._keep(visit)
        if self.on_change is not None:
            self.on_change(visit)

    def forget(self, spans: ErasedSpans) -> None:
        """Let go of what was erased."""
        gone = [key for key, visit in self.records.items() if spans.covers(visit.device_id, visit.arrived_ms)]
        for visit_id in gone:
            del self.records[visit_id]

    def caught_up(self) -> None:
        """Everything has been read that was told before the start."""
        self.is_caught_up = True

    async def _load(self, state: VisitState) -> None:
        after: tuple[int, str] | None = None
        while page := await self._history.visits(VisitQuery(_PAGE, state=state, after=after)):
            for visit in page:
                self._keep(visit)
            after = int(page[-1].arrived_ms), page[-1].visit_id

    def _keep(self, visit: Visit) -> None:
        known = self.records.get(visit.visit_id)
        if known is not None and known.revision > visit.revision:
            return
        if visit.state in UNDER_WAY:
            self.records[visit.visit_id] = visit
        else:
            self.records.pop(visit.visit_id, None)
