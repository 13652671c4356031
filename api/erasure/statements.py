"""What becomes of each table of the store when a person is erased: one entry a table, in the order to go by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.erasure import ErasedSpan, Erasure, Subject, is_telling, mark_of


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


_ERASED: Final = "concat('{\"erased\":\"', {pseudonym:String}, '\"}')"
_REDACTED: Final = "transform(job_id, {job_ids:Array(String)}, {revisions:Array(UInt32)}, toUInt32(0))"
_BY_THEM: Final = "(has({actors:Array(String)}, actor_id) OR has({words:Array(String)}, actor_name))"
_UNTIL: Final = "fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC')"
_SIDES: Final = "concat(ifNull(before, ''), ifNull(after, ''))"
_NAMED: Final = "arrayExists(word -> positionCaseInsensitiveUTF8(text, word) > 0, {needles:Array(String)})"


def parameters_of(erasure: Erasure, subject: Subject, revisions: Mapping[str, int]) -> dict[str, Any]:
    """What the conditions are about; ``revisions`` are those of the jobs without the person."""
    quoted = [f'"{each}"' for each in (subject.person_id, *subject.account_names, *subject.words)]
    spans: dict[str, Any] = {}
    for number, (device_id, span) in enumerate(_spans(erasure, subject)):
        spans |= {f"device_{number}": device_id, f"from_{number}": int(span.from_ms), f"to_{number}": int(span.to_ms)}
    return {
        "kind": erasure.kind,
        "person_id": subject.person_id,
        "pseudonym": erasure.erasure_id,
        "at_ms": int(erasure.at),
        "site_ids": subject.site_ids,
        "fence_ids": subject.fence_ids,
        "account_names": subject.account_names,
        "key_ids": subject.key_ids,
        "actors": [*subject.account_names, *subject.key_ids],
        "words": subject.words,
        "needles": [*filter(is_telling, subject.words), *quoted],
        "job_ids": list(revisions),
        "revisions": list(revisions.values()),
        **spans,
    }


def mutations(erasure: Erasure, subject: Subject) -> list[Mutation]:
    """All of them."""
    spans = _spans(erasure, subject)
    told = _told_of(len(spans))
    found = [
        Mutation("webhook_deliveries", f"event_id IN (SELECT event_id FROM events WHERE {told})"),
        Mutation("events", told),
        Mutation("jobs", f"revision < {_REDACTED}"),
        _audit(),
    ]
    if spans:
        found += [
            Mutation("pings", _in_spans("ts", len(spans))),
            Mutation("rejected", f"{_in_spans('received_at', len(spans))} OR {_unreadable(len(spans))}"),
            Mutation("visits", _in_spans("arrived_at", len(spans))),
            Mutation("visit_revisions", _in_spans("arrived_at", len(spans))),
        ]
    if erasure.kind == "technician":
        found += [
            Mutation("technicians", f"technician_id = {{person_id:String}} AND updated_at <= {_UNTIL}"),
            Mutation("holdings", f"technician_id = {{person_id:String}} AND at <= {_UNTIL}"),
        ]
    if erasure.kind == "customer":
        found += [
            Mutation("customers", f"customer_id = {{person_id:String}} AND updated_at <= {_UNTIL}"),
            Mutation("sites", f"has({{site_ids:Array(String)}}, site_id) AND updated_at <= {_UNTIL}"),
            Mutation("fences", f"has({{fence_ids:Array(String)}}, fence_id) AND updated_at <= {_UNTIL}"),
        ]
    return found


def _audit() -> Mutation:
    """That something was written, when and by whom stays, and the hash of it (``audit_id``); what it said goes."""
    update = (
        f"before = if(isNull(before), NULL, {_ERASED}), after = if(isNull(after), NULL, {_ERASED}), "
        "id = if((kind = {kind:String} AND id = {person_id:String}) "
        "OR (kind IN ('account', 'session') AND has({account_names:Array(String)}, id)), {pseudonym:String}, id), "
        f"actor_id = if({_BY_THEM}, {{pseudonym:String}}, actor_id), "
        f"actor_name = if({_BY_THEM}, {{pseudonym:String}}, actor_name)"
    )
    about = (
        "((kind = {kind:String} AND id = {person_id:String}) "
        "OR (kind = 'site' AND has({site_ids:Array(String)}, id)) "
        "OR (kind = 'fence' AND has({fence_ids:Array(String)}, id)) "
        "OR (kind IN ('account', 'session') AND has({account_names:Array(String)}, id)) "
        "OR (kind = 'key' AND has({key_ids:Array(String)}, id)) "
        "OR (kind = 'job' AND has({job_ids:Array(String)}, id)) "
        f"OR {_BY_THEM} OR {_NAMED.replace('text', _SIDES)})"
    )
    is_left = f"(ifNull(before, {_ERASED}) != {_ERASED} OR ifNull(after, {_ERASED}) != {_ERASED} OR {_BY_THEM} "
    is_left += "OR (kind = {kind:String} AND id = {person_id:String}))"
    return Mutation("audit", f"at <= {_UNTIL} AND {about} AND {is_left}", update)


def _spans(erasure: Erasure, subject: Subject) -> list[tuple[str, ErasedSpan]]:
    names = {mark_of("device", device_id): device_id for device_id in subject.device_ids}
    return [(names[span.device], span) for span in erasure.spans if span.device in names]


def _in_spans(moment: str, count: int) -> str:
    return f"({' OR '.join(_in_span('device_id', moment, number) for number in range(count))})"


def _in_span(device: str, moment: str, number: int) -> str:
    return (
        f"({device} = {{device_{number}:String}} "
        f"AND {moment} >= fromUnixTimestamp64Milli({{from_{number}:Int64}}, 'UTC') "
        f"AND {moment} < fromUnixTimestamp64Milli({{to_{number}:Int64}}, 'UTC'))"
    )


def _unreadable(count: int) -> str:
    """Items that name the device, though it could not be read of them."""
    named = (
        f"(position(raw, {{device_{number}:String}}) > 0 "
        f"AND received_at >= fromUnixTimestamp64Milli({{from_{number}:Int64}}, 'UTC') "
        f"AND received_at < fromUnixTimestamp64Milli({{to_{number}:Int64}}, 'UTC'))"
        for number in range(count)
    )
    return f"(device_id = '' AND ({' OR '.join(named)}))"


def _told_of(count: int) -> str:
    """Events of their jobs, of visits in the spans, and those that name them."""
    parts: Sequence[str] = ["has({job_ids:Array(String)}, subject)", _NAMED.replace("text", "concat(data, event)")]
    device = "JSONExtractString(data, 'device_id')"
    moment = "parseDateTime64BestEffortOrZero(JSONExtractString(data, 'arrived_at'), 3, 'UTC')"
    visits = [f"(type LIKE 'visit.%' AND {_in_span(device, moment, number)})" for number in range(count)]
    return f"(recorded_at <= fromUnixTimestamp64Milli({{told_ms:Int64}}, 'UTC') AND ({' OR '.join([*parts, *visits])}))"
