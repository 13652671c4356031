"""What becomes of what there is to tell: whether it goes out, now or when the quiet hours are over, or why not."""

from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from dispatch.lifecycle import Lifecycle
from dispatch.notices.facts import Around, JobFacts
from dispatch.notices.intents import Intent, intents, still_stands, usable_eta, window_to_tell
from dispatch.notices.quiet import QuietHours
from dispatch.notices.rules import Channel, NoticeRules
from dispatch.notices.texts import Texts, Told, window_text
from schemas.notice import Notice, NoticeKind, Suppression
from schemas.people import read_clock_time, zone_of
from schemas.places import Customer
from schemas.times import Instant

WAITS: Final[frozenset[NoticeKind]] = frozenset({"appointment_set", "completed", "cancelled"})
"""Kinds that are as true in the morning: they wait for the end of the quiet hours, others are not told then."""

_LONGEST_MS: Final = 3 * 86_400_000
"""What happened longer ago than this is stale, whatever of it was quiet."""


class NoticeBook:
    """Decides under a tenant's rules."""

    def __init__(self, rules: NoticeRules, lifecycle: Lifecycle) -> None:
        self._rules = rules
        self._lifecycle = lifecycle
        self.texts = Texts(rules.texts, rules.language)
        self._quiet = read_clock_time(rules.quiet_from), read_clock_time(rules.quiet_to)

    def news(self, job: JobFacts, around: Around, known: Iterable[Notice], now_ms: Instant) -> list[Notice]:
        """The notices of a job that are new, those that do not go out too; ``known`` are all that there are of it."""
        there = {notice.notice_id: notice for notice in known}
        found: list[Notice] = []
        for intent in intents(job, around, there.values(), self._rules, self._lifecycle, now_ms):
            notice_id = intent.notice_id(job.job_id)
            if notice_id in there:
                continue
            notice = self._gated(_pending(intent, notice_id, job, now_ms), job, around, now_ms)
            if notice.reason in (None, "quiet_hours"):
                notice = self._within_cap(notice, there.values())
            if intent.is_overtaken and notice.reason != "stale":
                notice = _suppressed(notice, "overtaken")
            there[notice_id] = notice
            found.append(notice)
        return found

    def checked(self, notice: Notice, job: JobFacts | None, around: Around, now_ms: Instant) -> Notice:
        """A pending notice as it stands now, before it goes out: it may have become untrue, unwanted, late or early."""
        notice = msgspec.structs.replace(notice, updated_at=_later(now_ms, notice))
        if job is None or not still_stands(notice, job, self._lifecycle):
            return _suppressed(notice, "overtaken")
        if notice.audience == "customer":
            recipient = None if around.customer is None else around.customer.customer_id
            notice = msgspec.structs.replace(notice, recipient_id=recipient, branch=job.branch)
        return self._gated(notice, job, around, now_ms)

    def forgotten(self, job: JobFacts, known: Iterable[Notice], now_ms: Instant) -> list[Notice]:
        """Notices without the person who was erased from the job."""
        if not job.erasures:
            return []
        here = {job.customer_id, None, *(each.technician_id for each in job.assignments)}
        return [
            msgspec.structs.replace(notice, recipient_id=None, updated_at=_later(now_ms, notice))
            for notice in known
            if notice.recipient_id not in here
        ]

    def told(self, notice: Notice, job: JobFacts, around: Around, link: str | None, now_ms: int) -> Told:
        """What the text of a notice can name."""
        zone = zone_of(around.customers_zone if notice.audience == "customer" else around.time_zone)
        language = notice.language or self._rules.language
        return Told(
            company=self._rules.company,
            customer="" if around.customer is None else around.customer.name,
            technician=self._first_name(notice, job, around, now_ms),
            title=job.title,
            window=window_text(notice.from_ms, notice.to_ms, zone, now_ms, language),
            link=link or "",
            job_id=job.job_id,
        )

    def _first_name(self, notice: Notice, job: JobFacts, around: Around, now_ms: int) -> str:
        eta = usable_eta(around.eta, self._rules, now_ms)
        ids = [notice.recipient_id] if notice.audience == "technician" else [eta and eta.technician_id]
        found = (around.technicians.get(each or "") for each in [*ids, *job.technician_ids[:1]])
        technician = next((each for each in found if each is not None), None)
        return "" if technician is None else (technician.name.split() or [""])[0]

    def _gated(self, notice: Notice, job: JobFacts, around: Around, now_ms: Instant) -> Notice:
        """The notice as it goes out, or as it does not; ``due_at`` is when, if the quiet hours have to end first."""
        is_customers = notice.audience == "customer"
        stated = around.customer.language if is_customers and around.customer is not None else None
        channel = self._rules.channel_for(notice.audience, around.contact_of(notice))
        from_ms, to_ms = window_to_tell(notice.kind, job, around.eta, self._rules, now_ms)
        changes: dict[str, Any] = {
            "language": self.texts.language_for(stated),
            "channel": None if channel is None else channel.name,
            "from_ms": from_ms,
            "to_ms": to_ms,
        }
        notice = msgspec.structs.replace(notice, **changes)
        quiet_until_ms = self._quiet_hours(around).until_ms(now_ms) if is_customers else None
        reason = self._reason(notice, around.customer, channel, quiet_until_ms, self._age_ms(notice, around, now_ms))
        if reason is not None:
            return _suppressed(notice, reason)
        return msgspec.structs.replace(notice, due_at=now_ms if quiet_until_ms is None else Instant(quiet_until_ms))

    def _reason(
        self,
        notice: Notice,
        customer: Customer | None,
        channel: Channel | None,
        quiet_until_ms: int | None,
        age_ms: int,
    ) -> Suppression | None:
        """Why a notice does not go out, None where nothing is in its way."""
        if age_ms > 60_000 * self._rules.fresh_min:
            return "stale"
        if notice.kind in self._rules.off:
            return "off"
        if notice.audience == "customer" and (customer is None or customer.opt_out):
            return "no_contact" if customer is None else "opted_out"
        if channel is None:
            return "no_contact"
        if quiet_until_ms is not None and notice.kind not in WAITS:
            return "quiet_hours"
        return None

    def _age_ms(self, notice: Notice, around: Around, now_ms: int) -> int:
        """How long ago that happened which is told; where it may wait, the quiet hours do not count."""
        age_ms = now_ms - notice.event_at
        if notice.kind not in WAITS or not 0 < age_ms < _LONGEST_MS:
            return age_ms
        return self._quiet_hours(around).awake_ms(notice.event_at, now_ms)

    def _quiet_hours(self, around: Around) -> QuietHours:
        return QuietHours(*self._quiet, zone_of(around.customers_zone))

    def _within_cap(self, notice: Notice, known: Collection[Notice]) -> Notice:
        if notice.audience != "customer":
            return notice
        told = sum(each.audience == "customer" and each.status in ("pending", "sent") for each in known)
        return _suppressed(notice, "cap") if told >= self._rules.cap else notice


def _pending(intent: Intent, notice_id: str, job: JobFacts, now_ms: Instant) -> Notice:
    return Notice(
        notice_id=notice_id,
        job_id=job.job_id,
        audience=intent.audience,
        kind=intent.kind,
        status="pending",
        recipient_id=intent.recipient_id,
        branch=job.branch,
        event_at=intent.event_at,
        created_at=now_ms,
        updated_at=now_ms,
    )


def _suppressed(notice: Notice, reason: Suppression) -> Notice:
    return msgspec.structs.replace(notice, status="suppressed", reason=reason, channel=None, due_at=None)


def _later(now_ms: int, notice: Notice) -> Instant:
    """Of two records of a notice the newer one is known by its ``updated_at``."""
    return Instant(max(now_ms, notice.updated_at + 1))
