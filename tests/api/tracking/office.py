"""An office with a customer who follows a job through its link: what happens there, told to the API."""

from typing import Any, Final

import msgspec

from schemas.eta import Eta
from schemas.live import LiveState
from schemas.times import Instant
from tests.api.conftest import Door

MINUTE_MS: Final = 60_000
HOME: Final = (53.4, -2.99)
JOB: Final = {
    "job_id": "j1",
    "title": "Boiler",
    "notes": "the key is under the mat",
    "address": "1 Strand",
    "lat": HOME[0],
    "lon": HOME[1],
    "branch": "liverpool",
    "customer_id": "hill",
    "window_from": "2026-03-02T09:00:00Z",
    "window_to": "2026-03-02T11:00:00Z",
    "technician_ids": ["tech-77"],
}


def link(door: Door, job_id: str = "j1") -> str:
    answer = door.post(f"/v1/jobs/{job_id}/tracking-link", role="dispatcher")
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


def track(door: Door, token: str) -> dict[str, Any]:
    answer = door.get(f"/v1/track/{token}", role=None)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def move(door: Door, state: str, job_id: str = "j1") -> None:
    answer = door.post(f"/v1/jobs/{job_id}/transitions", json={"to": state})
    assert answer.status_code == 200, answer.text


def drive(door: Door, lat: float = 53.42, lon: float = -2.95, **more: Any) -> None:
    """The van is somewhere, now."""
    now_ms = Instant(door.clock.moment_ms)
    live = LiveState("van-12", now_ms, lat, lon, 8.0, 9.0, None, 0.5, "moving", [], now_ms)
    door.put_live(msgspec.structs.replace(live, **more))


def eta_in(door: Door, minutes: float, **more: Any) -> None:
    now_ms = door.clock.moment_ms
    at = Instant(now_ms + round(minutes * MINUTE_MS))
    eta = Eta(
        job_id="j1",
        eta=at,
        from_ms=Instant(at - 5 * MINUTE_MS),
        to_ms=Instant(at + 10 * MINUTE_MS),
        level=0.8,
        provider="straight_line",
        computed_at=Instant(now_ms),
        distance_m=4_200.0,
        device_id="van-12",
        technician_id="tech-77",
        seen_ms=Instant(now_ms),
    )
    door.etas.put("j1", msgspec.structs.replace(eta, **more))
