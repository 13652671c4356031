"""ETAs as they are read: of a job, beside jobs, by whoever sees the job."""

from typing import Any

import pytest

from schemas.eta import Eta
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_jobs import created, problem
from tests.api.test_pings import is_problem
from tests.fakes import make_key


def eta(job_id: str, *, in_min: float = 20.0, **more: Any) -> Eta:
    """Said 12 s ago: in so many minutes, give or take five."""
    eta_ms = NOW_MS + round(60_000 * in_min)
    told: dict[str, Any] = {
        "eta": Instant(eta_ms),
        "from_ms": Instant(eta_ms - 300_000),
        "to_ms": Instant(eta_ms + 300_000),
        "level": 0.8,
        "provider": "osrm",
        "computed_at": Instant(NOW_MS - 12_000),
        "distance_m": 9_840.0,
        "device_id": "van-12",
        "technician_id": "amina",
        "seen_ms": Instant(NOW_MS - 14_000),
    }
    return Eta(job_id=job_id, **(told | more))


def test_the_eta_of_a_job_says_its_window_its_provider_and_how_old_it_is(door: Door) -> None:
    created(door, technician_ids=[])
    door.etas.put("j1", eta("j1", stops_before=1))
    assert door.get("/v1/jobs/j1/eta").json() == {
        "job_id": "j1",
        "eta": "2026-03-02T08:35:10.000Z",
        "window_from": "2026-03-02T08:30:10.000Z",
        "window_to": "2026-03-02T08:40:10.000Z",
        "level": 0.8,
        "provider": "osrm",
        "computed_at": "2026-03-02T08:14:58.000Z",
        "distance_m": 9_840.0,
        "device_id": "van-12",
        "technician_id": "amina",
        "seen_at": "2026-03-02T08:14:56.000Z",
        "stops_before": 1,
        "age_s": 12.0,
    }
    door.clock.moment_ms += 60_000
    assert door.get("/v1/jobs/j1/eta").json()["age_s"] == 72.0
    door.etas.put("j1", eta("j1", computed_at=Instant(NOW_MS + 3_600_000)))
    assert door.get("/v1/jobs/j1/eta").json()["age_s"] == 0.0, "by a clock that is ahead"


def test_without_one_the_answer_says_whether_there_is_the_job(door: Door) -> None:
    created(door, technician_ids=[])
    assert problem(door.get("/v1/jobs/j1/eta")) == (404, "no_eta")
    assert problem(door.get("/v1/jobs/none/eta")) == (404, "unknown_job")
    door.etas.put("j1", eta("j1"))
    door.etas.remove("j1")
    assert problem(door.get("/v1/jobs/j1/eta")) == (404, "no_eta")
    door.etas.is_caught_up = False
    assert is_problem(door.get("/v1/jobs/j1/eta"), 503, "unavailable")


def test_jobs_are_answered_with_their_etas(door: Door) -> None:
    created(door, technician_ids=[])
    created(door, job_id="j2", technician_ids=[])
    door.etas.put("j2", eta("j2"))
    of_job = door.get("/v1/jobs/j2/eta").json()
    assert [each["eta"] for each in door.get("/v1/jobs").json()["items"]] == [None, of_job]
    answer = door.get("/v1/jobs/j2")
    assert answer.json()["eta"] == of_job
    door.etas.remove("j2")
    again = door.get("/v1/jobs/j2")
    assert again.json()["eta"] is None
    assert again.headers["etag"] == answer.headers["etag"], "of the job itself, which has not changed"


@pytest.mark.parametrize(("technician_ids", "status"), [(["amina"], 200), (["bo", "amina"], 200), (["bo"], 404)])
def test_technicians_read_the_etas_of_their_own_jobs(door: Door, technician_ids: list[str], status: int) -> None:
    for name in ("amina", "bo"):
        door.post("/v1/technicians", json={"technician_id": name, "name": name})
    created(door, technician_ids=technician_ids)
    door.etas.put("j1", eta("j1"))
    key = make_key("technician", technician_id="amina")
    door.keys.records[key.key_id] = key
    assert door.get("/v1/jobs/j1/eta", role="technician").status_code == status
