"""What becomes of each table of the store when a person is erased: one entry a table, in the order to go by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.erasure import ErasedSpan, Erasure, Subject, actors_of, is_telling, mark_of


@dataclass(frozen=True)
class Mutation:
    """Of ``table``, rows that meet ``condition`` go, or (``update``) are changed."""

    table: str
    condition: str
    update: str | None = None

    @property
    def statement(self) -> str:
        """To carry it out."""
        what = f"UPDATE {self.update}" if self.update else "DELETE"
        return f"ALTER TABLE {self.table} {what} WHERE {self.condition}"

    @property
    def count(self) -> str:
        """To ask how many rows it still concerns."""
        return f"SELECT count() FROM {self.table} WHERE {self.condition}"


def _of(name: str) -> str:
    """Of the erasure the values of a name, to be looked in with IN."""
    return f"(SELECT value FROM erasing WHERE erasure_id = {{erasure_id:String}} AND name = '{name}')"


_ERASED: Final = "concat('{\"erased\":\"', {erasure_id:String}, '\"}')"
_REDACTED: Final = (
    "(SELECT old.job_id, old.revision FROM jobs AS old INNER JOIN erasing AS new ON new.value = old.job_id "
    "WHERE new.erasure_id = {erasure_id:String} AND new.name = 'job_id' AND old.revision < new.number)"
)
_BY_THEM: Final = f"(actor_id IN {_of('actor')} OR actor_name IN {_of('word')})"
_ABOUT_THEM: Final = (
    f"((kind = {{kind:String}} AND id IN {_of('person_id')}) "
    f"OR (kind = 'calendar' AND id IN {_of('person_id')}) "
    f"OR (kind IN ('account', 'session') AND id IN {_of('account_name')}))"
)
_UNTIL: Final = "fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC')"
_FROM_THEM: Final = f"(from_kind = 'van' AND from_id IN {_of('person_id')})"
_TO_THEM: Final = f"(to_kind = 'van' AND to_id IN {_of('person_id')})"
_TOLD_BY_THEM: Final = f"actor IN {_of('sender')}"
_STOCK_MOVED: Final = (
    "stock_movements",
    f"recorded_at <= {_UNTIL} AND ({_FROM_THEM} OR {_TO_THEM} OR {_TOLD_BY_THEM})",
    f"from_id = if({_FROM_THEM}, {{erasure_id:String}}, from_id), "
    f"to_id = if({_TO_THEM}, {{erasure_id:String}}, to_id), "
    f"actor = if({_TOLD_BY_THEM}, {{erasure_id:String}}, actor)",
)
"""What moved, when and how much stays; whose van it was goes."""
_NOTICED: Final = (
    "notifications",
    f"audience = {{kind:String}} AND recipient_id IN {_of('person_id')} AND created_at <= {_UNTIL}",
    "recipient_id = NULL",
)
"""That somebody was told something of a job stays; who it was goes."""
_SIDES: Final = "concat(ifNull(before, ''), ifNull(after, ''))"


def _named(text: str) -> str:
    needles = _of("needle").replace("SELECT value", "SELECT groupArray(value)")
    return f"arrayExists(needle -> positionCaseInsensitiveUTF8({text}, needle) > 0, {needles})"


def parameters_of(erasure: Erasure, subject: Subject, told_ms: int) -> dict[str, Any]:
    """What is bound in the statements; of the person nothing. Events told up to ``told_ms`` go."""
    found: dict[str, Any] = {"erasure_id": erasure.erasure_id, "kind": erasure.kind, "told_ms": told_ms}
    found["at_ms"] = int(erasure.at)
    for number, (_, span) in enumerate(_spans(erasure, subject)):
        found |= {f"from_{number}": int(span.from_ms), f"to_{number}": int(span.to_ms)}
    return found


def values_of(erasure: Erasure, subject: Subject, revisions: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(name, value, number) of all that the statements look up; ``revisions``: of the jobs, without the person."""
    quoted = [f'"{each}"' for each in (subject.person_id, *subject.account_names, *subject.words)]
    values = {
        "person_id": [subject.person_id],
        "site_id": subject.site_ids,
        "fence_id": subject.fence_ids,
        "account_name": subject.account_names,
        "key_id": subject.key_ids,
        "actor": [*subject.account_names, *subject.key_ids],
        "sender": actors_of(subject),
        "place_id": subject.place_ids,
        "request_id": subject.request_ids,
        "word": subject.words,
        "needle": [*filter(is_telling, subject.words), *quoted],
    }
    values |= {f"device_{number}": [device_id] for number, (device_id, _) in enumerate(_spans(erasure, subject))}
    plain = [(name, value, 0) for name, some in values.items() for value in some]
    return plain + [("job_id", job_id, revision) for job_id, revision in revisions.items()]


