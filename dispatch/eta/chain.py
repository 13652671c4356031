"""When somebody will be at each of the jobs of the day: way after way, with the work at each place between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dispatch.eta.spread import Spread


@dataclass(frozen=True)
class Call:
    """A job on the round: how long the way there takes (``travel_s``, from the one before) and the work (``work_s``).

    Nobody begins before ``begins_ms`` (epoch ms), None: at any time. Who has not set out yet does so in time for that
    and no earlier; who ``is_under_way`` is there when they are, and waits.
    """

    job_id: str
    travel_s: Spread
    work_s: Spread
    begins_ms: int | None = None
    is_under_way: bool = False


def arrivals(leaves_ms: Spread, calls: Sequence[Call]) -> dict[str, Spread]:
    """By job when somebody who can set out at ``leaves_ms`` is there, epoch ms.

    Ways and work do not depend on each other: a slow way makes no long work.
    """
    found: dict[str, Spread] = {}
    for call in calls:
        travel_ms = _ms(call.travel_s)
        if call.begins_ms is not None and not call.is_under_way:
            leaves_ms = leaves_ms.not_before(call.begins_ms - travel_ms.middle)
        arrives_ms = leaves_ms.plus(travel_ms)
        found[call.job_id] = arrives_ms
        begins_ms = arrives_ms if call.begins_ms is None else arrives_ms.not_before(call.begins_ms)
        leaves_ms = begins_ms.plus(_ms(call.work_s))
    return found


def _ms(spread_s: Spread) -> Spread:
    return Spread(spread_s.low * 1000.0, spread_s.middle * 1000.0, spread_s.high * 1000.0)
