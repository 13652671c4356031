"""The visit log: stays, and the revisions that bring a published log up to them."""

import hashlib
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, Literal

import msgspec

from schemas.times import Instant
from schemas.visit import Visit

StayState = Literal["open", "confirmed", "closed"]

VISIT_ID_BYTES: Final = 10

MOMENTS: Final = (
    "arrived_ms",
    "arrived_earliest_ms",
    "arrived_latest_ms",
    "departed_ms",
    "departed_earliest_ms",
    "departed_latest_ms",
)
EDGES: Final = ("state", "fence_version", *MOMENTS)
FIGURES: Final = ("on_site_s", "on_site_min_s", "on_site_max_s", "confidence", "fixes")
"""What a logged visit and its stay must agree on: edges always, figures once the device has left."""

MINOR_MS: Final = 60_000
"""An edge that moves by less than this is a minor correction."""

_edges = attrgetter(*EDGES)
_figures = attrgetter(*FIGURES)
_FOREVER_MS: Final = 2**62


class Stay(msgspec.Struct, frozen=True, gc=False):
    """One stay of a device at a fence, as derived; times in epoch ms, ``departed_*`` None while the device is there.

    ``settled``: its edges no longer move with each fix that follows.
    """

    fence_id: str
    fence_version: int
    state: StayState
    arrived_ms: int
    arrived_earliest_ms: int
    arrived_latest_ms: int
    departed_ms: int | None
    departed_earliest_ms: int | None
    departed_latest_ms: int | None
    on_site_s: float
    on_site_min_s: float
    on_site_max_s: float
    confidence: float
    reason: str
    fixes: int
    settled: bool = True


def revise(
    device_id: str,
    published: Iterable[Visit],
    stays: Sequence[Stay],
    reason: str,
    from_ms: int,
    to_ms: int,
    *,
    patiently: bool = False,
) -> list[Visit]:
    """The revisions to publish so that the log of a device equals ``stays`` within the span [from_ms, to_ms).

    ``published`` holds revisions of this device's visits (of each visit the newest counts). A stay takes over the visit
    at the same fence that it overlaps most, and so keeps its id; a visit in the span without a stay is retracted. What
    did not change publishes nothing, nor do running figures (``on_site_*``, ``fixes``, ``confidence``) while the device
    is there. ``reason`` is why visits are retracted; what stands has the reason of its stay, whatever the way it was
    found, so that the log does not depend on the order in which pings came. ``patiently`` withholds minor corrections
    of stays that are not settled: there would be one with every fix.
    """
    newest: dict[str, Visit] = {}
    for visit in published:
        known = newest.get(visit.visit_id)
        if known is None or visit.revision > known.revision:
            newest[visit.visit_id] = visit
    current = sorted(
        (visit for visit in newest.values() if visit.state != "retracted" and _within(visit, from_ms, to_ms)),
        key=lambda visit: (visit.arrived_ms, visit.fence_id, visit.visit_id),
    )
    wanted = sorted(
        (stay for stay in stays if _within(stay, from_ms, to_ms)), key=lambda stay: (stay.arrived_ms, stay.fence_id)
    )
    if len(current) == len(wanted) and all(_tells(visit, stay) for visit, stay in zip(current, wanted, strict=True)):
        return []
    taken = _matches(current, wanted)
    revisions = [
        _retracted(visit, reason or "not_believed") for i, visit in enumerate(current) if i not in taken.values()
    ]
    for j, stay in enumerate(wanted):
        if j in taken:
            revision = revised(current[taken[j]], stay, patiently=patiently)
            if revision is not None:
                revisions.append(revision)
        else:
            visit_id = _fresh_id(
                device_id, stay, {visit_id for visit_id, v in newest.items() if v.state != "retracted"}
            )
            before = newest.get(visit_id)
            revision = _visit(
                visit_id,
                device_id,
                stay,
                before.revision + 1 if before else 1,
                before.job_id if before else None,
                stay.reason,
            )
            newest[visit_id] = revision
            revisions.append(revision)
    return revisions


def revised(visit: Visit, stay: Stay, *, patiently: bool) -> Visit | None:
    """The revision of a visit that its stay calls for, if any; see ``revise``."""
    if not _differs(visit, stay) or (patiently and not stay.settled and _minor(visit, stay)):
        return None
    return _visit(visit.visit_id, visit.device_id, stay, visit.revision + 1, visit.job_id, stay.reason)


