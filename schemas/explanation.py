"""Why a visit is in the log: what was seen, what it was judged by, and what it comes to when judged again."""

from typing import Any, Literal

import msgspec

from schemas.times import Instant
from schemas.visit import Visit

FixVerdict = Literal["accepted", "undecided", "rejected"]


class ExplainedFix(msgspec.Struct, frozen=True, omit_defaults=True, rename={"ts_ms": "ts"}):
    """A fix near the visit and what was made of it.

    ``accepted``: it says inside or outside; ``undecided``: the boundary lies within its error; ``rejected``: not used.
    ``distance_m`` is to the fence's boundary, negative inside, left out beyond reach; ``error_m`` is how far off the
    fix is taken to be; ``weight`` (0..1) how much it counts among its neighbours; ``at_fence`` whether the likeliest
    sequence of places has the device there. A rejected fix has none of these.
    """

    ts_ms: Instant
    lat: float
    lon: float
    verdict: FixVerdict
    why: str
    accuracy_m: float | None = None
    distance_m: float | None = None
    error_m: float | None = None
    speed_mps: float | None = None
    weight: float | None = None
    at_fence: bool | None = None


class FixCounts(msgspec.Struct, frozen=True):
    """All fixes around a visit: ``inside`` and ``outside`` are the accepted ones. ``listed`` of them are shown."""

    seen: int
    listed: int
    at_fence: int
    inside: int
    outside: int
    undecided: int
    rejected: int
    rejected_why: dict[str, int]


class Threshold(msgspec.Struct, frozen=True, rename={"source": "from"}):
    """A rule in force, and who set it: ``default``, ``the fence``, or a place in the tenant's rules."""

    value: float
    source: str


class Explanation(msgspec.Struct, frozen=True, rename={"as_of_ms": "as_of"}):
    """The evidence for a visit, in words and in data.

    ``as_of``: fixes and silence up to this moment were looked at. ``fence`` is the version that it was judged by, a
    GeoJSON Feature. ``thresholds`` are named as in the rules, their unit in the name. ``fixes`` are thinned out where
    they are many; ``counts`` count them all.
    """

    words: str
    as_of_ms: Instant
    fence: dict[str, Any]
    thresholds: dict[str, Threshold]
    counts: FixCounts
    fixes: list[ExplainedFix]


class ExplainedVisit(Visit, frozen=True):
    """A visit with the evidence for it."""

    explain: Explanation


class Difference(msgspec.Struct, frozen=True):
    """A field that the log and the recomputation do not agree on; null where there is no such visit."""

    logged: Any
    recomputed: Any


class RecomputedVisit(ExplainedVisit, frozen=True):
    """A visit of the log, the evidence for it, and what the stored pings come to when they are judged again.

    ``recomputed`` is null where they come to no visit there. ``matches`` is true when that agrees with the log;
    ``differs`` tells what does not. ``held_by`` are the visits that hold the stay in place of a retracted one.
    """

    recomputed: Visit | None
    matches: bool
    differs: dict[str, Difference]
    held_by: list[str]
    finding: str
