"""The bound parameters of reports: which time, whose branches, and what states are to the tenant. Pure."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from dispatch.delay import CALLED_OFF, has_arrived
from dispatch.lifecycle import Lifecycle

_DAY_MS: Final = 86_400_000


class ReportQuery(msgspec.Struct, frozen=True):
    """Which time: [``from_ms``, ``to_ms``), and which branches (None: all).

    ``within_days``: whoever is needed again so soon has not mended it the first time.
    """

    from_ms: int
    to_ms: int
    branches: tuple[str, ...] | None = None
    within_days: float = 30.0


def parameters_of(query: ReportQuery, lifecycle: Lifecycle, zone: str) -> dict[str, Any]:
    """By name, as the queries have them."""

    def like(*built_in: str) -> list[str]:
        return _states(lifecycle, built_in)

    return {
        "from_ms": query.from_ms,
        "to_ms": query.to_ms,
        "all_branches": int(query.branches is None),
        "branches": list(query.branches or ()),
        "within_ms": query.within_days * _DAY_MS,
        "zone": zone,
        "done": like("completed", "invoiced"),
        "completed": like("completed"),
        "left": like("left_incomplete"),
        "waiting": like("created", "scheduled"),
        "called_off": _states(lifecycle, CALLED_OFF),
        "not_arrived": sorted(state for state in lifecycle.paths if not has_arrived(state, lifecycle)),
    }


def _states(lifecycle: Lifecycle, built_in: Collection[str]) -> list[str]:
    return sorted(state for state in lifecycle.paths if lifecycle.like(state) in built_in)
