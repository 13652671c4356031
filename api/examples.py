"""Examples for the OpenAPI document: of every body and every answer. FastAPI drops nulls, so there are none."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
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

FENCE: Final = {
    "type": "Feature",
    "id": "site-7",
    "geometry": {"type": "Point", "coordinates": [-2.9916, 53.4084]},
    "properties": {
        "fence_id": "site-7",
        "kind": "site",
        "version": 1,
        "name": "Royal Liver Building",
        "min_on_site_s": 180.0,
        "radius_m": 60.0,
        "updated_at": "2026-03-01T10:00:00.000Z",
    },
}

FENCES: Final = {"type": "FeatureCollection", "features": [FENCE], "next_cursor": "InNpdGUtNyI"}

_NEW_FENCE: Final = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-2.9916, 53.4084]},
    "properties": {"name": "Royal Liver Building", "radius_m": 60, "min_on_site_s": 180},
}

FENCE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Polygon, MultiPolygon, or Point and LineString with `radius_m`.",
        "content": {
            "application/geo+json": {"schema": {"$ref": "#/components/schemas/Feature"}, "example": _NEW_FENCE}
        },
    }
}

IMPORT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Each feature has its `fence_id` as a property, or an `id`.",
        "content": {
            "application/geo+json": {
                "schema": {"$ref": "#/components/schemas/FeatureCollection"},
                "example": {"type": "FeatureCollection", "features": [FENCE]},
            }
        },
    }
}

IMPORT_ANSWER: Final = {
    "imported": 214,
    "unchanged": 3,
    "rejected": [
        {"index": 12, "fence_id": "site-12", "reason": "fence 'site-12': the polygon's ring 0 crosses itself"}
    ],
}

VISIT: Final = {
    "visit_id": "4f1c2a9be07d",
    "device_id": "van-12",
    "fence_id": "site-7",
    "fence_version": 1,
    "job_id": "job-31",
    "state": "closed",
    "revision": 3,
    "arrived_at": "2026-03-02T08:14:50.000Z",
    "arrived_earliest": "2026-03-02T08:14:40.000Z",
    "arrived_latest": "2026-03-02T08:15:00.000Z",
    "departed_at": "2026-03-02T09:02:05.000Z",
    "departed_earliest": "2026-03-02T09:02:00.000Z",
    "departed_latest": "2026-03-02T09:02:10.000Z",
    "on_site_s": 2835.0,
    "on_site_min_s": 2820.0,
    "on_site_max_s": 2850.0,
    "confidence": 0.97,
    "reason": "departed",
    "fixes": 281,
}

VISITS: Final = {"items": [VISIT], "next_cursor": "InNpdGUtNyI"}

VISIT_ANSWER: Final = {**VISIT, "revisions": [VISIT]}

EXPLAINED: Final = {
    **VISIT,
    "explain": {
        "words": "van-12 arrived at Royal Liver Building at 2026-03-02 08:14:50 and left at 09:02:05: 47 min 15 s on "
        "site; 3 min make a visit. The fixes allow an arrival from 08:14:40 to 08:15:00, and a departure from 09:02:00 "
        "to 09:02:10. It was judged by version 1 of the fence site-7, which holds for all time. Of 331 fixes around it "
        "268 lie inside, 50 outside, 9 too near the boundary to tell; 281 count as being there; left out are 4 "
        "(exactly the position of the fix before: a cached fix under a new time). The first fix clearly inside is of "
        "08:15:00, the last one clearly outside before it of 08:14:40; the last one inside is of 09:02:00, the first "
        "one outside after it of 09:02:10. All times are UTC.",
        "as_of": "2026-03-02T15:02:05.000Z",
        "fence": {
            **FENCE,
            "properties": {
                "fence_id": "site-7",
                "kind": "site",
                "version": 1,
                "name": "Royal Liver Building",
                "min_on_site_s": 180.0,
                "radius_m": 60.0,
            },
        },
        "thresholds": {
            "min_on_site_s": {"value": 180.0, "from": "the fence"},
            "max_accuracy_m": {"value": 250.0, "from": "default"},
            "bridge_s": {"value": 300.0, "from": "default"},
        },
        "counts": {
            "seen": 331,
            "listed": 331,
            "at_fence": 281,
            "inside": 268,
            "outside": 50,
            "undecided": 9,
            "rejected": 4,
            "rejected_why": {"exactly the position of the fix before: a cached fix under a new time": 4},
        },
        "fixes": [
            {
                "ts": "2026-03-02T08:14:40.000Z",
                "lat": 53.4091,
                "lon": -2.9921,
                "verdict": "accepted",
                "why": "25 m outside, and it may be 7 m off",
                "accuracy_m": 8.0,
                "distance_m": 24.6,
                "error_m": 7.3,
                "speed_mps": 4.2,
                "weight": 0.105,
                "at_fence": False,
            },
            {
                "ts": "2026-03-02T08:14:50.000Z",
                "lat": 53.4089,
                "lon": -2.9919,
                "verdict": "undecided",
                "why": "1 m outside, but it may be 7 m off: too near the boundary to tell",
                "accuracy_m": 8.0,
                "distance_m": 0.9,
                "error_m": 7.3,
                "speed_mps": 1.8,
                "weight": 0.105,
                "at_fence": True,
            },
            {
                "ts": "2026-03-02T08:16:20.000Z",
                "lat": 53.4084,
                "lon": -2.9916,
                "verdict": "rejected",
                "why": "exactly the position of the fix before: a cached fix under a new time",
                "accuracy_m": 8.0,
            },
        ],
    },
    "recomputed": VISIT,
    "matches": True,
    "differs": {},
    "held_by": [],
    "finding": "Derived again from the stored fixes, the visit is the same.",
}

TECHNICIAN: Final[dict[str, Any]] = {
    "technician_id": "amina",
    "name": "Amina Yusuf",
    "branch": "liverpool",
    "skills": ["gas", "heat-pump"],
    "device_ids": ["van-12"],
    "shifts": [
        {"from": "08:00", "to": "16:30", "weekly": ["mon", "tue", "wed", "thu", "fri"], "time_zone": "Europe/London"}
    ],
    "depot_fence_id": "depot-liverpool",
    "contact": {"phone": "+44 151 496 0000"},
    "updated_at": "2026-03-01T10:00:00.000Z",
}

CUSTOMER: Final[dict[str, Any]] = {
    "customer_id": "c-204",
    "name": "Mersey Dental",
    "branch": "liverpool",
    "contact": {"phone": "+44 151 496 0001", "email": "desk@dental.example"},
    "time_zone": "Europe/London",
    "language": "en",
    "updated_at": "2026-03-01T10:00:00.000Z",
}

SITE: Final[dict[str, Any]] = {
    "site_id": "s-881",
    "customer_id": "c-204",
    "name": "Practice on the Strand",
    "branch": "liverpool",
    "fence_id": "site-7",
    "address": "1 Strand, Liverpool",
    "lat": 53.4058,
    "lon": -2.9958,
    "updated_at": "2026-03-01T10:00:00.000Z",
}

BRANCH: Final[dict[str, Any]] = {
    "branch": "liverpool",
    "name": "Liverpool",
    "region": "north-west",
    "time_zone": "Europe/London",
    "auto_logging": True,
    "updated_at": "2026-03-01T10:00:00.000Z",
}

DEPOT: Final[dict[str, Any]] = {
    "depot_id": "d-3",
    "name": "Brunswick Dock",
    "branch": "liverpool",
    "fence_id": "depot-liverpool",
    "updated_at": "2026-03-01T10:00:00.000Z",
}

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

_FILTERS: Final = {
    "branch": "of this branch, or of one within it",
    "region": "directly within this region",
    "skill": "who have this skill",
    "device": "who hold this device",
    "customer": "of this customer",
}


def filters(names: Iterable[str]) -> dict[str, Any]:
    """What the document says of the query parameters that a register's list is filtered by."""
    schema = {"type": "string"}
    return {
        "parameters": [{"name": name, "in": "query", "schema": schema, "description": _FILTERS[name]} for name in names]
    }


