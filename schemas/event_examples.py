"""An example of each type of event, as docs/events.md shows them. Of jobs some fields are left out."""

from typing import Any, Final

from schemas.event import EVENT_TYPES, OWN_STATE, SOURCE, JobMoved, schema_of


def _event(number: int, event_type: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{number}c9be07d44105f1c2a9be07d44105f1c",
        "source": SOURCE,
        "type": event_type,
        "subject": subject,
        "time": "2026-03-02T10:09:30.000Z",
        "recordedtime": "2026-03-02T10:10:02.110Z",
        "datacontenttype": "application/json",
        "dataschema": schema_of(event_type),
        "branch": "liverpool",
        "data": data,
    }


def _job(revision: int, state: str) -> dict[str, Any]:
    return {
        "job_id": "job-4711",
        "revision": revision,
        "created_at": "2026-03-01T15:02:11.020Z",
        "updated_at": "2026-03-02T10:10:02.110Z",
        "state": state,
        "title": "Boiler service",
        "branch": "liverpool",
        "on_site_s": 2835.0,
    }


_ENTRY: Final = {
    "state": "completed",
    "at": "2026-03-02T10:09:30.000Z",
    "recorded_at": "2026-03-02T10:10:02.110Z",
    "source": "automatic",
    "actor": "van-12",
    "reason": "departed",
    "visit_id": "4f1c2a9be07d",
}

_ESCALATION: Final = {
    "escalation_id": "9be07d44105f1c2a",
    "job_id": "job-4711",
    "promise": "response",
    "fraction": 0.5,
    "at": "2026-03-02T09:00:00.000Z",
}

_LINES: Final = [
    {"description": "Labour", "quantity": "0.79", "unit": "h", "unit_price": "58", "amount": "45.82"},
    {"description": "filter-12", "quantity": "1.0", "unit": "pcs", "unit_price": "14.5", "amount": "14.50"},
]

_LOW: Final = {
    "low_stock_id": "7d2c9be07d44105f:low_stock",
    "place": {"kind": "van", "place_id": "amina"},
    "sku": "filter-12",
    "balance": "3",
    "level": "5",
    "movement_id": "7d2c9be07d44105f",
    "at": "2026-03-02T10:09:30.000Z",
}

_VISIT: Final = {
    "visit_id": "4f1c2a9be07d",
    "device_id": "van-12",
    "fence_id": "site-7",
    "fence_version": 1,
    "job_id": "job-4711",
    "state": "closed",
    "revision": 3,
    "arrived_at": "2026-03-02T09:22:15.000Z",
    "arrived_earliest": "2026-03-02T09:22:10.000Z",
    "arrived_latest": "2026-03-02T09:22:20.000Z",
    "departed_at": "2026-03-02T10:09:30.000Z",
    "departed_earliest": "2026-03-02T10:09:25.000Z",
    "departed_latest": "2026-03-02T10:09:35.000Z",
    "on_site_s": 2835.0,
    "on_site_min_s": 2825.0,
    "on_site_max_s": 2845.0,
    "confidence": 0.97,
    "reason": "departed",
    "fixes": 281,
}

_REQUEST: Final = {
    "request_id": "5f1c2a9be07d4410",
    "external_id": "web-20931",
    "branch": "liverpool",
    "title": "The boiler loses pressure",
    "customer": {"name": "Mersey Dental"},
    "state": "accepted",
    "created_at": "2026-03-02T08:15:02.310Z",
    "updated_at": "2026-03-02T10:09:30.000Z",
    "job_id": "request-5f1c2a9be07d4410",
}

_NOTICE: Final = {
    "notice_id": "5f1c2a9be07d44105f1c2a9be07d4410",
    "job_id": "job-4711",
    "audience": "customer",
    "kind": "en_route",
    "status": "sent",
    "channel": "crm",
    "recipient_id": "c-204",
    "branch": "liverpool",
    "language": "en",
    "event_at": "2026-03-02T10:09:30.000Z",
    "created_at": "2026-03-02T10:10:02.110Z",
    "updated_at": "2026-03-02T10:10:02.110Z",
    "sent_at": "2026-03-02T10:10:02.110Z",
    "attempt": 1,
    "window_from": "2026-03-02T10:25:00.000Z",
    "window_to": "2026-03-02T10:40:00.000Z",
}

_BODY: Final = "Hello Mersey Dental, Amina is on the way to you and arrives 10:25–10:40."

_REVISED: Final = {**_ENTRY, "at": "2026-03-02T10:08:50.000Z", "recorded_at": "2026-03-02T11:30:00.000Z"}

EXAMPLES: Final[tuple[dict[str, Any], ...]] = (
    _event(0, "job.completed", "job-4711", {"job": _job(6, "completed"), "entry": _ENTRY}),
    _event(1, "job.edited", "job-4711", {"job": _job(2, "scheduled")}),
    _event(2, "job.log_revised", "job-4711", {"job": _job(7, "completed"), "was": _ENTRY, "now": _REVISED}),
    _event(3, "job.escalated", "job-4711", {"job": _job(3, "scheduled"), "escalation": _ESCALATION}),
    _event(
        4,
        "job.invoice_ready",
        "job-4711",
        {"job": _job(6, "completed"), "lines": _LINES, "total": "60.32", "problem": None},
    ),
    _event(7, "stock.low", "van:amina/filter-12", _LOW),
    _event(5, "visit.closed", "4f1c2a9be07d", _VISIT),
    _event(8, "request.accepted", "5f1c2a9be07d4410", {"request": _REQUEST}),
    _event(
        9,
        "notice.en_route",
        "job-4711",
        {"notice": _NOTICE, "subject": "Mersey Heating: on the way to you", "body": _BODY},
    ),
    _event(6, "webhook.test", "5f1c2a9be07d4410", {"webhook_id": "5f1c2a9be07d4410"}),
)
"""One of each kind of ``data``."""

_OWN: Final = "awaiting_parts"
"""A state of a tenant's own, for example."""


def example_of(event_type: str) -> dict[str, Any]:
    """An event of a type, of ``EVENT_TYPES`` or ``OWN_STATE``."""
    kind = EVENT_TYPES.get(event_type, JobMoved)
    example = next(each for each in EXAMPLES if EVENT_TYPES[each["type"]] is kind)
    if event_type == example["type"]:
        return example
    named = f"job.{_OWN}" if event_type == OWN_STATE else event_type
    data = dict(example["data"])
    state = named.partition(".")[2]
    if "entry" in data:
        data |= {"job": data["job"] | {"state": state}, "entry": data["entry"] | {"state": state}}
    elif named.startswith("visit."):
        data["state"] = state
    elif named.startswith("request."):
        data["request"] = data["request"] | {"state": state}
    elif named.startswith("notice."):
        data["notice"] = data["notice"] | {"kind": state}
    elif named in ("job.at_risk", "job.late"):
        data["job"] = data["job"] | {"risk": state}
    return example | {"type": named, "dataschema": schema_of(event_type), "data": data}
