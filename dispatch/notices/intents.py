"""What there is to tell of a job, from how it stands: whatever order or number of times that became known in."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from dispatch.lifecycle import Lifecycle
from dispatch.notices.facts import ARRIVED, EN_ROUTE, OVER, PHASES, Around, JobFacts
from dispatch.notices.rules import NoticeRules
from schemas import wire
from schemas.eta import Eta
from schemas.notice import Audience, Notice, NoticeKind
from schemas.times import Instant

_ID_BYTES: Final = 16

_LOGGED: Final[tuple[tuple[NoticeKind, tuple[str, ...]], ...]] = (
    ("dispatched", ("dispatched",)),
    ("en_route", ("en_route",)),
    ("arrived", ("on_site", "in_progress")),
    ("completed", ("completed",)),
    ("cancelled", ("cancelled",)),
)
"""Kinds that tell of an entry of the log, and the states of it: of several the first that is there."""

_STANDING: Final[dict[NoticeKind, frozenset[str]]] = {
    "appointment_set": frozenset({"scheduled", "dispatched"}),
    "dispatched": frozenset({"dispatched"}),
    "en_route": frozenset({"en_route"}),
    "arriving_soon": frozenset({"en_route"}),
    "delayed": frozenset({"scheduled", "dispatched", "en_route"}),
    "arrived": frozenset({"on_site", "in_progress"}),
    "completed": frozenset({"completed", "invoiced"}),
    "cancelled": frozenset({"cancelled"}),
}
"""In which states of a job a customer can be told that without being told something that is over."""

_TELLS_PROMISE: Final = frozenset({"appointment_set", "completed", "cancelled", "assigned"})
"""Kinds that name the promised window, whatever the ETA says."""


@dataclass(frozen=True)
class Intent:
    """Somebody is to be told something; ``about`` tells it from others of its kind.

    ``is_overtaken``: it has happened, and the job is further already.
    """

    audience: Audience
    kind: NoticeKind
    event_at: Instant
    recipient_id: str | None = None
    about: str = ""
    is_overtaken: bool = False

    def notice_id(self, job_id: str) -> str:
        """The same whenever and wherever it is made."""
        parts = (job_id, self.kind, self.audience, self.about)
        return blake2b(wire.encode(parts), digest_size=_ID_BYTES).hexdigest()


def intents(
    job: JobFacts, around: Around, known: Collection[Notice], rules: NoticeRules, lifecycle: Lifecycle, now_ms: int
) -> Iterator[Intent]:
    """All that is true of a job and could be told, or was and has been overtaken, in the order of what happens.

    ``known`` is looked at as it is when the next one is asked for: what is told meanwhile belongs in it.
    """
    yield from _technicians(job, around, lifecycle)
    yield from _dispatchers(job, lifecycle)
    if around.customer is not None:
        yield from _logged(job, around.customer.customer_id, lifecycle)
        yield from _expected(job, around, known, rules, lifecycle, now_ms)


def customer_message_notices(job: JobFacts, message_id: str, at: Instant) -> list[Intent]:
    """That a customer has written: to the dispatcher, and to each technician whose job it is."""
    told = [Intent("dispatcher", "customer_message", at, about=message_id)]
    for each in job.assignments:
        if each.to_ms is None:
            about = f"{message_id}\n{each.technician_id}"
            told.append(Intent("technician", "customer_message", at, each.technician_id, about))
    return told


def still_stands(notice: Notice, job: JobFacts, lifecycle: Lifecycle) -> bool:
    """Whether what a notice says is true of the job now."""
    phase = job.phase(lifecycle)
    if notice.audience == "customer":
        return lifecycle.like(job.state) in _STANDING[notice.kind]
    if notice.audience == "technician":
        return job.is_assigned_to(notice.recipient_id) and phase < OVER
    if notice.kind == "customer_message":
        return True
    return phase < ARRIVED and job.risk == ("late" if notice.kind == "running_late" else "at_risk")


def usable_eta(eta: Eta | None, rules: NoticeRules, now_ms: int) -> Eta | None:
    """The ETA, unless it is old or follows from an old fix: a phone that is silent tells nothing."""
    if eta is None or now_ms - min(eta.computed_at, eta.seen_ms) > 60_000 * rules.fresh_min:
        return None
    return eta


def window_to_tell(
    kind: NoticeKind, job: JobFacts, eta: Eta | None, rules: NoticeRules, now_ms: int
) -> tuple[Instant | None, Instant | None]:
    """The window that goes with a notice: the expected one, or the promised one where nothing else is known."""
    expected = None if kind in _TELLS_PROMISE else usable_eta(eta, rules, now_ms)
    if kind == "arrived":
        return None, None
    if expected is not None:
        return expected.from_ms, expected.to_ms
    return job.window_from_ms, job.window_to_ms


def next_look_ms(job: JobFacts, eta: Eta | None, rules: NoticeRules, lifecycle: Lifecycle, now_ms: int) -> int | None:
    """When time alone makes something to tell of a job; None: never."""
    if eta is None or job.phase(lifecycle) != EN_ROUTE:
        return None
    soon_ms = eta.eta - round(60_000 * rules.arriving_soon_min)
    return soon_ms if soon_ms > now_ms else None


def _technicians(job: JobFacts, around: Around, lifecycle: Lifecycle) -> Iterator[Intent]:
    if job.phase(lifecycle) < OVER:
        for each in job.assignments:
            if each.to_ms is None:
                at = job.created_at if each.from_ms is None else each.from_ms
                yield Intent("technician", "assigned", at, each.technician_id, each.technician_id)
    for message in around.messages:
        yield from customer_message_notices(job, message.message_id, message.at)


def _dispatchers(job: JobFacts, lifecycle: Lifecycle) -> Iterator[Intent]:
    if job.phase(lifecycle) < ARRIVED and job.risk != "none":
        yield Intent("dispatcher", "at_risk" if job.risk == "at_risk" else "running_late", job.updated_at)


def _logged(job: JobFacts, customer_id: str, lifecycle: Lifecycle) -> Iterator[Intent]:
    """Of each kind the newest entry. What was taken back, so that the job is not as far any more, is not told."""
    phase, state = job.phase(lifecycle), lifecycle.like(job.state)
    newest = {lifecycle.like(entry.state): entry.at for entry in job.log}
    logged = _LOGGED if job.window_from_ms is None else (("appointment_set", ("scheduled",)), *_LOGGED)
    for kind, states in logged:
        entry = next((each for each in states if each in newest), None)
        if entry is None:
            continue
        stands = state in _STANDING[kind]
        if stands or phase > PHASES[entry]:
            yield Intent("customer", kind, newest[entry], customer_id, is_overtaken=not stands)


def _expected(
    job: JobFacts, around: Around, known: Collection[Notice], rules: NoticeRules, lifecycle: Lifecycle, now_ms: int
) -> Iterator[Intent]:
    """What follows from when somebody is expected: soon, or later than was said."""
    assert around.customer is not None
    customer_id, state = around.customer.customer_id, lifecycle.like(job.state)
    eta = usable_eta(around.eta, rules, now_ms)
    if eta is not None and state in _STANDING["arriving_soon"] and _is_soon(eta, rules, now_ms):
        yield Intent("customer", "arriving_soon", eta.computed_at, customer_id)
    if state in _STANDING["delayed"]:
        at = _delayed_at(job, eta, known, rules, is_under_way=state == "en_route")
        if at is not None:
            yield Intent("customer", "delayed", at, customer_id)


def _is_soon(eta: Eta, rules: NoticeRules, now_ms: int) -> bool:
    return eta.stops_before == 0 and eta.eta - now_ms <= 60_000 * rules.arriving_soon_min and eta.to_ms >= now_ms


def _delayed_at(
    job: JobFacts, eta: Eta | None, known: Collection[Notice], rules: NoticeRules, *, is_under_way: bool
) -> Instant | None:
    """Since when the window ends later, by more than the rules let pass, than the customer was told last.

    Who was told nothing was promised a window. Without an ETA the promise itself may have moved.
    """
    told = [
        each
        for each in known
        if each.audience == "customer" and each.status in ("pending", "sent") and each.to_ms is not None
    ]
    last = max(told, key=lambda each: (each.updated_at, each.event_at), default=None)
    room_ms = 60_000 * rules.delayed_by_min
    if eta is not None:
        said_ms = job.window_to_ms if last is None else last.to_ms
        return eta.computed_at if said_ms is not None and eta.to_ms - said_ms > room_ms else None
    if is_under_way or last is None or last.kind != "appointment_set" or last.to_ms is None:
        return None
    has_moved = job.window_to_ms is not None and job.window_to_ms - last.to_ms > room_ms
    return job.updated_at if has_moved else None
