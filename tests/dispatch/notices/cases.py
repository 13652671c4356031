"""Jobs of an afternoon in Liverpool, whoever they are for, and ETAs; moments are minutes of the day."""

from typing import Any

import msgspec

from dispatch.job_book import JobBook
from dispatch.notices.facts import Around, JobFacts
from dispatch.notices.rules import NoticeRules
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.eta import Eta
from schemas.job import JobRecord
from schemas.job_command import Command
from schemas.notice import Notice
from schemas.people import Contact, Technician
from schemas.places import Customer
from schemas.times import Instant
from tests.dispatch.examples import after, create, minute

AMINA = Technician(technician_id="amina", name="Amina Okafor", contact=Contact(email="amina@example.com"))
WEBER = Customer(customer_id="weber", name="Ms Weber", contact=Contact(email="weber@example.com"))
NOON = 720.0
"""Of the day 1970-01-01 in UTC, where no one has another time zone."""

ALL_DAY = NoticeRules(quiet_from="00:00", quiet_to="00:00")
"""Without quiet hours."""


def job(*commands: Command, at: float = NOON, rules: DispatchRules | None = None, **plan: Any) -> JobFacts:
    """Created at noon for Ms Weber, from 13:00 to 15:00, then changed."""
    stated = {"customer_id": "weber", "window_from_ms": minute(780), "window_to_ms": minute(900)} | plan
    return facts_of(after(JobBook(rules or DispatchRules()), create(at=at, **stated), *commands))


def facts_of(record: JobRecord) -> JobFacts:
    """What the notifier reads of a job's record."""
    return wire.decode(JobFacts, wire.encode(record))


def around(customer: Customer | None = WEBER, eta: Eta | None = None, **more: Any) -> Around:
    return Around(customer, {"amina": AMINA}, eta=eta, **more)


def eta(arrives: float, computed: float, spread: float = 10, seen: float | None = None, **more: Any) -> Eta:
    """In the middle of a window of twice ``spread`` minutes."""
    return Eta(
        job_id="job-1",
        eta=minute(arrives),
        from_ms=minute(arrives - spread),
        to_ms=minute(arrives + spread),
        level=0.8,
        provider="straight_line",
        computed_at=minute(computed),
        distance_m=1_000.0,
        device_id="van-1",
        technician_id="amina",
        seen_ms=minute(computed if seen is None else seen),
        **more,
    )


def told(notices: list[Notice], audience: str = "customer") -> dict[str, str]:
    """By kind, what becomes of the notices to an audience: why they do not go out, else their status."""
    return {each.kind: each.reason or each.status for each in notices if each.audience == audience}


def sent(notice: Notice, at: float) -> Notice:
    return msgspec.structs.replace(notice, status="sent", sent_at=minute(at), updated_at=minute(at))


def at(hour: int, minutes: int = 0, day: int = 0) -> Instant:
    return minute(1_440 * day + 60 * hour + minutes)
