"""The ETAs of all jobs that somebody who is being seen goes to today: what is asked, and what of the answers is news.

Pure: fixes, jobs, moments and the providers' answers come in, ETAs go out. ``due`` gives ways to be asked about,
``answer`` takes what a provider says of them.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from dispatch.erased import ErasedSpans
from dispatch.eta.appointments import Appointment
from dispatch.eta.chain import Call, arrivals
from dispatch.eta.day import Day, day_of, is_for_today
from dispatch.eta.durations import Durations
from dispatch.eta.engine import EtaEngine
from dispatch.eta.queries import Floats, Ints, Queries, hours_of
from dispatch.eta.spread import Spread
from dispatch.eta.telling import changes_risk, is_news
from dispatch.eta.under_way import UnderWay, WayBegun
from dispatch.eta.watch import Fix, Watch, Watched
from dispatch.rules import DispatchRules
from routing.provider import Ways
from schemas.eta import Eta
from schemas.job import EtaWindow
from schemas.learnt_trip import LearntTrip
from schemas.times import Instant

SEEN_MS: Final = 600_000
"""Who was seen within this is awaited before those who are named after them."""

MOST_DEVICES: Final = 500
"""Asked about together."""


class Company(Protocol):
    """Who works where, as it is now."""

    def technician_of(self, device_id: str) -> str:
        """Who holds a device."""

    def devices_of(self, technician_id: str) -> list[str]:
        """The devices that a technician holds, the first one counts before the others."""

    def appointments_of(self, technician_id: str) -> Collection[Appointment]:
        """The jobs where a technician is awaited or at work."""

    def appointment(self, job_id: str) -> Appointment | None:
        """A job where somebody is awaited or at work."""

    def time_zone_of(self, branch: str | None) -> str:
        """Whose clock it goes by."""


@dataclass(frozen=True)
class Leg:
    """A way as a provider knows it."""

    travel_s: float
    distance_m: float
    provider: str


Way = tuple[float, float, float, float]
"""lat, lon, to_lat, to_lon in degrees."""


@dataclass(frozen=True)
class _Asked:
    """Of a device the day, and its ways in their order; of some it is known how long they are."""

    device_id: str
    technician_id: str
    fix: Fix
    day: Day
    ways: list[Way]
    known: list[Leg | None]


@dataclass(frozen=True)
class Batch:
    """Days that are asked about together. ``wanted`` are the ways that a provider is to be asked about."""

    asked: list[_Asked]
    wanted: list[Way]

    def columns(self) -> Floats:
        """float64[4, n]: lat, lon, to_lat, to_lon in degrees."""
        return np.array(self.wanted, np.float64).reshape(-1, 4).T


@dataclass
class Said:
    """What is to be told: ETAs, and of jobs (job_id) windows that change their risk."""

    etas: list[Eta] = field(default_factory=list)
    risks: list[tuple[str, EtaWindow]] = field(default_factory=list)


@dataclass(frozen=True)
class _Planned:
    """Of a day when somebody can set out (epoch ms), and how long the work at each call takes."""

    leaves_ms: Spread
    work_s: list[Spread]


class Desk:
    """``company`` is asked at each moment; ``heading_of`` says to which job a device is on the way, by its positions.

    ``number_of`` gives the engine's number of a technician; fixes older than ``fresh_s`` say nothing of now.
    ``standing`` is what was told last of each job, by whomever.
    """

    def __init__(
        self,
        company: Company,
        heading_of: Callable[[str], str | None],
        rules: DispatchRules,
        engine: EtaEngine,
        number_of: Callable[[str], int],
        *,
        refresh_s: float,
        fresh_s: float,
    ) -> None:
        self.standing: dict[str, Eta] = {}
        self.durations = Durations(engine.windows.level)
        self._company = company
        self._heading_of = heading_of
        self._rules = rules
        self._engine = engine
        self._number_of = number_of
        self._fresh_ms = round(1000 * fresh_s)
        self._watch = Watch(refresh_s)
        self._legs: dict[str, dict[Way, Leg]] = {}
        self._under_way = UnderWay(engine)

    def __len__(self) -> int:
        """How many devices are being seen."""
        return len(self._watch)

    def see(self, device_id: str, fix: Fix) -> None:
        """A device has been somewhere."""
        self._watch.see(device_id, fix)

    def change(self, device_ids: Iterable[str]) -> None:
        """The jobs of these devices' technicians, or which way they are on, are others now."""
        self._watch.change(device_ids)

    def forget(self, is_gone: Callable[[str, int], bool]) -> None:
        """Let go of devices of which something says so, by device_id and the moment of the newest fix (epoch ms)."""
        for device_id in self._watch.forget(lambda watched: is_gone(watched.device_id, watched.fix.ts_ms)):
            self._legs.pop(device_id, None)
            self._under_way.end(device_id)

    def due(self, now_ms: int, provider: str) -> Batch | None:
        """What is to be asked of ``provider`` now, which counts as asked; None when there is nothing."""
        asked: list[_Asked] = []
        wanted: list[Way] = []
        for watched in self._watch.due(now_ms, MOST_DEVICES, now_ms - self._fresh_ms):
            each = self._asked(watched, now_ms, provider)
            if each is None:
                self._legs.pop(watched.device_id, None)
                continue
            wanted += [way for way, leg in zip(each.ways, each.known, strict=True) if leg is None]
            asked.append(each)
        return Batch(asked, wanted) if asked else None

    def answer(self, batch: Batch, found: Ways, now_ms: int) -> Said:
        """What is to be told, of what a provider says of the ways that were ``wanted``; it counts as told."""
        new = map(Leg, found.travel_s.tolist(), found.distance_m.tolist(), found.providers)
        legs = [[leg or next(new) for leg in each.known] for each in batch.asked]
        for each, own in zip(batch.asked, legs, strict=True):
            self._legs[each.device_id] = dict(zip(each.ways, own, strict=True))
        planned = [self._planned(each, now_ms) for each in batch.asked]
        spreads = iter(self._travel_s(batch.asked, legs, planned))
        said = Said()
        for each, own, plan in zip(batch.asked, legs, planned, strict=True):
            self._say(each, own, plan, [next(spreads) for _ in own], now_ms, said)
        return said

    def arrived(self, job_id: str, arrivals: Iterable[tuple[str, int]]) -> list[LearntTrip]:
        """Devices have come to a job (device_id, epoch ms): what there is to learn of those ways."""
        return self._under_way.arrived(job_id, arrivals)

    def stands(self, job_id: str, eta: Eta | None) -> None:
        """What was told of a job, or that it was taken back."""
        if eta is None:
            self.standing.pop(job_id, None)
        else:
            self.standing[job_id] = eta

    def taken_back(self, job_ids: Iterable[str], now_ms: int, erased: ErasedSpans) -> list[str]:
        """Of these jobs those whose ETA holds no more: nobody is awaited there, or somebody else; it counts as told."""
        gone = [
            job_id
            for job_id in job_ids
            if (eta := self.standing.get(job_id)) is not None
            and (not self._is_awaited(eta, now_ms) or erased.covers(eta.device_id, eta.seen_ms))
        ]
        for job_id in gone:
            del self.standing[job_id]
        return gone

    def _asked(self, watched: Watched, now_ms: int, provider: str) -> _Asked | None:
        technician_id = self._company.technician_of(watched.device_id)
        today = [each for each in self._company.appointments_of(technician_id) if self._is_for_today(each, now_ms)]
        if not today:
            return None
        day = day_of(today, self._heading_of(watched.device_id))
        if not day.calls:
            return None
        lat, lon = (watched.fix.lat, watched.fix.lon) if day.at is None else (day.at.lat, day.at.lon)
        ways: list[Way] = []
        for call in day.calls:
            ways.append((lat, lon, call.lat, call.lon))
            lat, lon = call.lat, call.lon
        known = self._legs.get(watched.device_id, {})
        legs = [leg if (leg := known.get(way)) and leg.provider == provider else None for way in ways]
        return _Asked(watched.device_id, technician_id, watched.fix, day, ways, legs)

    def _planned(self, asked: _Asked, now_ms: int) -> _Planned:
        day = asked.day
        work_s = [self.durations.expected_s(call.job_type, call.duration_s) for call in day.calls]
        if day.is_under_way:
            return _Planned(_moment(asked.fix.ts_ms), work_s)
        if day.at is None:
            return _Planned(_moment(now_ms), work_s)
        done_s = max(0.0, (now_ms - day.at.since_ms) / 1000)
        whole = self.durations.expected_s(day.at.job_type, day.at.duration_s, done_s)
        over = Spread(*(day.at.since_ms + 1000.0 * each_s for each_s in (whole.low, whole.middle, whole.high)))
        return _Planned(over.not_before(now_ms), work_s)

    def _travel_s(
        self, asked: Sequence[_Asked], legs: Sequence[Sequence[Leg]], planned: Sequence[_Planned]
    ) -> list[Spread]:
        """How long each way takes, device after device."""
        rows: list[tuple[float, ...]] = []
        zones: dict[str, list[int]] = {}
        begun: list[int] = []
        for each, own, plan in zip(asked, legs, planned, strict=True):
            device, leaves_ms = self._number_of(each.technician_id), plan.leaves_ms.middle
            for place, (call, way, leg, work_s) in enumerate(
                zip(each.day.calls, each.ways, own, plan.work_s, strict=True)
            ):
                zone = self._company.time_zone_of(call.branch)
                zones.setdefault(zone, []).append(len(rows))
                trip = 0
                if each.day.is_under_way and not place:
                    begun.append(len(rows))
                    way_begun = WayBegun(each.technician_id, call.job_id, zone)
                    trip = self._under_way.asked(each.device_id, way_begun, each.fix.ts_ms, leg.provider)
                elif call.window_from_ms is not None:
                    leaves_ms = max(leaves_ms, call.window_from_ms - 1000 * leg.travel_s)
                rows.append((trip, device, leaves_ms / 1000, *way, leg.travel_s))
                arrives_ms = leaves_ms + 1000 * leg.travel_s
                leaves_ms = max(arrives_ms, call.window_from_ms or arrives_ms) + 1000 * work_s.middle
        trip_numbers, devices, ts_s, *places, engine_s = np.array(rows).T
        hour = np.zeros(len(rows))
        for zone, numbers in zones.items():
            hour[numbers] = hours_of(ts_s[numbers], ZoneInfo(zone))
        whole = (trip_numbers.astype(np.int64), devices.astype(np.int64), ts_s, *places, engine_s, hour)
        return self._answered(Queries(*whole), np.array(begun, np.int64))

    def _answered(self, queries: Queries, begun: Ints) -> list[Spread]:
        """What the engine says, of ways that somebody is on (``begun``) and of the others."""
        later = np.setdiff1d(np.arange(len(queries)), begun)
        found = np.zeros((3, len(queries)))
        for rows, ask in ((begun, self._engine.answer), (later, self._engine.foresee)):
            if len(rows):
                answers = ask(queries[rows])
                found[:, rows] = answers.from_s, answers.eta_s, answers.to_s
        return [Spread(*each) for each in found.T.tolist()]

    def _say(
        self,
        asked: _Asked,
        legs: Sequence[Leg],
        plan: _Planned,
        travel_s: Sequence[Spread],
        now_ms: int,
        said: Said,
    ) -> None:
        """Add to ``said`` what is news of a day."""
        day = asked.day
        calls = [
            Call(call.job_id, way_s, work_s, call.window_from_ms, is_under_way=day.is_under_way and not place)
            for place, (call, way_s, work_s) in enumerate(zip(day.calls, travel_s, plan.work_s, strict=True))
        ]
        found = arrivals(plan.leaves_ms, calls)
        if day.is_under_way:
            first = day.calls[0]
            self._watch.set_course(asked.device_id, asked.fix, first.lat, first.lon, found[first.job_id].middle)
        for place, (call, leg) in enumerate(zip(day.calls, legs, strict=True)):
            job = self._company.appointment(call.job_id)
            if job is None or job.is_at_work or self._is_anothers(job, asked, now_ms):
                continue
            when = found[call.job_id].not_before(now_ms)
            eta = Eta(
                job_id=call.job_id,
                eta=Instant(round(when.middle)),
                from_ms=Instant(round(when.low)),
                to_ms=Instant(round(when.high)),
                level=self._engine.windows.level,
                provider=leg.provider,
                computed_at=Instant(now_ms),
                distance_m=round(leg.distance_m, 1),
                device_id=asked.device_id,
                technician_id=asked.technician_id,
                seen_ms=Instant(asked.fix.ts_ms),
                stops_before=place + (day.at is not None),
            )
            if changes_risk(job, eta.to_ms, self._rules.clear_s):
                said.risks.append((job.job_id, EtaWindow(eta.from_ms, eta.to_ms)))
            if is_news(eta, self.standing.get(job.job_id)):
                self.standing[job.job_id] = eta
                said.etas.append(eta)

    def _is_anothers(self, job: Appointment, asked: _Asked, now_ms: int) -> bool:
        """Whether somebody is awaited there who comes first, by the order of technicians and of their devices."""
        if asked.technician_id not in job.technician_ids:
            return True
        standing = self.standing.get(job.job_id)
        if standing is None or standing.device_id == asked.device_id:
            return False
        if standing.technician_id not in job.technician_ids or now_ms - standing.seen_ms > SEEN_MS + self._fresh_ms:
            return False
        return self._rank(job, standing.technician_id, standing.device_id) < self._rank(
            job, asked.technician_id, asked.device_id
        )

    def _rank(self, job: Appointment, technician_id: str, device_id: str) -> tuple[int, int]:
        devices = self._company.devices_of(technician_id)
        place = devices.index(device_id) if device_id in devices else len(devices)
        return job.technician_ids.index(technician_id), place

    def _is_awaited(self, eta: Eta, now_ms: int) -> bool:
        job = self._company.appointment(eta.job_id)
        return (
            job is not None
            and not job.is_at_work
            and eta.technician_id in job.technician_ids
            and self._company.technician_of(eta.device_id) == eta.technician_id
            and self._is_for_today(job, now_ms)
        )

    def _is_for_today(self, job: Appointment, now_ms: int) -> bool:
        return is_for_today(job, now_ms, self._company.time_zone_of(job.branch), self._rules)


def _moment(at_ms: float) -> Spread:
    return Spread(at_ms, at_ms, at_ms)
