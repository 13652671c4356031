"""Carries erasures out, step after step, each of which may be done again: whoever dies on the way is followed."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

import msgspec
import structlog

from api.background import Background
from api.erasure.book import ErasureBook
from api.erasure.statements import mutations, parameters_of, values_of
from api.http.problems import Problem
from api.jobs.commands import new_request_id
from api.ports import Recorded, StoredJobQuery, StoreOfErasures, StoreUnavailable
from api.services import Services
from dispatch.erased import ErasedSpans
from dispatch.redaction import redacted_in_archive
from dispatch.tracking import struck
from schemas import topics, wire
from schemas.erasure import COMPACTIONS, ErasedSpan, Erasure, Honoured, StepName, Subject, actors_of
from schemas.job_command import RedactJob, Sender
from schemas.times import Instant
from schemas.topics import LogUnavailable, Topic

LOOK_EVERY_S: Final = 1.0
LEFT_ALONE_MS: Final = 30_000
"""An erasure that nobody has tended for so long is taken over."""
READ_BACK_S: Final = 10.0
RECORDED_WITHIN_S: Final = 60.0
CLEANER_S: Final = 15.0
"""So often the broker looks what there is to compact."""

JOBS_AT_ONCE: Final = 32
ARCHIVED_AT_ONCE: Final = 200
"""Their ids travel in an address, which may not be too long."""

ERASER: Final = Sender("system", "erasure")

_RECORDED: Final = (
    topics.PINGS, topics.PINGS_REJECTED, topics.VISITS, topics.JOBS, topics.ETAS, topics.TECHNICIANS, topics.CUSTOMERS,
    topics.SITES, topics.FENCES, topics.REQUESTS, topics.STOCK, topics.AUDIT, topics.EVENTS, topics.WEBHOOK_DELIVERIES,
    topics.NOTIFICATIONS, topics.TRACKING,
)  # fmt: skip
"""What has to be in the store before it is erased there."""

_COMPACTED: Final = tuple(topic for topic in topics.TOPICS if topic.compacted and topic is not topics.JOBS)
"""Jobs have one writer, who is told to write them again instead."""

_CHANGELOGS: Final = (topics.ROUNDS, topics.TOLD, topics.PENDING)

_NUDGES: Final = 128
"""Keys of nothing, so many that each partition gets one."""

log = structlog.get_logger()


class NotYet(Exception):  # noqa: N818 -- a condition of others
    """A step waits for something; try again."""


class Eraser(Background):
    """Of one process; several share the work, one erasure at a time each."""

    def __init__(self, services: Services, book: ErasureBook, store: StoreOfErasures, recorded: Recorded) -> None:
        self._services = services
        self._book = book
        self._store = store
        self._recorded = recorded
        self._me = secrets.token_hex(6)
        self._steps: Mapping[StepName, Callable[[Erasure, Subject], Awaitable[int]]] = {
            "access": self._shut_out,
            "jobs": self._strike_from_jobs,
            "registers": self._strike_from_registers,
            "tracks": self._await_tracks,
            "store": self._erase_from_store,
        }

    async def _tend(self) -> None:
        while True:
            for erasure in list(self._book.model.records.values()):
                if erasure.finished_at is None and self._is_ours(erasure):
                    try:
                        await self.go_on(erasure)
                    except LogUnavailable as error:
                        log.warning("erasure waits", erasure=erasure.erasure_id, why=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    def _is_ours(self, erasure: Erasure) -> bool:
        if erasure.tended_by == self._me or erasure.tended_at is None:
            return True
        return self._services.clock.now_ms() - erasure.tended_at > LEFT_ALONE_MS * self._services.settings.clock_rate

    def _is_tended(self, erasure: Erasure) -> bool:
        """Whether others know that it is looked after here."""
        age_ms = self._services.clock.now_ms() - (erasure.tended_at or 0)
        return erasure.tended_by == self._me and 3 * age_ms < LEFT_ALONE_MS * self._services.settings.clock_rate

    async def go_on(self, erasure: Erasure) -> Erasure:
        """Do what can be done now; raises LogUnavailable."""
        while (step := erasure.next_step) is not None and step != "log":
            subject = erasure.subject
            assert subject is not None
            if not self._is_tended(erasure):
                erasure = await self._keep(erasure)
            try:
                count = await self._steps[step](erasure, subject)
            except (NotYet, StoreUnavailable, LogUnavailable) as error:
                if str(error) != erasure.trouble:
                    log.info("erasure waits", erasure=erasure.erasure_id, step=step, why=str(error))
                    erasure = await self._keep(erasure, trouble=str(error))
                return erasure
            log.info("erasure goes on", erasure=erasure.erasure_id, step=step, things=count)
            spans = self._ended(erasure) if step == "registers" else erasure.spans
            erasure = await self._keep(erasure, done=erasure.done | {step: count}, spans=spans, trouble="")
        return await self._compact(erasure)

    async def _keep(self, erasure: Erasure, **changes: object) -> Erasure:
        """Write how far it has come."""
        now_ms = self._services.clock.now_ms()
        after = msgspec.structs.replace(erasure, tended_by=self._me, tended_at=now_ms, **changes)
        await self._append(topics.ERASURES, {after.erasure_id: wire.encode(after)})
        model = self._book.model
        await model.until(lambda: model.records.get(after.erasure_id) == after, READ_BACK_S)
        return after

    def _ended(self, erasure: Erasure) -> list[ErasedSpan]:
        """Up to now they held what they held when it was ordered; from here on nobody does."""
        now_ms = self._services.clock.now_ms()
        return [
            msgspec.structs.replace(span, to_ms=Instant(max(now_ms, span.to_ms))) if span.to_ms >= erasure.at else span
            for span in erasure.spans
        ]

    async def _append(self, topic: Topic, records: Mapping[str, bytes | None]) -> None:
        if records:
            await self._services.log.append(topic, list(records.items()))

    async def _shut_out(self, _: Erasure, subject: Subject) -> int:
        """Their accounts with their sessions, their keys, and the tokens of the devices they hold."""
        await self._append(topics.ACCOUNTS, dict.fromkeys(subject.account_names))
        await self._append(topics.KEYS, dict.fromkeys(subject.key_ids))
        await self._append(topics.KEYS_USED, dict.fromkeys(subject.key_ids))
        return len(subject.account_names) + len(subject.key_ids)

    async def _strike_from_jobs(self, erasure: Erasure, subject: Subject) -> int:
        """With what customers said of these jobs through their links; the stars stay, and what was revoked."""
        count = await self._redact_jobs(erasure, subject)
        book, now_ms = self._services.tracking.book, self._services.clock.now_ms()
        said = [struck(book.records[each], now_ms) for each in subject.job_ids if each in book.records]
        await self._append(topics.TRACKING, {each.job_id: wire.encode(each) for each in said})
        return count

    async def _redact_jobs(self, erasure: Erasure, subject: Subject) -> int:
        """Each by its writer: first of all, while it is still known which evidence is theirs."""
        jobs = [job_id for job_id in subject.job_ids if job_id in self._services.jobs.records]
        for first in range(0, len(jobs), JOBS_AT_ONCE):
            some = jobs[first : first + JOBS_AT_ONCE]
            await asyncio.gather(*(self._redact_job(job_id, erasure, subject) for job_id in some))
        return len(jobs)

    async def _redact_job(self, job_id: str, erasure: Erasure, subject: Subject) -> None:
        try:
            await self._services.desk.carry_out(self._wish(job_id, erasure, subject))
        except Problem as problem:
            if problem.status != 404:
                raise NotYet(f"the job {job_id}: {problem.detail}") from problem

    def _wish(self, job_id: str, erasure: Erasure, subject: Subject) -> RedactJob:
        return RedactJob(
            job_id=job_id,
            sender=ERASER,
            key=f"{erasure.erasure_id}/{secrets.token_hex(4)}",
            issued_at=self._services.clock.now_ms(),
            request_id=new_request_id(),
            kind=erasure.kind,
            person_id=subject.person_id,
            pseudonym=erasure.erasure_id,
            actors=actors_of(subject),
            words=subject.words,
            site_ids=subject.site_ids,
        )

    async def _strike_from_registers(self, erasure: Erasure, subject: Subject) -> int:
        struck: dict[Topic, list[str]] = {}
        if erasure.kind == "technician":
            struck = {topics.TECHNICIANS: [subject.person_id], topics.CALENDARS: [subject.person_id]}
        elif erasure.kind == "customer":
            struck = {
                topics.CUSTOMERS: [subject.person_id],
                topics.SITES: subject.site_ids,
                topics.FENCES: subject.fence_ids,
                topics.PLACES: subject.place_ids,
                topics.REQUESTS: subject.request_ids,
            }
        for topic, keys in struck.items():
            await self._append(topic, dict.fromkeys(keys))
        return sum(map(len, struck.values()))

    async def _await_tracks(self, erasure: Erasure, subject: Subject) -> int:
        """The trackers and foremen forget by themselves, and say so; then go live states and ETAs, for good."""
        if not erasure.spans:
            return 0
        words = set(_words_awaited(erasure, self._services.settings.partitions))
        if missing := words - self._book.honoured.records.keys():
            waits = sorted({word.split("/")[1] for word in missing})
            raise NotYet(f"waiting for {' and '.join(waits)}: {len(missing)} partitions have not been gone through")
        spans, live = self._book.spans, self._services.live.records
        shown = [each for each in subject.device_ids if each in live and spans.covers(each, live[each].ts_ms)]
        await self._append(topics.LIVE, dict.fromkeys(shown))
        etas = self._services.etas.records.items()
        said = [job_id for job_id, eta in etas if spans.covers(eta.device_id, eta.seen_ms)]
        await self._append(topics.ETAS, dict.fromkeys(said))
        await self._append(topics.ERASURES_HONOURED, dict.fromkeys(sorted(words)))
        return len({span.device for span in erasure.spans})

    async def _erase_from_store(self, erasure: Erasure, subject: Subject) -> int:
        if not await self._recorded.recorded(_RECORDED, RECORDED_WITHIN_S):
            raise NotYet("waiting for the recorder: not everything is in the store yet")
        records = self._services.jobs.records
        revisions = {job_id: records[job_id].revision for job_id in subject.job_ids if job_id in records}
        revisions |= await self._redact_archived(erasure, subject)
        parameters = parameters_of(erasure, subject, int(self._services.clock.now_ms()))
        values = values_of(erasure, subject, revisions)
        return await self._store.carry_out(mutations(erasure, subject), parameters, values)

    async def _redact_archived(self, erasure: Erasure, subject: Subject) -> dict[str, int]:
        """Jobs that have no writer any more, a revision further each time; the revisions, by job."""
        spans = ErasedSpans()
        spans.changed(erasure.erasure_id, erasure)
        archived = [job_id for job_id in subject.job_ids if job_id not in self._services.jobs.records]
        revisions: dict[str, int] = {}
        for first in range(0, len(archived), ARCHIVED_AT_ONCE):
            some = tuple(archived[first : first + ARCHIVED_AT_ONCE])
            stored = await self._services.history.jobs(StoredJobQuery(len(some), job_ids=some))
            redacted = [
                redacted_in_archive(job, self._wish(job.job_id, erasure, subject), spans.covers) for job in stored
            ]
            if redacted:
                await self._store.rewrite_jobs(redacted)
            revisions |= {job.job_id: job.revision for job in redacted}
        return revisions

    async def _compact(self, erasure: Erasure) -> Erasure:
        """See to it that the broker compacts what was before: it does that only where something is written later."""
        settings, rounds = self._services.settings, erasure.compactions
        apart_ms = 1000 * (settings.compaction_lag_s + CLEANER_S) * settings.clock_rate
        if self._services.clock.now_ms() - erasure.at < (rounds + 1) * apart_ms:
            return erasure
        if erasure.subject is not None:
            await self._redact_jobs(erasure, erasure.subject)
            erasure = await self._keep(erasure, subject=None, compactions=1)
        else:
            erasure = await self._keep(erasure, compactions=rounds + 1)
        nudges: dict[str, bytes | None] = {f".nudge-{number}": None for number in range(_NUDGES)}
        for topic in _COMPACTED:
            await self._append(topic, nudges)
        for topic in _CHANGELOGS:
            with contextlib.suppress(LogUnavailable):  # there is none where that part was never started
                await self._append(topic, nudges)
        if erasure.compactions < COMPACTIONS:
            return erasure
        log.info("erasure finished", erasure=erasure.erasure_id)
        return await self._keep(
            erasure, done=erasure.done | {"log": COMPACTIONS}, finished_at=Instant(self._services.clock.now_ms())
        )


def _words_awaited(erasure: Erasure, partitions: int) -> Iterator[str]:
    for number in range(partitions):
        yield Honoured(erasure.erasure_id, "tracker", number).key
        yield Honoured(erasure.erasure_id, "foreman", number).key
