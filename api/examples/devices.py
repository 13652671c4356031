"""Devices: live states, tracks, who is nearest, enrolments."""

from typing import Any, Final

DEVICE: Final = {
    "device_id": "van-12",
    "state": "on_site",
    "ts": "2026-03-02T08:15:00.000Z",
    "age_s": 4.2,
    "lat": 53.4084,
    "lon": -2.9916,
    "accuracy_m": 8.0,
    "speed_mps": 0.4,
    "bearing_deg": 271.0,
    "battery": 0.83,
    "open_visits": ["4f1c2a9be07d"],
    "updated_at": "2026-03-02T08:15:03.100Z",
    "clock_skew_s": -0.4,
    "clock_skew_error_s": 1.0,
}

DEVICES: Final = {"items": [DEVICE], "next_cursor": "InZhbi0xMiI"}

NEAREST: Final = {
    "items": [
        {
            "technician_id": "amina",
            "name": "Amina",
            "distance_m": 1240.5,
            "travel_s": 276.0,
            "eta": "2026-03-02T08:19:46.000Z",
            "provider": "straight_line",
            "lat": 53.4084,
            "lon": -2.9916,
            "at": "2026-03-02T08:15:00.000Z",
            "available": False,
            "on_shift": True,
            "job_id": "job-4711",
            "free_at": "2026-03-02T08:40:00.000Z",
        }
    ]
}

TRACK: Final = {
    "type": "Feature",
    "id": "van-12",
    "geometry": {"type": "LineString", "coordinates": [[-2.9916, 53.4084], [-2.9914, 53.4085]]},
    "properties": {
        "device_id": "van-12",
        "times": ["2026-03-02T08:15:00.000Z", "2026-03-02T08:15:10.000Z"],
        "accuracy_m": [8.0, None],
        "fixes": 2,
        "truncated": False,
    },
}

ENROLMENT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"minutes": {"type": "integer", "minimum": 1, "maximum": 1440, "default": 30}},
                },
                "example": {"minutes": 30},
            }
        },
    }
}

ENROLMENT: Final = {
    "device_id": "van-12",
    "key_id": "3f9a0c1d2e4b",
    "url": "https://onsite.example.com/enrol/eyJhbGciOiJkaXIi…",
    "expires_at": "2026-03-02T08:45:00.000Z",
}