def visit_of(device_id: str, stay: Stay) -> Visit:
    """A stay as the first revision of a visit."""
    return _visit(_fresh_id(device_id, stay, ()), device_id, stay, 1, None, stay.reason)


def differing(visit: Visit, stay: Stay) -> tuple[str, ...]:
    """The fields in which a visit is not what its stay says; none means that there is nothing to publish."""
    compared = EDGES if stay.departed_ms is None else EDGES + FIGURES
    return tuple(name for name in compared if getattr(visit, name) != getattr(stay, name))


def end_ms_of(visit: Visit) -> int | None:
    """Until when there is something to say of a visit, epoch ms; None: until now.

    Of one that was retracted before it was left, until its arrival.
    """
    return visit.arrived_latest_ms if visit.state == "retracted" and visit.departed_ms is None else visit.departed_ms


def overlap_ms(one: Visit | Stay, other: Visit | Stay) -> int:
    """For how long two spans overlap; 0 where they only touch, negative where they lie apart."""
    until_ms = min(one.departed_ms or _FOREVER_MS, other.departed_ms or _FOREVER_MS)
    return until_ms - max(one.arrived_ms, other.arrived_ms)


def _within(span: Visit | Stay, from_ms: int, to_ms: int) -> bool:
    return span.arrived_ms < to_ms and (span.departed_ms is None or span.departed_ms > from_ms)


def _matches(current: Sequence[Visit], wanted: Sequence[Stay]) -> dict[int, int]:
    """Index of the stay -> index of the visit it takes over: the largest overlaps first."""
    pairs = []
    for j, stay in enumerate(wanted):
        for i, visit in enumerate(current):
            if visit.fence_id != stay.fence_id:
                continue
            shared_ms = overlap_ms(stay, visit)
            if shared_ms >= 0:
                pairs.append((-shared_ms, i, j))
    taken: dict[int, int] = {}
    for _, i, j in sorted(pairs):
        if j not in taken and i not in taken.values():
            taken[j] = i
    return taken


def _tells(visit: Visit, stay: Stay) -> bool:
    return visit.fence_id == stay.fence_id and not _differs(visit, stay)


def _differs(visit: Visit, stay: Stay) -> bool:
    if _edges(visit) != _edges(stay):
        return True
    return stay.departed_ms is not None and _figures(visit) != _figures(stay)


def _minor(visit: Visit, stay: Stay) -> bool:
    """Whether all that a visit and its stay differ in is times that moved a little."""
    if (visit.state, visit.fence_version) != (stay.state, stay.fence_version):
        return False
    pairs = ((getattr(visit, name), getattr(stay, name)) for name in MOMENTS)
    return all(old == new or (None not in (old, new) and abs(old - new) < MINOR_MS) for old, new in pairs)


def _fresh_id(device_id: str, stay: Stay, taken: Iterable[str]) -> str:
    """A short hash of device, fence and first arrival; numbered on in the rare case that it is in use."""
    again = 0
    while True:
        words = f"{device_id}\n{stay.fence_id}\n{stay.arrived_ms}" + (f"\n{again}" if again else "")
        visit_id = hashlib.blake2b(words.encode(), digest_size=VISIT_ID_BYTES).hexdigest()
        if visit_id not in taken:
            return visit_id
        again += 1


def _visit(visit_id: str, device_id: str, stay: Stay, revision: int, job_id: str | None, reason: str) -> Visit:
    return Visit(
        visit_id=visit_id,
        device_id=device_id,
        fence_id=stay.fence_id,
        fence_version=stay.fence_version,
        job_id=job_id,
        state=stay.state,
        revision=revision,
        arrived_ms=Instant(stay.arrived_ms),
        arrived_earliest_ms=Instant(stay.arrived_earliest_ms),
        arrived_latest_ms=Instant(stay.arrived_latest_ms),
        departed_ms=_instant(stay.departed_ms),
        departed_earliest_ms=_instant(stay.departed_earliest_ms),
        departed_latest_ms=_instant(stay.departed_latest_ms),
        on_site_s=stay.on_site_s,
        on_site_min_s=stay.on_site_min_s,
        on_site_max_s=stay.on_site_max_s,
        confidence=stay.confidence,
        reason=reason,
        fixes=stay.fixes,
    )


def _instant(moment_ms: int | None) -> Instant | None:
    return None if moment_ms is None else Instant(moment_ms)


def _retracted(visit: Visit, reason: str) -> Visit:
    return msgspec.structs.replace(visit, state="retracted", revision=visit.revision + 1, reason=reason)
