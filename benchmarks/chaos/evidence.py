"""What a system has after all pings were accepted, held against what it must have."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from clickhouse_connect.driver.asyncclient import AsyncClient

from geofence.fences import FenceSet, read_collection
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays, visit_of
from schemas import wire
from schemas.ping import Ping
from schemas.tables.visits import SELECTED, of_rows
from schemas.topics import VISITS
from schemas.visit import Visit

Identity = tuple[str, int, int, int]
"""Of a ping: device, event time in ms, latitude and longitude in 1e-7 degrees."""

_NAMES: Final = {"visit_id": "", "revision": 0}
_FIGURES: Final = {"on_site_s": 0.0, "on_site_min_s": 0.0, "on_site_max_s": 0.0, "confidence": 0.0, "fixes": 0}
_DIFFERENCES_TOLD: Final = 5


def identity_of(ping: Ping) -> Identity:
    """What makes two copies of a ping the same ping."""
    return ping.device_id, ping.ts_ms, round(ping.lat * 1e7), round(ping.lon * 1e7)


@dataclass(frozen=True)
class Stored:
    """What ClickHouse has: a row a ping and a row a visit as queries with FINAL see them, and all revisions."""

    pings: list[Identity]
    visits: list[Visit]
    revisions: list[Visit]

    @classmethod
    async def read(cls, store: AsyncClient) -> "Stored":
        """Read it all."""
        pings = await store.query("SELECT device_id, toUnixTimestamp64Milli(ts), lat_e7, lon_e7 FROM pings FINAL")
        visits = await store.query(f"SELECT {SELECTED} FROM visits FINAL")
        revisions = await store.query(f"SELECT {SELECTED} FROM visit_revisions FINAL")
        return cls(
            [tuple(row) for row in pings.result_rows], of_rows(visits.result_rows), of_rows(revisions.result_rows)
        )


async def published_visits(kafka: str) -> list[Visit]:
    """Everything on ``onsite.visits``, repeats too."""
    consumer = AIOKafkaConsumer(VISITS.name, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        visits: list[Visit] = []
        while not all([await consumer.position(each) >= ends[each] for each in ends]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                visits += [wire.decode(Visit, record.value) for record in records]
        return visits
    finally:
        await consumer.stop()


class Truth:
    """What the pure function makes of pings and fences."""

    def __init__(self, accepted: Sequence[Ping], fences: dict[str, Any]) -> None:
        self.identities = {identity_of(ping) for ping in accepted}
        self._fences = FenceSet.of(read_collection(json.dumps(fences)))
        by_device: dict[str, list[Ping]] = {}
        for ping in accepted:
            by_device.setdefault(ping.device_id, []).append(ping)
        self._fixes = {device_id: Fixes.of_pings(pings).in_order() for device_id, pings in by_device.items()}

    def visits(self, as_of_ms: int) -> list[Visit]:
        """The visit log as of a moment."""
        return [
            visit_of(device_id, stay)
            for device_id, fixes in self._fixes.items()
            for stay in derive_stays(device_id, fixes, self._fences, Rules(), as_of_ms).stays
        ]


def wrong_pings(wanted: set[Identity], stored: Sequence[Identity]) -> list[str]:
    """Pings that are not stored exactly once, and those that nobody sent."""
    counts = Counter(stored)
    lost, strange = wanted - counts.keys(), counts.keys() - wanted
    twice = [identity for identity, count in counts.items() if count > 1]
    found = {"accepted and not stored": lost, "stored more than once": twice, "stored and never accepted": strange}
    return [f"{len(pings)} pings {what}: {_some(pings)}" for what, pings in found.items() if pings]


def wrong_log(wanted: Iterable[Visit], logged: Iterable[Visit]) -> list[str]:
    """In what the visit log differs: all fields but ids, revision numbers and the running figures of open visits."""
    derived, live = Counter(map(_facts, wanted)), Counter(map(_facts, logged))
    found = {"only derived": derived - live, "only in the live log": live - derived}
    return [f"{visits.total()} visits {what}: {_some(visits.elements())}" for what, visits in found.items() if visits]


def wrong_events(published: Sequence[Visit], stored: Stored) -> list[str]:
    """Revisions with two contents, visits that end otherwise on the topic than in the store, events not in both."""
    by_revision: dict[tuple[str, int], Visit] = {}
    twofold = []
    for visit in published:
        if by_revision.setdefault((visit.visit_id, visit.revision), visit) != visit:
            twofold.append(visit)
    newest: dict[str, Visit] = {}
    for visit in published:
        if visit.visit_id not in newest or visit.revision > newest[visit.visit_id].revision:
            newest[visit.visit_id] = visit
    found = {
        "revisions published with two contents": twofold,
        "visits whose newest revision is not what the store has": set(newest.values()) ^ set(stored.visits),
        "revisions either published or stored": set(by_revision.values()) ^ set(stored.revisions),
    }
    return [f"{len(visits)} {what}: {_some(visits)}" for what, visits in found.items() if visits]


def _facts(visit: Visit) -> str:
    left_out = _NAMES if visit.departed_ms is not None else _NAMES | _FIGURES
    return wire.encode(msgspec.structs.replace(visit, **left_out)).decode()


def _some(things: Iterable[object]) -> str:
    return "; ".join(sorted(map(str, things))[:_DIFFERENCES_TOLD])
