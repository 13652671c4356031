"""Jobs that the foreman has let go: read from the store by who may see them, changed by nobody."""

from typing import Any

import anyio
import msgspec
import pytest

from api.erasure.eraser import Eraser
from schemas import wire
from schemas.account import Account
from schemas.job import JobRecord, LogEntry
from schemas.people import Technician
from schemas.service_request import ServiceRequest
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_branches import BRANCH, Whose, company, invoice, sees_all  # noqa: F401 -- company is a fixture
from tests.api.test_jobs import JOB, created, staffed  # noqa: F401 -- staffed is a fixture
from tests.api.test_pings import is_problem
from tests.api.test_visits import visit

DAY_MS = 86_400_000
WRITES: Any = [
    ("PATCH", "/v1/jobs/j1", {"title": "changed"}),
    ("POST", "/v1/jobs/j1/transitions", {"to": "invoiced"}),
    ("POST", "/v1/jobs/j1/parts", {"sku": "filter", "quantity": "1", "holder": "van:amina"}),
    ("PUT", "/v1/jobs/j1/invoice", {"state": "invoiced", "invoice_id": "1"}),
    ("POST", "/v1/jobs/j1/tracking-link", None),
    ("DELETE", "/v1/jobs/j1/tracking-link", None),
]


@pytest.fixture
def door(staffed: Door) -> Door:  # noqa: F811
    """A job that was completed, and archived 400 days later."""
    created(staffed, branch=None)
    for to in ("on_site", "completed"):
        assert staffed.post("/v1/jobs/j1/transitions", json={"to": to}).status_code == 200
    record = msgspec.structs.replace(staffed.jobs.records["j1"], visit_ids=["v1"])
    staffed.jobs.records["j1"] = record
    staffed.job_index.changed("j1", record)
    staffed.clock.moment_ms += 400 * DAY_MS
    staffed.archive("j1")
    return staffed


