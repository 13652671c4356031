"""What an erasure is about: everything by which a person is known, gathered when it is ordered."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, cast

import msgspec

from api.history.personal_data import Person, accounts_of, every_job_of, keys_of, places_of, requests_of
from api.jobs.archive import archived_jobs
from api.ports import StoredJobQuery, StoreOfErasures
from api.services import Services
from schemas.account import Account
from schemas.erasure import COMPACTIONS, ErasedSpan, Erasure, Remainder, Subject, actors_of, is_telling, mark_of
from schemas.job import JobRecord
from schemas.people import Technician
from schemas.places import Customer, Depot
from schemas.times import Instant
from schemas.topics import PENDING, ROUNDS, TOLD, TOPICS

_SHORTEST_WORD: Final = 3
"""Shorter ones would be found everywhere."""
_TURN: Final = 500
_PAGE: Final = 1_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000


async def erasure_of_person(person: Person, erasure_id: str, services: Services, store: StoreOfErasures) -> Erasure:
    """Of a technician or a customer. Raises StoreUnavailable."""
    record = cast(Technician | Customer, person.record)
    contact = record.contact
    words = {record.name, *await store.words_of(person.kind, person.id)}
    words |= {each for each in (contact and contact.phone, contact and contact.email) if each}
    spans: list[ErasedSpan] = []
    devices: list[str] = []
    if isinstance(record, Technician):
        for device_id, when in person.held.items():
            devices.append(device_id)
            mark = mark_of("device", device_id)
            spans += [ErasedSpan(mark, Instant(span.from_ms), Instant(span.to_ms)) for span in when]
    accounts = accounts_of(person, services)
    job_ids = {job.job_id async for job in every_job_of(person, services)}
    subject = Subject(
        person_id=person.id,
        device_ids=devices,
        site_ids=[site.site_id for site in person.sites],
        fence_ids=sorted(_own_fences(person, services)),
        account_names=[each.name for each in accounts],
        key_ids=[each.key_id for each in keys_of(person, services)],
        job_ids=sorted(job_ids),
        place_ids=[place.place_id for place in places_of(person, services)],
        request_ids=[request.request_id for request in requests_of(person, job_ids, services)],
        words=sorted(word for word in words if len(word) >= _SHORTEST_WORD),
    )
    subject = await _with_jobs_that_name(subject, services)
    return _ordered(person.kind, person.id, erasure_id, subject, record.branch, spans, services)


async def erasure_of_account(account: Account, erasure_id: str, services: Services) -> Erasure:
    """Of somebody who has an account and is nobody's technician. Raises StoreUnavailable."""
    subject = Subject(account.name, account_names=[account.name], words=[account.name] if "@" in account.name else [])
    subject = await _with_jobs_that_name(subject, services)
    return _ordered("account", account.name, erasure_id, subject, None, [], services)


def _ordered(
    kind: str,
    person_id: str,
    erasure_id: str,
    subject: Subject,
    branch: str | None,
    spans: list[ErasedSpan],
    services: Services,
) -> Erasure:
    now_ms = services.clock.now_ms()
    return Erasure(
        erasure_id=erasure_id,
        kind=kind,  # type: ignore[arg-type]
        person=mark_of(kind, person_id),
        at=now_ms,
        branch=branch,
        spans=spans,
        subject=subject,
        remains=list(_remainders(now_ms, services.settings.compaction_lag_s)),
    )


def _remainders(now_ms: int, compaction_lag_s: float) -> Iterator[Remainder]:
    """Until when the broker may still hold something: it ends segments each day, and looks after them now and then."""
    for topic in (*TOPICS, ROUNDS, TOLD, PENDING):
        if topic.retention_days is None:
            continue  # kept for good: it has ids of vans, and nothing else of anybody
        days_ms = (topic.retention_days + 1) * _DAY_MS
        until_ms = (COMPACTIONS + 1) * round(1000 * compaction_lag_s) if topic.compacted else days_ms
        yield Remainder(topic.name, Instant(now_ms + until_ms + _HOUR_MS))


def _own_fences(person: Person, services: Services) -> set[str]:
    """The fences that are theirs alone: drawn around their sites, and nobody else's."""
    theirs = {site.fence_id for site in person.sites if site.fence_id is not None}
    own = {site.site_id for site in person.sites}
    for name in ("sites", "depots", "technicians"):
        for entry in services.registers[name].records.values():
            if isinstance(entry, Technician):
                theirs.discard(entry.depot_fence_id or "")
            elif isinstance(entry, Depot) or getattr(entry, "site_id", None) not in own:
                theirs.discard(getattr(entry, "fence_id", None) or "")
    return theirs


async def _with_jobs_that_name(subject: Subject, services: Services) -> Subject:
    """With the jobs, archived ones too, in whose logs they speak, and those whose texts name them."""
    actors, words = set(actors_of(subject)), [word.lower() for word in subject.words if is_telling(word)]
    found = set(subject.job_ids)
    for number, job in enumerate(list(services.jobs.records.values())):
        if any(word.actor in actors for word in job.words) or _names(job, words):
            found.add(job.job_id)
        if number % _TURN == 0:
            await asyncio.sleep(0)  # other requests are served between
    query = StoredJobQuery(_PAGE, actors=tuple(sorted(actors)), words=tuple(words))
    found |= {job.job_id async for job in archived_jobs(query, services)}
    return msgspec.structs.replace(subject, job_ids=sorted(found))


def _names(job: JobRecord, words: Sequence[str]) -> bool:
    texts = (job.title, job.notes, job.address or "", job.fault or "", *(each.text for each in job.checklist))
    said = (*(each.url for each in job.attachments), *(each.reason for each in job.words))
    text = "\n".join((*texts, *said)).lower()
    return any(word in text for word in words)
