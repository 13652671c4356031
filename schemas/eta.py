"""When somebody will be at a job: the compacted topic ``onsite.etas``."""

import msgspec

from schemas.times import Instant


class Eta(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"from_ms": "window_from", "to_ms": "window_to", "seen_ms": "seen_at"},
):
    """The arrival is in the window with a probability of ``level``; said at ``computed_at``.

    It is that of the technician who is planned first, by their device's fix of ``seen_at``. ``provider`` is who knows
    the way, ``distance_m`` how long it is; with ``stops_before`` jobs before it, it is the way from the last of these.
    """

    job_id: str
    eta: Instant
    from_ms: Instant
    to_ms: Instant
    level: float
    provider: str
    computed_at: Instant
    distance_m: float
    device_id: str
    technician_id: str
    seen_ms: Instant
    stops_before: int = 0
