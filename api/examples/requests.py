"""Service requests, and places of addresses."""

from typing import Final

from api.examples.jobs import JOB_ANSWER

PLACES: Final = {
    "status": "found",
    "items": [
        {
            "label": "Aeulestrasse 6, 9490 Vaduz",
            "lat": 47.1389,
            "lon": 9.5214,
            "kind": "house",
            "precision_m": 10.0,
            "source": "offline",
            "is_exact": True,
        }
    ],
}

NEW_REQUEST: Final = {
    "external_id": "web-20931",
    "branch": "liverpool",
    "customer": {"name": "Mersey Dental", "contact": {"phone": "+44 151 496 0001"}},
    "title": "The boiler loses pressure",
    "description": "Since Monday; the key is at the desk.",
    "address": "1 Strand, Liverpool",
    "wished": [{"from": "2026-03-03T09:00:00Z", "to": "2026-03-03T12:00:00Z"}],
    "priority": "high",
    "skills": ["gas"],
    "attachments": [{"kind": "photo", "url": "https://files.example.com/gauge.jpg"}],
}

REQUEST: Final = {
    **NEW_REQUEST,
    "request_id": "5f1c2a9be07d4410",
    "state": "received",
    "created_at": "2026-03-02T08:15:02.310Z",
    "updated_at": "2026-03-02T08:15:02.310Z",
}

REQUESTS: Final = {"items": [REQUEST], "next_cursor": "WzE3NzI0MzkzMDIzMTAsIjVmMWMyYTliZTA3ZDQ0MTAiXQ"}

DECLINED_REQUEST: Final = {**REQUEST, "state": "declined", "reason": "outside the area we serve"}

ACCEPTANCE: Final = {"job": {"technician_ids": ["amina"], "duration_s": 3600.0}, "create_site": True}

ACCEPTED_REQUEST: Final = {
    "request": {**REQUEST, "state": "accepted", "job_id": "request-5f1c2a9be07d4410"},
    "job": {**JOB_ANSWER, "job_id": "request-5f1c2a9be07d4410", "request_id": "5f1c2a9be07d4410"},
}