def stated(example: Mapping[str, Any]) -> dict[str, Any]:
    """Of an entry what people state."""
    return {name: value for name, value in example.items() if name != "updated_at"}


def body(schema: str, example: Any, *media_types: str) -> dict[str, Any]:
    """What the document says of a body of JSON; ``schema`` names a component."""
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {
        "requestBody": {
            "required": True,
            "content": dict.fromkeys(media_types or ("application/json",), content),
        }
    }


BY_SESSION: Final[list[dict[str, list[str]]]] = [{"Session": []}]
"""What the document says of a request that a session's cookie may come with."""

SIGN_IN_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["name", "password"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 200},
                        "password": {"type": "string", "maxLength": 200, "format": "password"},
                        "code": {"type": "string", "maxLength": 12, "description": "of the second factor"},
                    },
                },
                "example": {"name": "amina", "password": "a long one that is hers alone", "code": "492039"},  # nosec B105
            }
        },
    }
}

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
}

JOBS: Final = {"items": [JOB_ANSWER], "next_cursor": "WzE3NzI0NDIwMDAwMDAsImpvYi00NzExIl0"}

HISTORY: Final = {
    "items": [{"at": "2026-03-02T09:00:00.000Z", "job": JOB, "visits": [VISIT]}],
    "next_cursor": "WzE3NzI0NDIwMDAwMDAsImpvYi00NzExIl0",
}

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
    "job": {**JOB, "job_id": "request-5f1c2a9be07d4410", "request_id": "5f1c2a9be07d4410"},
}

