"""A visit: one stay of one device at one fence, as it travels on ``onsite.visits`` (every revision)."""

from typing import Literal

import msgspec

from schemas.times import Instant

VisitState = Literal["open", "confirmed", "closed", "retracted"]


class Visit(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "arrived_ms": "arrived_at",
        "arrived_earliest_ms": "arrived_earliest",
        "arrived_latest_ms": "arrived_latest",
        "departed_ms": "departed_at",
        "departed_earliest_ms": "departed_earliest",
        "departed_latest_ms": "departed_latest",
    },
):
    """One revision of one visit.

    ``departed_*`` are None while the device is there; then ``on_site_*`` run to the last fix that the revision knew.
    ``reason`` says how it stands: ``arrived``, ``initially_inside``, ``departed``, ``fence_changed``; of a retracted
    one, why: ``late_data``, ``fence_changed``, ``not_believed``. ``fixes`` counts those between arrival and departure.
    """

    visit_id: str
    device_id: str
    fence_id: str
    fence_version: int
    job_id: str | None
    state: VisitState
    revision: int
    arrived_ms: Instant
    arrived_earliest_ms: Instant
    arrived_latest_ms: Instant
    departed_ms: Instant | None
    departed_earliest_ms: Instant | None
    departed_latest_ms: Instant | None
    on_site_s: float
    on_site_min_s: float
    on_site_max_s: float
    confidence: float
    reason: str
    fixes: int
