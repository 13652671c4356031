"""People and places: registers, all that is held of a person, erasures."""

from typing import Any, Final

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
