"""Pings, as they are posted and answered."""

from typing import Any, Final

PING: Final = {
    "device_id": "van-12",
    "ts": "2026-03-02T08:15:00Z",
    "lat": 53.4084,
    "lon": -2.9916,
    "accuracy_m": 8.0,
    "speed_mps": 0.4,
    "battery": 0.83,
    "sent_at": "2026-03-02T08:15:02Z",
}

PINGS_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "One ping, an array, one a line, or CSV with the names as columns; gzip is understood.",
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Ping"},
                        {"type": "array", "items": {"$ref": "#/components/schemas/Ping"}},
                    ]
                },
                "examples": {"one": {"value": PING}, "array": {"value": [PING]}},
            },
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"device_id":"van-12","ts":"2026-03-02T08:15:00Z","lat":53.4084,"lon":-2.9916}\n'
                '{"device_id":"van-12","ts":"2026-03-02T08:15:10Z","lat":53.4085,"lon":-2.9914}\n',
            },
            "text/csv": {
                "schema": {"type": "string"},
                "example": "device_id,ts,lat,lon,accuracy_m\nvan-12,2026-03-02T08:15:00Z,53.4084,-2.9916,8\n",
            },
        },
    }
}

APP_BODIES: Final[dict[str, dict[str, Any]]] = {
    "osmand": {
        "location": {
            "timestamp": "2026-03-02T08:15:00.000Z",
            "coords": {"latitude": 53.4084, "longitude": -2.9916, "accuracy": 8, "speed": 1.5, "heading": 271},
            "battery": {"level": 0.83},
        },
        "device_id": "van-12",
    },
    "owntracks": {"_type": "location", "lat": 53.4084, "lon": -2.9916, "tst": 1772439300, "acc": 8, "tid": "JD"},
    "overland": {
        "locations": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [-2.9916, 53.4084]},
                "properties": {"timestamp": "2026-03-02T08:15:00Z", "horizontal_accuracy": 8, "device_id": "van-12"},
            }
        ]
    },
    "gpslogger": {"device_id": "van-12", "lat": "53.4084", "lon": "-2.9916", "time": "2026-03-02T08:15:00Z"},
}
"""A message of each app, as JSON."""


def app_body(name: str) -> dict[str, Any]:
    """What the document says of an app's requests."""
    message = APP_BODIES[name]
    schema = {"type": "object", "required": sorted(message), "additionalProperties": True}
    content = {"application/json": {"schema": schema, "example": message}}
    return {"requestBody": {"required": False, "description": "As the app writes it.", "content": content}}


PINGS_ANSWER: Final = {
    "accepted": 1,
    "rejected": [{"index": 1, "reason": "lat_out_of_range: 91.0 is not within -90..90"}],
}

REJECTED_PAGE: Final = {
    "items": [
        {
            "device_id": "van-12",
            "code": "lat_out_of_range",
            "reason": "lat_out_of_range: 91.0 is not within -90..90",
            "received_at": "2026-03-02T08:15:02.310Z",
            "protocol": "json",
            "raw": '{"device_id":"van-12","ts":"2026-03-02T08:15:00Z","lat":91.0,"lon":-2.9916}',
        }
    ],
    "next_cursor": "WzE3NzI0MzkzMDIzMTAsIjVmMWMyYTliZTA3ZDQ0MTAiXQ",
}
