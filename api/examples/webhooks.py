"""Webhooks, deliveries, schemas of events."""

from typing import Any, Final

WEBHOOK: Final[dict[str, Any]] = {
    "webhook_id": "5f1c2a9be07d4410",
    "url": "https://erp.example.com/onsite",
    "events": ["job.completed", "job.invoice_ready", "visit.*"],
    "branch": "liverpool",
    "description": "invoices",
    "active": True,
    "created_at": "2026-03-01T10:00:00.000Z",
    "updated_at": "2026-03-01T10:00:00.000Z",
}

NEW_WEBHOOK: Final = {name: WEBHOOK[name] for name in ("url", "events", "branch", "description")}

WEBHOOK_ANSWER: Final = {**WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}  # nosec B105

ATTEMPTED: Final = {"status": 204, "answer": "", "duration_s": 0.112}

DELIVERIES: Final = {
    "items": [
        {
            "webhook_id": "5f1c2a9be07d4410",
            "event_id": "0c9be07d44105f1c2a9be07d44105f1c",
            "event_type": "job.completed",
            "branch": "liverpool",
            "at": "2026-03-02T08:15:02.310Z",
            "outcome": "failed",
            "attempt": 10,
            "status": 500,
            "answer": "out of order",
            "duration_s": 0.204,
        }
    ],
    "next_cursor": "WzE3NzI0MzkzMDIzMTAsIjBjOWJlMDdkIl0",
}

REPLAY: Final = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z", "types": ["job.*"]}

EVENT_SCHEMAS: Final = {
    "items": [{"type": "webhook.test", "dataschema": "urn:onsite:event:webhook.test:1"}],
}

EVENT_SCHEMA: Final = {
    "type": "webhook.test",
    "schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:onsite:event:webhook.test:1",
        "title": "webhook.test",
        "type": "object",
        "properties": {"webhook_id": {"type": "string"}},
        "required": ["webhook_id"],
    },
    "example": {
        "specversion": "1.0",
        "id": "6c9be07d44105f1c2a9be07d44105f1c",
        "source": "/onsite",
        "type": "webhook.test",
        "subject": "5f1c2a9be07d4410",
        "time": "2026-03-02T10:09:30.000Z",
        "recordedtime": "2026-03-02T10:10:02.110Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:onsite:event:webhook.test:1",
        "branch": "liverpool",
        "data": {"webhook_id": "5f1c2a9be07d4410"},
    },
}