def test_an_archived_job_is_read_as_before_and_says_so(door: Door) -> None:
    answer = door.get("/v1/jobs/j1")
    assert answer.status_code == 200
    job = answer.json()
    assert (job["state"], job["archived"], job["log"][-1]["state"]) == ("completed", True, "completed")
    assert door.get("/v1/jobs/j1", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert is_problem(door.get("/v1/jobs/j1/eta"), 404, "no_eta")
    assert door.get("/v1/jobs/j1/cost").json()["state"] == "completed"
    assert door.get("/v1/jobs/j1/customer-words").status_code == 200


def test_lists_have_what_is_at_hand(door: Door) -> None:
    assert door.get("/v1/jobs").json()["items"] == []
    assert created(door, job_id="j2", branch=None)["archived"] is False
    assert [each["job_id"] for each in door.get("/v1/jobs").json()["items"]] == ["j2"]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_nothing_of_it_is_changed(door: Door, method: str, path: str, body: Any) -> None:
    kept = {topic: list(records) for topic, records in door.log.records.items()}
    more = {} if body is None else {"json": body}
    answer = door.request(method, path, **more)
    assert is_problem(answer, 409, "archived")
    assert "'j1' is archived" in answer.json()["detail"]
    assert door.log.records == kept
    assert is_problem(door.request(method, path.replace("j1", "j9"), **more), 404, "unknown_job")


def test_its_id_is_not_given_again(door: Door) -> None:
    assert is_problem(door.post("/v1/jobs", json=JOB), 409, "archived")
    assert door.jobs.records == {}
    unnamed = {name: value for name, value in JOB.items() if name != "job_id"}
    job_id = door.post("/v1/jobs", json=unnamed, headers={"Idempotency-Key": "k"}).json()["job_id"]
    door.clock.moment_ms += 400 * DAY_MS
    door.archive(job_id)
    assert is_problem(door.post("/v1/jobs", json=unnamed, headers={"Idempotency-Key": "k"}), 409, "archived")


def test_jobs_are_made_and_moved_while_the_store_is_away(door: Door) -> None:
    door.history.down = True
    assert created(door, job_id="urgent")["state"] == "scheduled"
    assert door.post("/v1/jobs/urgent/transitions", json={"to": "en_route"}).status_code == 200
    assert door.get("/v1/jobs/j1").status_code == 503, "nobody knows whether there is one"


def test_a_job_that_the_store_has_first_is_not_archived(door: Door) -> None:
    """Of two API processes the one that is behind must not take what it has not read yet for archived."""
    door.history.stored_jobs["j1"] = msgspec.structs.replace(
        door.history.stored_jobs["j1"], updated_at=Instant(door.clock.moment_ms - DAY_MS)
    )
    assert is_problem(door.get("/v1/jobs/j1"), 404, "unknown_job")


def test_its_invoice_is_still_paid(door: Door) -> None:
    stored = door.history.stored_jobs
    stored["j1"] = msgspec.structs.replace(stored["j1"], state="invoiced")
    door.invoices.put("j1", invoice("j1", "north"))
    paid = door.put("/v1/jobs/j1/invoice", json={"state": "paid", "invoice_id": "1"})
    assert (paid.status_code, paid.json()["state"]) == (200, "paid")
    assert door.get("/v1/jobs/j1/invoice").json()["state"] == "paid"


def test_its_visits_and_the_history_of_its_site_have_it(door: Door) -> None:
    door.history.log.append(visit("v1", 0))
    assert [each["visit_id"] for each in door.get("/v1/visits?job=j1").json()["items"]] == ["v1"]
    assert door.post("/v1/customers", json={"customer_id": "hill", "name": "Hill"}).status_code == 201
    stored = door.history.stored_jobs
    stored["j1"] = msgspec.structs.replace(stored["j1"], customer_id="hill", fence_id="office")
    [item] = door.get("/v1/customers/hill/history").json()["items"]
    assert (item["job"]["job_id"], [each["visit_id"] for each in item["visits"]]) == ("j1", ["v1"])


def test_a_request_is_not_made_into_another_job(door: Door) -> None:
    at = Instant(NOW_MS)
    request = ServiceRequest(request_id="r", state="received", title="x", created_at=at, updated_at=at)
    door.requests.put("r", request)
    made = door.post("/v1/requests/r/accept", json={}).json()["job"]
    door.clock.moment_ms += 400 * DAY_MS
    door.archive(made["job_id"])
    again = door.post("/v1/requests/r/accept", json={})
    assert (again.status_code, again.json()["job"]["archived"]) == (200, True)
    assert made["job_id"] not in door.jobs.records


def archived_of(door: Door, **fields: Any) -> JobRecord:
    """Amina's job, whose log has her phone and her words."""
    at = Instant(NOW_MS - DAY_MS)
    log = [
        LogEntry("created", at, at, "dispatcher", "key:office"),
        LogEntry("on_site", at, at, "automatic", "phone", visit_id="v1"),
        LogEntry("completed", at, at, "technician", "session:amina", "Amina Okafor was here"),
    ]
    job = msgspec.structs.replace(door.history.stored_jobs["j1"], log=log, notes="ask Amina Okafor", **fields)
    door.history.stored_jobs["j1"] = job
    return job


def her(door: Door) -> None:
    since = Instant(NOW_MS - 2 * DAY_MS)
    amina = Technician(technician_id="amina", name="Amina Okafor", device_ids=["phone"], updated_at=since)
    door.registers["technicians"].put("amina", amina)
    door.accounts.records["amina"] = Account("amina", "technician", "x", Instant(1), technician_id="amina")


def test_what_is_held_of_a_person_has_it(door: Door) -> None:
    her(door)
    for technician_ids in (["amina"], ["bo"]):
        archived_of(door, technician_ids=technician_ids)
        lines = [msgspec.json.decode(line) for line in door.get("/v1/technicians/amina/data").content.splitlines()]
        assert [line["data"]["job_id"] for line in lines if line["kind"] == "job"] == ["j1"], "by id, or by the phone"


def test_a_person_is_erased_from_it(door: Door) -> None:
    her(door)
    before = archived_of(door)
    erasure_id = door.delete("/v1/technicians/amina/data").json()["erasure_id"]
    erasure = door.erasures.records[erasure_id]
    assert erasure.subject is not None
    assert erasure.subject.job_ids == ["j1"]
    for step in ("access", "jobs", "registers", "tracks"):
        erasure.done[step] = 0

    async def go_on() -> None:
        await Eraser(door.services, door.erasure_book, door.erasure_store, door.erasure_store).go_on(erasure)

    anyio.run(go_on)
    [job] = door.erasure_store.rewritten
    assert (job.revision, job.updated_at) == (before.revision + 1, before.updated_at)
    assert b"amina" not in wire.encode(job).lower()
    assert [entry.actor for entry in job.log] == ["key:office", erasure_id, erasure_id]
    assert (job.technician_ids, job.visit_ids, job.notes) == ([erasure_id], [], "ask [erased]")
    assert ("job_id", "j1", job.revision) in door.erasure_store.values, "older revisions go"


@pytest.mark.parametrize("whose", BRANCH)
@pytest.mark.parametrize("role", ["admin", "operations_manager", "branch_manager", "technician", "support"])
def test_branches_hold_for_archived_jobs_too(company: Door, role: Any, whose: Whose) -> None:  # noqa: F811
    company.clock.moment_ms += 400 * DAY_MS
    for job_id in BRANCH:
        company.post(f"/v1/jobs/{job_id}/transitions", json={"to": "cancelled"})
    company.clock.moment_ms += 400 * DAY_MS
    for job_id in BRANCH:
        company.archive(job_id)
    is_seen = whose == "own" or sees_all(role)
    answer = company.get(f"/v1/jobs/{whose}", role=role)
    assert (answer.status_code == 200) if is_seen else is_problem(answer, 404, "unknown_job")
    moved = company.post(f"/v1/jobs/{whose}/transitions", role=role, json={"to": "created"})
    if moved.status_code != 403:
        assert is_problem(moved, 409, "archived") if is_seen else is_problem(moved, 404, "unknown_job")
