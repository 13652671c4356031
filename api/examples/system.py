"""The audit, readiness, metrics."""

from typing import Any, Final

AUDIT_PAGE: Final = {
    "items": [
        {
            "audit_id": "5f1c2a9be07d44105f1c2a9be07d4410",
            "at": "2026-03-02T08:15:02.310Z",
            "actor": {"way": "session", "identity": "amina", "name": "amina"},
            "role": "dispatcher",
            "action": "edited",
            "kind": "customer",
            "id": "c-204",
            "branch": "liverpool",
            "before": {"customer_id": "c-204", "name": "Mersey Dental", "branch": "liverpool"},
            "after": {"customer_id": "c-204", "name": "Mersey Dental Ltd", "branch": "liverpool"},
        }
    ],
    "next_cursor": "WzE3NzI0MzkzMDIzMTAsIjVmMWMyYTliZTA3ZDQ0MTAiXQ",
}

READY: Final = {
    "ready": True,
    "checks": {"broker": "ok", "store": "ok", "keys": "ok", "fences": "ok", "devices": "ok", "technicians": "ok"},
}

NOT_READY: Final = {
    "ready": False,
    "checks": {**READY["checks"], "store": "the store does not answer"},  # type: ignore[dict-item]
}

METRICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Prometheus' text format",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "onsite_pings_accepted_total 36804.0\n"}},
    }
}
