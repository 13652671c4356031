"""What a customer may see of a job, pure: the one place that decides it."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from api.tracking.answers import ShownEta, ShownPosition, TrackingAnswer
from dispatch.lifecycle import Lifecycle
from dispatch.tracking import CustomerState, customer_state
from geofence.geodesy import haversine_m
from schemas.eta import Eta
from schemas.job import JobRecord
from schemas.live import LiveState
from schemas.people import Technician
from schemas.places import Branch, Customer
from schemas.times import Instant
from schemas.tracking import TrackingRecord

ETA_GOOD_MS: Final = 900_000
"""An ETA by a fix that is older than this is not shown: nobody knows any more."""
POSITION_GOOD_MS: Final = 180_000
"""The same of a position."""
LEAVING_MS: Final = 120_000
"""So long after somebody has left, where they are says where they were: with another customer, or at home."""

_PLACES: Final = 4
"""Decimals of the degrees that are shown: some ten metres."""

_EXPECTED: Final[frozenset[CustomerState]] = frozenset({"scheduled", "on_the_way"})
_NAMED: Final[frozenset[CustomerState]] = _EXPECTED | {"arrived"}
_OVER: Final[frozenset[CustomerState]] = frozenset({"completed", "cancelled"})


@dataclass(frozen=True)
class Surroundings:
    """What is known around a job when it is shown.

    ``technician`` is who comes, as far as they are in the register; ``lives`` are the live states of their devices, and
    ``at_hand`` the jobs that they are on the way to, or at. ``zone`` is the tenant's time zone.
    """

    lifecycle: Lifecycle
    zone: str
    eta: Eta | None
    technician: Technician | None
    lives: Iterable[LiveState]
    at_hand: Collection[str]
    branch: Branch | None
    customer: Customer | None


def technician_id_of(job: JobRecord, eta: Eta | None) -> str | None:
    """Who comes: of several the one whose ETA it is, else the first."""
    if eta is not None and eta.technician_id in job.technician_ids:
        return eta.technician_id
    return job.technician_ids[0] if job.technician_ids else None


def shown(
    job: JobRecord, record: TrackingRecord, around: Surroundings, now_ms: Instant, expires_at: Instant
) -> TrackingAnswer:
    """What the customer of a job sees at a moment."""
    state = customer_state(job.state, around.lifecycle)
    branch, customer, technician = around.branch, around.customer, around.technician
    is_named = state in _NAMED and technician is not None and technician.removed_at is None
    return TrackingAnswer(
        state=state,
        title=job.title,
        company=None if branch is None or branch.removed_at is not None else branch.name,
        from_ms=job.window_from_ms,
        to_ms=job.window_to_ms,
        eta=_eta(job, around.eta, state, now_ms),
        technician=first_name(technician.name) if is_named and technician is not None else None,
        position=_position(job, around, state, now_ms),
        can_write=state not in _OVER,
        can_rate=state == "completed",
        rating=record.rating,
        comment=record.comment,
        time_zone=(customer and customer.time_zone) or (branch and branch.time_zone) or around.zone,
        language=None if customer is None else customer.language,
        expires_at=expires_at,
    )


def first_name(name: str) -> str:
    """Of a name as people write it: ``Amina Okafor``, or ``Okafor, Amina``."""
    given = name.rpartition(",")[2].split() or name.split()
    return given[0].strip(",") if given else ""


def _eta(job: JobRecord, eta: Eta | None, state: CustomerState, now_ms: int) -> ShownEta | None:
    """The ETA while somebody is awaited and it still says something."""
    if eta is None or state not in _EXPECTED or eta.technician_id not in job.technician_ids:
        return None
    if eta.to_ms < now_ms or now_ms - eta.seen_ms > ETA_GOOD_MS:
        return None
    return ShownEta(eta.eta, eta.from_ms, eta.to_ms, eta.computed_at)


def _position(job: JobRecord, around: Surroundings, state: CustomerState, now_ms: int) -> ShownPosition | None:
    """Where the technician is: on the way to this customer alone, well on the road, by a fix that is fresh.

    Who is at another place, or has another job at hand, is not shown: that would tell of another customer.
    """
    if state != "on_the_way" or job.lat is None or job.lon is None or set(around.at_hand) != {job.job_id}:
        return None
    since_ms = job.log[-1].at if job.log else job.updated_at
    live = max(around.lives, key=lambda each: each.ts_ms, default=None)
    if live is None or live.state not in ("moving", "stopped") or live.open_visits:
        return None
    if live.ts_ms < since_ms + LEAVING_MS or now_ms - live.ts_ms > POSITION_GOOD_MS:
        return None
    return ShownPosition(
        lat=round(live.lat, _PLACES),
        lon=round(live.lon, _PLACES),
        at=live.ts_ms,
        distance_m=float(round(haversine_m(job.lat, job.lon, live.lat, live.lon), -1)),
        bearing_deg=float(round(_bearing_deg(job.lat, job.lon, live.lat, live.lon))),
    )


def _bearing_deg(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """In which direction the second place is, seen from the first, clockwise from north."""
    one, other, apart = math.radians(lat_a), math.radians(lat_b), math.radians(lon_b - lon_a)
    north = math.cos(one) * math.sin(other) - math.sin(one) * math.cos(other) * math.cos(apart)
    return math.degrees(math.atan2(math.sin(apart) * math.cos(other), north)) % 360.0
