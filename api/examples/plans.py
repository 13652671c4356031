"""Plans of a day, moves and offers."""

from typing import Final

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
