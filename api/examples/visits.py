"""Visits, and why they are there."""

from typing import Final

from api.examples.fences import FENCE

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
