"""A visit explained: the fixes around it read from the store, judged again, and compared with the log."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from api.history.nearby_fences import NearbyFences
from api.http.problems import Problem
from api.ports import History, VisitQuery
from geofence.fences import FenceSet
from geofence.rule_book import RuleBook
from geofence.visits import Evidence, Recomputation, compare, end_ms_of, explain, recompute
from schemas.explanation import RecomputedVisit
from schemas.fence import FenceRecord, FenceVersion
from schemas.ping import LATEST_MS
from schemas.visit import Visit

FIRST_REACH_MS: Final = 6 * 3_600_000
REACH_FACTOR: Final = 4
"""How far around a visit the first look-up reaches, and how much farther each next one does."""

ENOUGH_FIXES: Final = 100_000
"""Among so many fixes a device that never is far from every fence (a zone around the whole town) is judged all the
same, though older ones could in theory matter."""

MOST_FIXES: Final = 1_000_000
"""More are not read into this process for one visit: a stay of eleven days at a fix a second."""

MOST_STANDING: Final = 1_000


class Explainer:
    """Explains visits one at a time, in a thread: the first job of this process is to take pings in."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self._nearby = NearbyFences(rules)
        self._turn = asyncio.Lock()

    async def explain(
        self, visit: Visit, history: History, fences: Mapping[str, FenceRecord], now_ms: int
    ) -> RecomputedVisit:
        """The evidence for a revision of a visit, and what the stored fixes come to as of now.

        Raises Problem where the fence version that it was judged by is not known any more, and StoreUnavailable.
        """
        version = _version_of(visit, fences)
        standing = await history.visits(_in_its_place(visit)) if visit.state == "retracted" else []
        async with self._turn:
            again, near = await self._recompute(visit, history, dict(fences), now_ms)
            return await asyncio.to_thread(self._explained, visit, version, standing, again, near)

    async def _recompute(
        self, visit: Visit, history: History, fences: Mapping[str, FenceRecord], now_ms: int
    ) -> tuple[Recomputation, FenceSet]:
        """Derive a visit again from ever more of the stored fixes around it, until no others could matter.

        Also gives the fences near these fixes.
        """
        oldest_ms = await history.oldest_fix_ms(visit.device_id)
        end_ms = end_ms_of(visit)
        reach_ms = FIRST_REACH_MS
        while True:
            from_ms = visit.arrived_earliest_ms - reach_ms
            to_ms = now_ms if end_ms is None else min(now_ms, end_ms + reach_ms)
            from_start = oldest_ms is None or from_ms <= oldest_ms
            to_end = to_ms == now_ms
            fixes = await history.fixes(visit.device_id, from_ms, LATEST_MS if to_end else to_ms, MOST_FIXES + 1)
            if len(fixes) > MOST_FIXES:
                raise Problem(409, "too_many_fixes", f"there are more than {MOST_FIXES} fixes around this visit")
            near = await asyncio.to_thread(self._nearby.of, fixes, visit.fence_id, fences)
            if visit.fence_id not in near.fence_ids:
                raise _unknown_version(visit)
            derive = partial(recompute, visit, fixes, near, self._rules.rules, to_ms)
            again = await asyncio.to_thread(derive, from_start=from_start, to_end=to_end)
            if again is None and len(fixes) > ENOUGH_FIXES:
                again = await asyncio.to_thread(derive, from_start=True, to_end=True)
            if again is not None:
                return again, near
            reach_ms *= REACH_FACTOR

    def _explained(
        self, visit: Visit, version: FenceVersion, standing: Sequence[Visit], again: Recomputation, fences: FenceSet
    ) -> RecomputedVisit:
        evidence = Evidence.read(visit.device_id, again.fixes, fences, self._rules.rules, again.as_of_ms)
        in_force = self._rules.in_force(visit.fence_id, version.kind, version.min_on_site_s)
        return RecomputedVisit(
            **msgspec.structs.asdict(visit),
            explain=explain(evidence, visit, version, in_force),
            **compare(visit, again.stays, standing)._asdict(),
        )


def _version_of(visit: Visit, fences: Mapping[str, FenceRecord]) -> FenceVersion:
    record = fences.get(visit.fence_id)
    for version in [] if record is None else record.versions:
        if version.version == visit.fence_version:
            return version
    raise _unknown_version(visit)


def _unknown_version(visit: Visit) -> Problem:
    detail = f"version {visit.fence_version} of the fence {visit.fence_id!r} is not known any more"
    return Problem(404, "unknown_fence", detail)


def _in_its_place(visit: Visit) -> VisitQuery:
    """The visits that stand where a retracted one was."""
    end_ms = end_ms_of(visit)
    return VisitQuery(
        MOST_STANDING,
        device_id=visit.device_id,
        fence_id=visit.fence_id,
        from_ms=visit.arrived_earliest_ms,
        to_ms=None if end_ms is None else end_ms + 1,
    )
