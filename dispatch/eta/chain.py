"""When somebody will be at each of the jobs of the day: way after way, with the work at each place between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dispatch.eta.spread import Spread


@dataclass(frozen=True)
class Call:
    """A job on the round: how long the way there takes (``travel_s``, from the one before) and the work (``work_s``).

    Nobody begins before ``begins_ms`` (epoch ms): whoever is early waits. None: at any time.
    """

    job_id: str
    travel_s: Spread
    work_s: Spread
    begins_ms: int | None = None


def arrivals(leaves_ms: Spread, calls: Sequence[Call]) -> dict[str, Spread]:
    """By job when somebody who sets out at ``leaves_ms`` is there, epoch ms.

    Ways and work do not depend on each other: a slow way makes no long work.
    """
    found: dict[str, Spread] = {}
    for call in calls:
        arrives_ms = leaves_ms.plus(_ms(call.travel_s))
        found[call.job_id] = arrives_ms
        begins_ms = arrives_ms if call.begins_ms is None else arrives_ms.not_before(call.begins_ms)
        leaves_ms = begins_ms.plus(_ms(call.work_s))
    return found


def _ms(spread_s: Spread) -> Spread:
    return Spread(spread_s.low * 1000.0, spread_s.middle * 1000.0, spread_s.high * 1000.0)