_STOP: Final = {
    "job_id": "job-4711",
    "leave_at": "2026-03-02T08:46:00.000Z",
    "arrive_at": "2026-03-02T09:00:00.000Z",
    "start_at": "2026-03-02T09:00:00.000Z",
    "depart_at": "2026-03-02T09:45:00.000Z",
    "travel_s": 840.0,
    "late_s": 0.0,
    "overtime_s": 0.0,
}

_FIGURES: Final = {
    "jobs": 1,
    "left_over": 1,
    "unable": 0,
    "travel_s": 840.0,
    "late_jobs": 0,
    "late_s": 0.0,
    "overtime_s": 0.0,
    "cost_s": 288840.0,
}

_PLAN: Final = {
    "tours": [{"technician_id": "amina", "stops": [_STOP]}],
    "left_over": [{"job_id": "job-4712", "reason": "no_skill"}],
    "figures": _FIGURES,
}

PLAN_REQUEST: Final = {"branch": "north", "iterations": 3000}

PLAN: Final = {
    "plan": _PLAN,
    "current": _PLAN,
    "saves_travel_s": 1860.0,
    "saves_s": 1860.0,
    "changes": [{"job_id": "job-4711", "revision": 2, "from_technician_ids": ["bo"], "technician_ids": ["amina"]}],
    "unplaced": ["job-4713"],
}

PLAN_CHANGES: Final = {"changes": [{"job_id": "job-4711", "technician_ids": ["amina"], "revision": 2}]}

APPLIED_PLAN: Final = {"items": [{"job_id": "job-4711", "revision": 3, "problem": ""}]}

MOVES: Final = {
    "items": [
        {
            "job_id": "job-4711",
            "from_technician_id": "bo",
            "technician_id": "amina",
            "stop": _STOP,
            "saves_s": 640.0,
            "saves_travel_s": 640.0,
            "saves_late_s": 0.0,
        }
    ]
}

OFFERS: Final = {
    "items": [
        {
            "technician_id": "amina",
            "stop": _STOP,
            "delays": [{"job_id": "job-4712", "by_s": 3540.0, "late_s": 0.0}],
            "overtime_s": 0.0,
        }
    ]
}

JOBS_CSV: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "CSV, a job a line, by id",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": '"job_id","state"\n"job-4711","completed"\n'}
        },
    }
}

ERASURE: Final = {
    "erasure_id": "erased-5f1c2a9be07d",
    "kind": "technician",
    "at": "2026-03-02T10:09:30.000Z",
    "branch": "liverpool",
    "done": {"access": 2, "jobs": 41, "registers": 1},
    "next_step": "tracks",
    "trouble": "waiting for tracker: 8 partitions have not been gone through",
    "out_of_reach": False,
    "remains": [{"topic": "onsite.pings", "until": "2026-03-10T11:09:30.000Z"}],
}

PERSONAL_DATA: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "NDJSON, a line for each thing that is held",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"kind":"technician","data":{"technician_id":"amina","name":"Amina"}}\n'
                '{"kind":"end","data":{"lines":1}}\n',
            }
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

_REPORT_COLUMNS: Final = [
    {"name": "day", "unit": "date", "about": "by the tenant's clock (`time_zone` of the rules)"},
    {"name": "jobs", "unit": "count", "about": "jobs that are done"},
]

REPORTS: Final = {
    "items": [{"name": "productivity", "about": "What was done, on the day it was.", "columns": _REPORT_COLUMNS}]
}

_REPORT_ANSWER: Final = {
    "name": "productivity",
    "from": "2026-03-01T00:00:00.000Z",
    "to": "2026-04-01T00:00:00.000Z",
    "time_zone": "Europe/London",
    "columns": _REPORT_COLUMNS,
    "rows": [["2026-03-02", 7]],
}

MOVEMENT: Final = {
    "movement_id": "7d2c9be07d44105f",
    "sku": "filter-12",
    "quantity": "2",
    "from": {"kind": "depot", "place_id": "d-3"},
    "to": {"kind": "van", "place_id": "amina"},
    "at": "2026-03-02T07:30:00.000Z",
    "recorded_at": "2026-03-02T07:31:12.004Z",
    "actor": "session:amina",
    "reason": "for the week",
}

