"""Jobs: plans, answers, transitions, costs, invoices, calendars."""

from typing import Any, Final

from api.examples.visits import VISIT

NEW_JOB: Final = {
    "job_id": "job-4711",
    "title": "Boiler service",
    "customer_id": "hill",
    "lat": 53.4084,
    "lon": -2.9916,
    "address": "1 Water Street",
    "branch": "north",
    "window_from": "2026-03-02T09:00:00Z",
    "window_to": "2026-03-02T11:00:00Z",
    "duration_s": 2700.0,
    "priority": "normal",
    "skills": ["gas"],
    "technician_ids": ["amina"],
    "parts": [{"sku": "filter-12", "quantity": 1.0, "unit_cost": 14.5}],
    "checklist": [{"text": "Photo of the meter"}],
}

JOB: Final = {
    **NEW_JOB,
    "fence_id": "point-5f1c2a9be07d",
    "checklist": [{"text": "Photo of the meter", "done": True}],
    "notes": "",
    "attachments": [{"kind": "photo", "url": "https://files.example.com/meter.jpg"}],
    "revision": 6,
    "created_at": "2026-03-01T15:02:11.020Z",
    "updated_at": "2026-03-02T10:03:40.512Z",
    "state": "completed",
    "risk": "none",
    "travel_s": 840.0,
    "on_site_s": 2460.0,
    "waiting_s": 0.0,
    "visit_ids": ["4f1c2a9be07d"],
    "log": [
        {
            "state": "completed",
            "at": "2026-03-02T09:58:12.000Z",
            "recorded_at": "2026-03-02T10:03:40.512Z",
            "source": "automatic",
            "actor": "van-12",
            "reason": "departed",
            "visit_id": "4f1c2a9be07d",
        }
    ],
}

JOB_ANSWER: Final = {
    **JOB,
    "sla": [
        {
            "promise": "resolution",
            "state": "met",
            "due_at": "2026-03-04T09:02:11.020Z",
            "remaining_s": 50_400.0,
        }
    ],
    "archived": False,
}

ETA: Final = {
    "job_id": "job-4711",
    "eta": "2026-03-02T09:11:20.000Z",
    "window_from": "2026-03-02T09:05:10.000Z",
    "window_to": "2026-03-02T09:19:40.000Z",
    "level": 0.8,
    "provider": "osrm",
    "computed_at": "2026-03-02T08:57:30.000Z",
    "distance_m": 9840.0,
    "device_id": "van-12",
    "technician_id": "amina",
    "seen_at": "2026-03-02T08:57:24.000Z",
    "stops_before": 0,
    "age_s": 12.4,
}

JOBS: Final = {"items": [JOB_ANSWER], "next_cursor": "WzE3NzI0NDIwMDAwMDAsImpvYi00NzExIl0"}

HISTORY: Final = {
    "items": [{"at": "2026-03-02T09:00:00.000Z", "job": JOB, "visits": [VISIT]}],
    "next_cursor": "WzE3NzI0NDIwMDAwMDAsImpvYi00NzExIl0",
}

JOBS_CSV: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "CSV, a job a line, by id",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": '"job_id","state"\n"job-4711","completed"\n'}
        },
    }
}

COST: Final = {
    "job_id": "job-4711",
    "revision": 6,
    "state": "completed",
    "lines": [
        {"description": "Labour", "quantity": "0.68", "unit": "h", "unit_price": "58", "amount": "39.44"},
        {"description": "filter-12", "quantity": "1.0", "unit": "pcs", "unit_price": "14.5", "amount": "14.50"},
    ],
    "total": "53.94",
}

INVOICE_PLAN: Final = {"state": "paid", "invoice_id": "INV-2026-0881", "amount": "64.73", "at": "2026-03-09T10:00:00Z"}

INVOICE: Final = {
    "job_id": "job-4711",
    "state": "paid",
    "invoice_id": "INV-2026-0881",
    "amount": "64.73",
    "invoiced_at": "2026-03-02T12:00:00.000Z",
    "paid_at": "2026-03-09T10:00:00.000Z",
    "updated_at": "2026-03-09T10:00:02.512Z",
    "branch": "north",
}

CALENDAR: Final = {
    "technician_id": "amina",
    "url": "https://onsite.example.com/v1/technicians/amina/calendar.ics?token=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}

CALENDAR_ICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "RFC 5545",
        "content": {"text/calendar": {"schema": {"type": "string"}, "example": "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n…"}},
    }
}

MOVE: Final = {"to": "in_progress", "at": "2026-03-02T09:20:00Z", "reason": "begun"}
