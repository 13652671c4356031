"""What other rules or fences would have made of stored days: derived again, beside what was logged."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient

from api.history.store import ClickHouseHistory
from api.ports import VisitQuery
from geofence.fences import FenceSet
from geofence.rules import RANGES, Rules
from geofence.visits import Stay, derive_stays, revise
from schemas import wire
from schemas.fence import FenceVersion
from schemas.times import Instant
from schemas.visit import Visit

FIRST_REACH_MS: Final = 24 * 3_600_000
REACH_FACTOR: Final = 4
"""How far around the days the first look-up reaches, and how much farther each next one does."""

SETTLED_MS: Final = int(RANGES["bridge_s"][1] * 1000) + 3_600_000
"""A stay that ended this long before the end of what was read is not changed by anything later."""

_ALL: Final = 2**32 - 1
_ALWAYS: Final = (-(2**62), 2**62)

_DEVICES: Final = """
SELECT DISTINCT device_id
FROM pings
WHERE ts >= fromUnixTimestamp64Milli({from_ms:Int64}) AND ts < fromUnixTimestamp64Milli({to_ms:Int64})
ORDER BY device_id
"""

_VERSION: Final = (
    "version",
    "name",
    "kind",
    "geometry",
    "radius_m",
    "min_on_site_s",
    "branch",
    "devices",
    "valid_from",
    "valid_to",
)

_FENCES: Final = """
SELECT fence_id, version, name, kind, geometry, radius_m, min_on_site_s, branch, devices,
       toUnixTimestamp64Milli(valid_from), toUnixTimestamp64Milli(valid_to)
FROM fences FINAL
ORDER BY fence_id, version
"""


class Span(msgspec.Struct, frozen=True, rename={"arrived_ms": "arrived_at", "departed_ms": "departed_at"}):
    """From when to when a visit lasts; ``departed_ms`` is None while it does."""

    arrived_ms: Instant
    departed_ms: Instant | None


class Difference(msgspec.Struct, frozen=True):
    """A visit that is not in both logs alike; ``before`` is what was logged, ``after`` what would have been.

    ``visit_id`` is None for one that was never logged.
    """

    device_id: str
    fence_id: str
    change: Literal["added", "removed", "changed"]
    visit_id: str | None
    before: Span | None
    after: Span | None


@dataclass(frozen=True)
class Outcome:
    """One device: what differs, in order of arrival, and how many visits are as they were logged."""

    device_id: str
    differences: list[Difference]
    unchanged: int


@dataclass(frozen=True)
class Days:
    """The span of event time [from_ms, to_ms) in which the visits begin that are compared, looked at at ``now_ms``."""

    from_ms: int
    to_ms: int
    now_ms: int


async def compare_days(store: AsyncClient, fences: FenceSet, rules: Rules, days: Days) -> AsyncIterator[Outcome]:
    """Every device that has pings in these days, one after the other: memory holds the fixes of one."""
    parameters = {"from_ms": days.from_ms, "to_ms": days.to_ms}
    devices = (await store.query(_DEVICES, parameters=parameters)).result_rows
    history = ClickHouseHistory(partial(_connected, store))
    for (device_id,) in devices:
        from_ms, to_ms, stays = await _derived(history, device_id, fences, rules, days)
        logged = await history.visits(VisitQuery(_ALL, device_id=device_id, from_ms=from_ms, to_ms=to_ms))
        yield compare(device_id, logged, stays, days)


def compare(device_id: str, logged: Iterable[Visit], stays: Sequence[Stay], days: Days) -> Outcome:
    """What a device's log has and ``stays`` have not, and the other way round. Visits only opened do not count."""
    known = {visit.visit_id: visit for visit in logged if visit.state in ("confirmed", "closed")}
    told = [stay for stay in stays if stay.state != "open"]
    differences, changed = [], 0
    for revision in revise(device_id, known.values(), told, "", *_ALWAYS):
        logged_visit = known.get(revision.visit_id)
        before = None if logged_visit is None else Span(logged_visit.arrived_ms, logged_visit.departed_ms)
        after = None if revision.state == "retracted" else Span(revision.arrived_ms, revision.departed_ms)
        begins_ms = [span.arrived_ms for span in (before, after) if span is not None]
        if before == after or not any(days.from_ms <= moment_ms < days.to_ms for moment_ms in begins_ms):
            continue
        change: Literal["added", "removed", "changed"]
        change = "added" if before is None else "removed" if after is None else "changed"
        visit_id = None if logged_visit is None else logged_visit.visit_id
        differences.append((begins_ms[0], Difference(device_id, revision.fence_id, change, visit_id, before, after)))
        changed += before is not None and days.from_ms <= before.arrived_ms < days.to_ms
    in_days = sum(days.from_ms <= visit.arrived_ms < days.to_ms for visit in known.values())
    differences.sort(key=lambda each: each[0])
    return Outcome(device_id, [difference for _, difference in differences], in_days - changed)


async def stored_fences(store: AsyncClient) -> FenceSet:
    """The fences in the store with all their versions."""
    rows = (await store.query(_FENCES)).result_rows
    return FenceSet.of((fence_id, _version(columns)) for fence_id, *columns in rows)


def _version(columns: Sequence[Any]) -> FenceVersion:
    stated = dict(zip(_VERSION, columns, strict=True))
    stated["geometry"] = msgspec.json.decode(stated["geometry"])
    stated["devices"] = stated["devices"] or None
    return wire.from_builtins(FenceVersion, stated)


async def _connected(store: AsyncClient) -> AsyncClient:
    return store


async def _derived(
    history: ClickHouseHistory, device_id: str, fences: FenceSet, rules: Rules, days: Days
) -> tuple[int, int, list[Stay]]:
    """(from, to, the stays of the fixes between), wide enough around the days that more would change none of theirs."""
    oldest_ms = await history.oldest_fix_ms(device_id) or days.from_ms
    reach_ms = FIRST_REACH_MS
    while True:
        from_ms, to_ms = days.from_ms - reach_ms, min(days.to_ms + reach_ms, days.now_ms + 1)
        fixes = await history.fixes(device_id, from_ms, to_ms, _ALL)
        before = fixes.take(fixes.ts_ms < days.from_ms)
        restart = derive_stays(device_id, before, fences, rules, days.from_ms).keep_from if len(before) else 0
        as_of_ms = to_ms - 1
        stays = derive_stays(device_id, fixes.take(slice(restart, None)), fences, rules, as_of_ms).stays
        whole = from_ms <= oldest_ms or restart > 0
        over = to_ms > days.now_ms or all(
            stay.departed_ms is not None and stay.departed_ms < to_ms - SETTLED_MS
            for stay in stays
            if stay.arrived_ms < days.to_ms
        )
        if whole and over:
            return from_ms, to_ms, stays
        reach_ms *= REACH_FACTOR
