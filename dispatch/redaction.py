"""A job without a person who was erased: what was done, when, with what and for how much stays; who it was does not.

Evidence of positions is kept as it stands, under the pseudonym: nothing that is told of the device later changes it, so
the log goes on saying when somebody came and left.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from schemas.job import Assignment, Evidence, JobRecord, LogEntry, Word
from schemas.job_command import RedactJob
from schemas.times import Instant

STRUCK: Final = "[erased]"

_Said = TypeVar("_Said", bound=LogEntry)

_TEXTS: Final = ("title", "notes", "address", "fault")


def redacted(record: JobRecord, wish: RedactJob, now_ms: Instant, *, is_over: bool) -> JobRecord:
    """The record without the person. The same again: the same record, so that it can be written anew."""
    after = _without_words(record, wish)
    if wish.kind == "technician":
        after = _without_technician(after, wish, now_ms, is_over=is_over)
    elif wish.kind == "customer":
        after = _without_customer(after, wish)
    erasures = sorted({*record.erasures, wish.pseudonym})
    return msgspec.structs.replace(after, words=_words(after.words, wish), erasures=erasures, eta=None)


def redacted_in_archive(record: JobRecord, wish: RedactJob, was_theirs: Callable[[str, int], bool]) -> JobRecord:
    """The same of an archived job, whose log is all there is of what it followed from, as a further revision.

    ``was_theirs`` says whether the person had a device at a moment (epoch ms). When it last changed stays as it is.
    """
    log = [_entry(each, wish, was_theirs) for each in record.log]
    visit_ids = record.visit_ids
    if wish.kind != "account":  # who came for visits that the log does not name is not known
        named = {each.visit_id for each in log}
        visit_ids = [each for each in visit_ids if each in named]
    after = redacted(record, wish, record.updated_at, is_over=True)
    return msgspec.structs.replace(after, log=log, visit_ids=visit_ids, revision=record.revision + 1)


def struck(text: str, words: Sequence[str]) -> str:
    """A text without the words that name somebody, in whatever case."""
    for word in words:
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", STRUCK, text, flags=re.IGNORECASE)
    return text


def _without_words(record: JobRecord, wish: RedactJob) -> JobRecord:
    words = wish.words
    changed: dict[str, Any] = {
        name: struck(text, words) for name in _TEXTS if (text := getattr(record, name)) is not None
    }
    changed["checklist"] = [msgspec.structs.replace(each, text=struck(each.text, words)) for each in record.checklist]
    changed["attachments"] = [msgspec.structs.replace(each, url=struck(each.url, words)) for each in record.attachments]
    if record.geocoded is not None and record.geocoded.label is not None:
        changed["geocoded"] = msgspec.structs.replace(record.geocoded, label=struck(record.geocoded.label, words))
    return msgspec.structs.replace(record, **changed)


def _without_technician(record: JobRecord, wish: RedactJob, now_ms: Instant, *, is_over: bool) -> JobRecord:
    """Who does it is told by the pseudonym where it is over; else somebody else has to do it."""
    ids = [wish.pseudonym if each == wish.person_id else each for each in record.technician_ids]
    return msgspec.structs.replace(
        record,
        technician_ids=ids if is_over else [each for each in ids if each != wish.pseudonym],
        assignments=[_assignment(each, wish, None if is_over else now_ms) for each in record.assignments],
        evidence=[
            _frozen(each, wish.pseudonym, wish.pseudonym) if each.technician_id == wish.person_id else each
            for each in record.evidence
        ],
    )


def _without_customer(record: JobRecord, wish: RedactJob) -> JobRecord:
    """Everything that says where they live or what they said goes; the number in another system stays."""
    return msgspec.structs.replace(
        record,
        customer_id=wish.pseudonym if record.customer_id in (wish.person_id, wish.pseudonym) else record.customer_id,
        site_id=None if record.site_id in wish.site_ids else record.site_id,
        title=record.job_type or "",
        notes="",
        fault=None,
        fence_id=None,
        address=None,
        lat=None,
        lon=None,
        geocoded=None,
        request_id=None,
        checklist=[],
        attachments=[],
        recurrence=None,
        evidence=[_frozen(each, wish.pseudonym, each.technician_id) for each in record.evidence],
    )


def _assignment(assignment: Assignment, wish: RedactJob, ends_ms: Instant | None) -> Assignment:
    if assignment.technician_id != wish.person_id:
        return assignment
    to_ms = ends_ms if assignment.to_ms is None else assignment.to_ms
    return msgspec.structs.replace(assignment, technician_id=wish.pseudonym, to_ms=to_ms)


def _frozen(evidence: Evidence, device: str, technician_id: str) -> Evidence:
    approaches = [msgspec.structs.replace(each, visit_id=None) for each in evidence.approaches]
    return msgspec.structs.replace(evidence, device_id=device, technician_id=technician_id, approaches=approaches)


def _words(words: Sequence[Word], wish: RedactJob) -> list[Word]:
    """Their own words say that they were said, of others' the reasons are gone through; a customer's have no place."""
    return [_word(each, wish) for each in words]


def _entry(entry: LogEntry, wish: RedactJob, was_theirs: Callable[[str, int], bool]) -> LogEntry:
    if entry.source != "automatic":
        return _word(entry, wish)
    is_theirs = wish.kind == "technician" and was_theirs(entry.actor, entry.at)
    if wish.kind == "customer" or is_theirs:
        return msgspec.structs.replace(entry, actor=wish.pseudonym, visit_id=None)
    return entry


def _word(word: _Said, wish: RedactJob) -> _Said:
    if word.actor in wish.actors or word.actor == wish.pseudonym:
        return msgspec.structs.replace(word, actor=wish.pseudonym, reason="", lat=None, lon=None)
    if wish.kind == "customer":
        return msgspec.structs.replace(word, reason="", lat=None, lon=None)
    return msgspec.structs.replace(word, reason=struck(word.reason, wish.words))