def mutations(erasure: Erasure, subject: Subject) -> list[Mutation]:
    """All of them."""
    spans = _spans(erasure, subject)
    told = _told_of(len(spans))
    found = [
        Mutation("webhook_deliveries", f"event_id IN (SELECT event_id FROM events WHERE {told})"),
        Mutation("events", told),
        Mutation("jobs", f"(job_id, revision) IN {_REDACTED}"),
        Mutation(
            "ratings", f"job_id IN {_of('job_id')} AND rated_at <= {_UNTIL} AND comment IS NOT NULL", "comment = NULL"
        ),
        _audit(),
    ]
    if spans:
        found += [
            Mutation("pings", _in_spans("ts", len(spans))),
            Mutation("rejected", f"{_in_spans('received_at', len(spans))} OR {_unreadable(len(spans))}"),
            Mutation("visits", _in_spans("arrived_at", len(spans))),
            Mutation("visit_revisions", _in_spans("arrived_at", len(spans))),
            Mutation("etas", _in_spans("seen_at", len(spans))),
        ]
    if erasure.kind == "technician":
        found += [
            Mutation("technicians", f"technician_id IN {_of('person_id')} AND updated_at <= {_UNTIL}"),
            Mutation("etas", f"technician_id IN {_of('person_id')} AND computed_at <= {_UNTIL}"),
            Mutation(*_STOCK_MOVED),
            Mutation("holdings", f"technician_id IN {_of('person_id')} AND at <= {_UNTIL}"),
            Mutation(*_NOTICED),
        ]
    if erasure.kind == "customer":
        found += [
            Mutation("customers", f"customer_id IN {_of('person_id')} AND updated_at <= {_UNTIL}"),
            Mutation("sites", f"site_id IN {_of('site_id')} AND updated_at <= {_UNTIL}"),
            Mutation("fences", f"fence_id IN {_of('fence_id')} AND updated_at <= {_UNTIL}"),
            Mutation(*_NOTICED),
            Mutation("requests", f"request_id IN {_of('request_id')} AND updated_at <= {_UNTIL}"),
        ]
    return found


def _audit() -> Mutation:
    """That something was written, when and by whom stays, and the hash of it (``audit_id``); what it said goes."""
    update = (
        f"before = if(isNull(before), NULL, {_ERASED}), after = if(isNull(after), NULL, {_ERASED}), "
        f"id = if({_ABOUT_THEM}, {{erasure_id:String}}, id), "
        f"actor_id = if({_BY_THEM}, {{erasure_id:String}}, actor_id), "
        f"actor_name = if({_BY_THEM}, {{erasure_id:String}}, actor_name)"
    )
    things = ("site", "fence", "key", "job", "place", "request")
    about = " OR ".join(f"(kind = '{thing}' AND id IN {_of(f'{thing}_id')})" for thing in things)
    is_left = f"ifNull(before, {_ERASED}) != {_ERASED} OR ifNull(after, {_ERASED}) != {_ERASED}"
    concerned = f"{_ABOUT_THEM} OR {about} OR {_BY_THEM} OR {_named(_SIDES)}"
    return Mutation("audit", f"at <= {_UNTIL} AND ({concerned}) AND ({is_left} OR {_BY_THEM} OR {_ABOUT_THEM})", update)


def _spans(erasure: Erasure, subject: Subject) -> list[tuple[str, ErasedSpan]]:
    names = {mark_of("device", device_id): device_id for device_id in subject.device_ids}
    return [(names[span.device], span) for span in erasure.spans if span.device in names]


def _in_spans(moment: str, count: int) -> str:
    return f"({' OR '.join(_in_span('device_id', moment, number) for number in range(count))})"


def _in_span(device: str, moment: str, number: int) -> str:
    return f"({device} IN {_of(f'device_{number}')} AND {_within(moment, number)})"


def _within(moment: str, number: int) -> str:
    return (
        f"{moment} >= fromUnixTimestamp64Milli({{from_{number}:Int64}}, 'UTC') "
        f"AND {moment} < fromUnixTimestamp64Milli({{to_{number}:Int64}}, 'UTC')"
    )


def _unreadable(count: int) -> str:
    """Items that name the device, though it could not be read of them."""
    named = " OR ".join(
        f"(position(raw, {_of(f'device_{number}').replace('SELECT value', 'SELECT any(value)')}) > 0 "
        f"AND {_within('received_at', number)})"
        for number in range(count)
    )
    return f"(device_id = '' AND ({named}))"


def _told_of(count: int) -> str:
    """Events of their jobs, of visits in the spans, and those that name them."""
    device = "JSONExtractString(data, 'device_id')"
    moment = "parseDateTime64BestEffortOrZero(JSONExtractString(data, 'arrived_at'), 3, 'UTC')"
    visits = [f"(type LIKE 'visit.%' AND {_in_span(device, moment, number)})" for number in range(count)]
    parts = " OR ".join([f"subject IN {_of('job_id')}", _named("concat(data, event)"), *visits])
    return f"(recorded_at <= fromUnixTimestamp64Milli({{told_ms:Int64}}, 'UTC') AND ({parts}))"
