"""Tracking links, and what customers see and say through them."""

from typing import Any, Final

_TOKEN: Final = "AQHC2uQAAGpvYi00NzExa2V5cyBvZiBhIHJhbmRvbSBoYXNo"

LINK: Final = {
    "job_id": "job-4711",
    "url": f"https://onsite.example.com/t/{_TOKEN}",
    "token": _TOKEN,
    "expires_at": "2026-03-16T11:00:00.000Z",
}

_JOB: Final = {
    "title": "Boiler service",
    "company": "Northern Heating",
    "window_from": "2026-03-02T09:00:00.000Z",
    "window_to": "2026-03-02T11:00:00.000Z",
    "time_zone": "Europe/London",
    "language": "en",
    "expires_at": "2026-03-16T11:00:00.000Z",
}

ANSWER: Final[dict[str, Any]] = {
    **_JOB,
    "state": "on_the_way",
    "eta": {
        "eta": "2026-03-02T09:12:30.000Z",
        "window_from": "2026-03-02T09:05:00.000Z",
        "window_to": "2026-03-02T09:20:00.000Z",
        "computed_at": "2026-03-02T08:58:10.000Z",
    },
    "technician": "Amina",
    "position": {
        "lat": 53.4251,
        "lon": -2.9673,
        "at": "2026-03-02T08:58:05.000Z",
        "distance_m": 2450.0,
        "bearing_deg": 41.0,
    },
    "can_write": True,
    "can_rate": False,
}

RATING: Final = {"rating": 5, "comment": "Friendly, and on time."}

RATED: Final[dict[str, Any]] = {**_JOB, **RATING, "state": "completed", "can_write": False, "can_rate": True}

NEW_MESSAGE: Final = {"text": "The gate is open, the dog is harmless."}

MESSAGE: Final = {"message_id": "5f1c2a9be07d4410", **NEW_MESSAGE, "at": "2026-03-02T08:40:02.310Z"}

WORDS: Final = {
    "job_id": "job-4711",
    **RATING,
    "rated_at": "2026-03-02T17:20:11.040Z",
    "messages": [MESSAGE],
    "revoked_at": "2026-03-01T16:00:00.000Z",
}