_NEW_MOVEMENT: Final = {
    name: MOVEMENT[name] for name in ("movement_id", "sku", "quantity", "from", "to", "at", "reason")
}

MOVEMENTS: Final = {"items": [MOVEMENT], "next_cursor": "WzE3NzI0MzY2MDAwMDAsIjdkMmMiXQ"}

MOVEMENT_OUTCOMES: Final = {
    "items": [
        {"index": 0, "movement_id": "7d2c9be07d44105f", "is_new": True, "code": "", "problem": ""},
        {
            "index": 1,
            "is_new": False,
            "code": "unknown_reference",
            "problem": "$.to: there is no technician 'nobody'",
        },
    ]
}

LEVEL: Final = {
    "holder": "van:amina",
    "branch": "liverpool",
    "sku": "filter-12",
    "quantity": "3",
    "threshold": "5",
    "is_low": True,
    "moved_at": "2026-03-02T07:30:00.000Z",
}

STOCK: Final = {"items": [LEVEL], "next_cursor": "InZhbjphbWluYVxuZmlsdGVyLTEyIg"}


def _one_or_more(schema: str, *, one: Any) -> dict[str, Any]:
    """What the document says of a body that is one thing or a list of them."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    several = {"type": "array", "items": reference, "minItems": 1, "maxItems": 1_000}
    content = {"schema": {"anyOf": [reference, several]}, "examples": {"one": {"value": one}, "list": {"value": [one]}}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


MOVEMENTS_BODY: Final = _one_or_more("NewMovement", one=_NEW_MOVEMENT)

PARTS_BODY: Final = _one_or_more("NewPart", one={"sku": "filter-12", "quantity": "1"})

MOVE: Final = {"to": "in_progress", "at": "2026-03-02T09:20:00Z", "reason": "begun"}

SESSION: Final = {"account": "amina", "role": "viewer", "expires_at": "2026-03-02T20:15:00.000Z"}

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

_PROBLEMS: Final = {
    400: ("malformed_body", "malformed JSON: Expecting value: line 1 column 1 (char 0)"),
    401: ("unauthorized", "send the header Authorization: Bearer <key>"),
    403: ("forbidden", "the role device does not have the permission fences:write"),
    404: ("unknown_device", "no fix of a device 'van-13' was ever seen"),
    409: ("too_many_fixes", "there are more than 1000000 fixes around this visit"),
    410: ("fence_gone", "the fence 'site-7' has ended; see /v1/fences/site-7/versions"),
    412: ("changed", "the fence is not in the state that If-Match asks for"),
    413: ("body_too_large", "the body exceeds 2097152 bytes"),
    422: ("key_reused", "the Idempotency-Key was used for something else before"),
    415: ("unsupported_media_type", "content type 'text/html'; understood are application/json, text/csv"),
    429: ("not_its_turn", "others' backlogs come first; send it again in 7 s"),
    503: ("unavailable", "the broker has not confirmed within 10 s"),
}
_GEOJSON_TYPES: Final = ("Feature", "FeatureCollection")


def problem(status: int) -> dict[str, Any]:
    """The OpenAPI response of an error."""
    code, detail = _PROBLEMS[status]
    phrase = HTTPStatus(status).phrase
    example = {"type": f"urn:onsite:problem:{code}", "title": phrase, "status": status, "code": code, "detail": detail}
    return {
        "description": phrase,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }


def answers(status: int, description: str, schema: str | None, example: Any, *errors: int) -> dict[int | str, Any]:
    """The OpenAPI responses of a route: its good answer with an example, and the errors it can give.

    ``schema`` names a component; for GeoJSON it is told by the example.
    """
    answer: dict[str, Any] = {"description": description}
    if example is not None:
        kind = example.get("type") if isinstance(example, dict) else None
        media_type = "application/geo+json" if kind in _GEOJSON_TYPES else "application/json"
        name = kind if kind in _GEOJSON_TYPES else schema
        plain = {"type": "array" if isinstance(example, list) else "object"}
        reference = {"$ref": f"#/components/schemas/{name}"} if name else plain
        answer["content"] = {media_type: {"schema": reference, "example": example}}
    return {status: answer, **{error: problem(error) for error in errors}}


REPORT: Final = answers(200, "Rows, or lines of CSV", "ReportAnswer", _REPORT_ANSWER, 400, 404, 503)
REPORT[200]["content"]["text/csv"] = {"schema": {"type": "string"}, "example": '"day","jobs"\n"2026-03-02",7\n'}
