"""Nobody reads across branches without the role for it: each role on each route, on its own things and on others'."""

from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
import pytest

from api.auth import PERMISSIONS, Permission
from api.auth.sight import EVERYWHERE
from api.registers.registry import REGISTERS
from schemas.account import Account
from schemas.calendar import new_feed
from schemas.erasure import Erasure
from schemas.invoice import Invoice
from schemas.key import Role
from schemas.rejected import RejectedPing
from schemas.service_request import ServiceRequest
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_auth import OPEN
from tests.api.test_devices import live
from tests.api.test_etas import eta
from tests.api.test_fences import circle, collection
from tests.api.test_notices import noticed
from tests.api.test_pings import is_problem
from tests.api.test_sessions import add_account, cookie_of, sign_in
from tests.api.test_visits import visit
from tests.api.test_webhooks import hook
from tests.fakes import key_id_of, make_key
from tests.project.test_docs import ROOT, rows_below

Whose = Literal["own", "other"]
BRANCH: Final[dict[Whose, str]] = {"own": "liverpool", "other": "hull"}
"""Each key here sees the region north-west, and with it Liverpool."""

WINDOW: Final = {"window_from": "2026-03-02T09:00:00Z", "window_to": "2026-03-02T11:00:00Z"}

EVERYONES: Final = {
    ("POST", "/v1/pings"),
    ("GET", "/v1/ingest/osmand"),
    ("POST", "/v1/ingest/osmand"),
    ("POST", "/v1/ingest/owntracks"),
    ("POST", "/v1/ingest/overland"),
    ("GET", "/v1/ingest/gpslogger"),
    ("POST", "/v1/ingest/gpslogger"),
    ("GET", "/enrol/{sealed}"),
    ("GET", "/v1/jobs.csv"),
    ("GET", "/v1/technicians/{technician_id}/calendar.ics"),
    ("GET", "/v1/track/{token}"),
    ("POST", "/v1/track/{token}/rating"),
    ("POST", "/v1/track/{token}/messages"),
    ("GET", "/t/{token}"),
    ("POST", "/t/{token}/rating"),
    ("POST", "/t/{token}/messages"),
    ("GET", "/v1/events/schemas"),
    ("GET", "/v1/events/schemas/{event_type}"),
    ("GET", "/v1/reports"),
    ("GET", "/v1/reports/{name}"),
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions/current"),
    ("DELETE", "/v1/sessions/current"),
    ("DELETE", "/v1/sessions"),
} | {("GET", path) for path in OPEN}
"""Routes that have to do with no branch, and the export and reports, which are tried on the real store."""


class Row(NamedTuple):
    """What a request needs, its answer where it is about what is seen, and where it is about what is not."""

    needs: Permission
    seen: int
    unseen: int = 404


LISTS: Final[dict[str, tuple[Permission, str]]] = {
    "/v1/devices": ("devices:read", "device_id"),
    "/v1/visits": ("visits:read", "visit_id"),
    "/v1/rejected": ("rejected:read", "device_id"),
    "/v1/fences": ("fences:read", "id"),
    "/v1/audit": ("audit:read", "id"),
    "/v1/jobs": ("jobs:read", "job_id"),
    "/v1/webhooks": ("webhooks:read", "webhook_id"),
    "/v1/requests": ("requests:read", "request_id"),
    "/v1/notifications": ("notices:read", "job_id"),
    "/v1/erasures": ("personal:erase", "erasure_id"),
} | {f"/v1/{each.name}": (each.read, each.key) for each in REGISTERS.values()}
"""What each needs, and what its items are called by."""

ROWS: Final[dict[tuple[str, str], Row]] = {
    ("GET", "/v1/devices/nearest"): Row("devices:read", 200, 200),
    ("GET", "/v1/devices/{device_id}"): Row("devices:read", 200),
    ("GET", "/v1/devices/{device_id}/track"): Row("devices:read", 200),
    ("POST", "/v1/devices/{device_id}/enrolments"): Row("devices:enrol", 201),
    ("POST", "/v1/fences/import"): Row("fences:write", 200, 200),
    ("GET", "/v1/fences/{fence_id}"): Row("fences:read", 200),
    ("GET", "/v1/fences/{fence_id}/versions"): Row("fences:read", 200),
    ("PUT", "/v1/fences/{fence_id}"): Row("fences:write", 200),
    ("DELETE", "/v1/fences/{fence_id}"): Row("fences:write", 204),
    ("POST", "/v1/jobs"): Row("jobs:write", 201, 400),
    ("GET", "/v1/jobs/{job_id}"): Row("jobs:read", 200),
    ("GET", "/v1/jobs/{job_id}/eta"): Row("jobs:read", 200),
    ("PATCH", "/v1/jobs/{job_id}"): Row("jobs:write", 200),
    ("POST", "/v1/jobs/{job_id}/transitions"): Row("jobs:move", 200),
    ("POST", "/v1/technicians/{technician_id}/calendar"): Row("jobs:move", 201),
    ("DELETE", "/v1/technicians/{technician_id}/calendar"): Row("jobs:move", 204),
    ("POST", "/v1/jobs/{job_id}/parts"): Row("jobs:move", 200),
    ("GET", "/v1/jobs/{job_id}/cost"): Row("jobs:invoice", 200),
    ("GET", "/v1/jobs/{job_id}/invoice"): Row("jobs:invoice", 200),
    ("PUT", "/v1/jobs/{job_id}/invoice"): Row("jobs:invoice", 409),
    ("POST", "/v1/jobs/{job_id}/tracking-link"): Row("jobs:write", 201),
    ("DELETE", "/v1/jobs/{job_id}/tracking-link"): Row("jobs:write", 204),
    ("GET", "/v1/jobs/{job_id}/customer-words"): Row("jobs:read", 200),
    ("GET", "/v1/stock"): Row("stock:read", 200, 200),
    ("GET", "/v1/stock/movements"): Row("stock:read", 200, 200),
    ("POST", "/v1/stock/movements"): Row("stock:write", 201, 400),
    ("PUT", "/v1/stock/thresholds/{holder}/{sku}"): Row("stock:write", 200, 400),
    ("DELETE", "/v1/stock/thresholds/{holder}/{sku}"): Row("stock:write", 204),
    ("GET", "/v1/technicians/{technician_id}/data"): Row("personal:read", 200),
    ("GET", "/v1/customers/{customer_id}/data"): Row("personal:read", 200),
    ("DELETE", "/v1/technicians/{technician_id}/data"): Row("personal:erase", 202),
    ("DELETE", "/v1/customers/{customer_id}/data"): Row("personal:erase", 202),
    ("DELETE", "/v1/accounts/{name}/data"): Row("personal:erase", 202, 202),
    ("GET", "/v1/erasures/{erasure_id}"): Row("personal:erase", 200),
    ("POST", "/v1/webhooks"): Row("webhooks:write", 201, 400),
    ("GET", "/v1/webhooks/{webhook_id}"): Row("webhooks:read", 200),
    ("PATCH", "/v1/webhooks/{webhook_id}"): Row("webhooks:write", 200),
    ("DELETE", "/v1/webhooks/{webhook_id}"): Row("webhooks:write", 204),
    ("POST", "/v1/webhooks/{webhook_id}/secret"): Row("webhooks:write", 200),
    ("POST", "/v1/webhooks/{webhook_id}/test"): Row("webhooks:write", 200),
    ("GET", "/v1/webhooks/{webhook_id}/deliveries"): Row("webhooks:read", 200),
    ("POST", "/v1/webhooks/{webhook_id}/replay"): Row("webhooks:write", 202),
    ("GET", "/v1/places"): Row("jobs:write", 200, 200),
    ("GET", "/v1/customers/{customer_id}/history"): Row("customers:read", 200),
    ("GET", "/v1/sites/{site_id}/history"): Row("customers:read", 200),
    ("POST", "/v1/requests"): Row("requests:post", 201, 400),
    ("GET", "/v1/requests/{request_id}"): Row("requests:read", 200),
    ("POST", "/v1/requests/{request_id}/accept"): Row("requests:decide", 200),
    ("POST", "/v1/requests/{request_id}/decline"): Row("requests:decide", 200),
    ("POST", "/v1/plans"): Row("jobs:read", 200, 200),
    ("POST", "/v1/plans/apply"): Row("jobs:write", 200, 200),
    ("GET", "/v1/technicians/{technician_id}/suggestions"): Row("jobs:read", 200),
    ("GET", "/v1/jobs/{job_id}/offers"): Row("jobs:read", 200),
    ("GET", "/v1/visits/{visit_id}"): Row("visits:read", 200),
    ("GET", "/v1/visits/{visit_id}/explain"): Row("visits:read", 200),
}
for each in REGISTERS.values():
    one = f"/v1/{each.name}/{{{each.key}}}"
    ROWS["POST", f"/v1/{each.name}"] = Row(each.write, 201, 400)
    ROWS["GET", one] = Row(each.read, 200)
    ROWS["PATCH", one] = Row(each.write, 200)
    ROWS["DELETE", one] = Row(each.write, 204)


def request_of(method: str, path: str, whose: Whose) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request about what belongs to a branch."""
    branch = BRANCH[whose]
    named = dict.fromkeys(
        ("device_id", "fence_id", "visit_id", "job_id", "webhook_id", "request_id", "name", "erasure_id"), whose
    )
    named |= {"holder": f"van:{whose}", "sku": "filter"}
    named |= {register.key: branch if register.name == "branches" else whose for register in REGISTERS.values()}
    where = path.format(**named)
    if path == "/v1/devices/nearest":
        return where, {"params": {"lat": 53.4, "lon": -2.99}}
    if path == "/v1/places":
        return where, {"params": {"q": "1 Strand", "branch": branch}}
    if path == "/v1/requests":
        return where, {"json": {"title": "new", "branch": branch}}
    if path == "/v1/requests/{request_id}/accept":
        return where, {"json": {}}
    if path == "/v1/requests/{request_id}/decline":
        return where, {"json": {"reason": "no"}}
    if path == "/v1/plans":
        return where, {"json": {"iterations": 1}}
    if path == "/v1/plans/apply":
        return where, {"json": {"changes": []}}
    if path == "/v1/jobs/{job_id}/transitions":
        return where, {"json": {"to": "en_route"}}
    if path == "/v1/jobs/{job_id}/invoice" and method == "PUT":
        return where, {"json": {"state": "invoiced", "invoice_id": "1"}}
    if path == "/v1/jobs/{job_id}/parts":
        return where, {"json": {"sku": "filter", "quantity": "1", "holder": f"van:{whose}"}}
    if path == "/v1/stock/movements":
        ends = {"from": {"kind": "supplier"}, "to": {"kind": "depot", "place_id": whose}}
        return where, {"json": {"sku": "filter", "quantity": "1", **ends}} if method == "POST" else {}
    if path.startswith("/v1/stock/thresholds"):
        return where, {"json": {"level": "7"}} if method == "PUT" else {}
    if path.startswith("/v1/jobs"):
        return where, {"json": {"title": "changed"} if method == "PATCH" else {"title": "new", "branch": branch}}
    if path == "/v1/webhooks":
        return where, {"json": {"url": "https://erp.example.com", "events": ["*"], "branch": branch}}
    if path == "/v1/webhooks/{webhook_id}":
        return where, {"json": {"description": "changed"}} if method == "PATCH" else {}
    if path == "/v1/webhooks/{webhook_id}/replay":
        return where, {"json": {"event_ids": [whose]}}
    if path == "/v1/fences/import":
        return where, {"json": collection(circle(whose, branch=branch, radius_m=70))}
    if method == "PUT":
        return where, {"json": circle(whose, branch=branch, radius_m=70)}
    if method == "POST" and path == "/v1/branches":
        return where, {"json": {"name": "new", "region": branch}}
    if method == "POST" and path.count("/") == 2:
        return where, {"json": {"name": "new", "branch": branch}}
    return where, {"json": {"name": "changed"}} if method == "PATCH" else {}


def invoice(job_id: str, branch: str) -> Invoice:
    at = Instant(NOW_MS)
    return Invoice(
        job_id=job_id,
        state="invoiced",
        invoice_id="1",
        amount=None,
        invoiced_at=at,
        paid_at=None,
        updated_at=at,
        branch=branch,
    )


@pytest.fixture
def company(door: Door) -> Door:
    """Two branches that have one of everything each; a key of each role that sees one of them."""
    for branch, region in (("north-west", None), ("liverpool", "north-west"), ("hull", None)):
        content = {"branch": branch, "name": branch} | ({"region": region} if region else {})
        assert door.post("/v1/branches", json=content).status_code == 201
    for whose, branch in BRANCH.items():
        for name in ("technicians", "customers", "sites", "depots"):
            content = {REGISTERS[name].key: whose, "name": whose, "branch": branch}  # type: ignore[index]
            if name == "technicians":
                content["device_ids"] = [whose]
            assert door.post(f"/v1/{name}", json=content).status_code == 201
        door.put(f"/v1/fences/{whose}", json=circle(whose, branch=branch))
        job = {"job_id": whose, "title": "x", "fence_id": whose, "technician_ids": [whose], **WINDOW}
        assert door.post("/v1/jobs", json={**job, "branch": branch}).status_code == 201
        door.calendars.put(whose, new_feed(whose, Instant(NOW_MS))[0])
        door.invoices.put(whose, invoice(whose, branch))
        door.etas.put(whose, eta(whose))
        stock = {
            "sku": "filter",
            "quantity": "5",
            "from": {"kind": "supplier"},
            "to": {"kind": "van", "place_id": whose},
        }
        assert door.post("/v1/stock/movements", json=stock).status_code == 201
        assert door.put(f"/v1/stock/thresholds/van:{whose}/filter", json={"level": "6"}).status_code == 200
        door.webhooks.put(whose, hook(whose, branch=branch))
        at = Instant(NOW_MS)
        asked = ServiceRequest(
            request_id=whose, state="received", title="x", branch=branch, created_at=at, updated_at=at
        )
        door.requests.put(whose, asked)
        door.accounts.put(whose, Account(whose, "viewer", "argon2id of it", Instant(1)))
        done = Erasure(erasure_id=whose, kind="technician", person="a mark", at=Instant(1), branch=branch)
        door.erasures.put(whose, done)
        door.history.noticed.append(noticed(whose, branch=branch))
        door.put_live(live(whose))
        door.history.log.append(msgspec.structs.replace(visit(whose, 0, device_id=whose), fence_id=whose))
        door.history.refused.append(RejectedPing(whose, "null_island", "null_island", Instant(NOW_MS), "json", whose))
    for role in get_args(Role):
        door.keys.records[key_id_of(role)] = make_key(role, branches=["north-west"], technician_id="own")
    return door


def sees_all(role: Role) -> bool:
    return role in EVERYWHERE


def test_every_route_is_tried(door: Door) -> None:
    paths = door.app.openapi()["paths"]
    routes = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert routes == EVERYONES | set(ROWS) | {("GET", path) for path in LISTS}


@pytest.mark.parametrize("whose", BRANCH)
@pytest.mark.parametrize(("method", "path"), ROWS)
@pytest.mark.parametrize("role", get_args(Role))
def test_each_role_on_each_route(company: Door, role: Role, method: str, path: str, whose: Whose) -> None:
    row = ROWS[method, path]
    kept = {topic: list(records) for topic, records in company.log.records.items()}
    if method == "DELETE" and path.startswith("/v1/branches"):
        empty(company, BRANCH[whose])
        kept = {topic: list(records) for topic, records in company.log.records.items()}
    where, more = request_of(method, path, whose)
    answer = company.request(method, where, role, **more)
    if row.needs not in PERMISSIONS[role]:
        assert is_problem(answer, 403, "forbidden")
    else:
        is_seen = whose == "own" or sees_all(role)
        assert answer.status_code == (row.seen if is_seen else row.unseen), answer.text
        if path == "/v1/fences/import":
            assert len(answer.json()["rejected"]) == (0 if is_seen else 1)
        if is_seen:
            return
    assert company.log.records == kept, "what is refused changes nothing"


def empty(door: Door, branch: str) -> None:
    """Let nothing refer to a branch, so that it can be removed."""
    for name in ("sites", "depots", "technicians", "customers"):
        for key, entry in list(door.registers[name].records.items()):  # type: ignore[index]
            if entry.branch == branch:
                door.registers[name].put(key, msgspec.structs.replace(entry, removed_at=Instant(NOW_MS)))  # type: ignore[index]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("role", get_args(Role))
def test_each_role_on_each_list(company: Door, role: Role, path: str) -> None:
    needs, called = LISTS[path]
    answer = company.get(path, role=role, params={"kind": "customer"} if path == "/v1/audit" else {})
    if needs not in PERMISSIONS[role]:
        assert is_problem(answer, 403, "forbidden")
        return
    body = answer.json()
    found = {each[called] for each in body.get("items", body.get("features"))}
    if path == "/v1/branches":
        assert found == ({"north-west", "liverpool", "hull"} if sees_all(role) else {"north-west", "liverpool"})
    else:
        assert found == ({"own", "other"} if sees_all(role) else {"own"})


def ids(door: Door, path: str, called: str, role: Role = "branch_manager") -> list[str]:
    body = door.get(path, role=role).json()
    return [each[called] for each in body.get("items", body.get("features"))]


def test_what_has_no_branch_is_for_those_who_see_all_but_fences_are_everybodys(company: Door) -> None:
    for name in ("technicians", "customers", "sites", "depots"):
        company.post(f"/v1/{name}", json={REGISTERS[name].key: "loose", "name": "x"})  # type: ignore[index]
        assert is_problem(company.get(f"/v1/{name}/loose", role="branch_manager"), 404, f"unknown_{name[:-1]}")
        assert company.get(f"/v1/{name}/loose", role="operations_manager").status_code == 200
    company.put_live(live("loose"))
    company.history.log.append(visit("loose", 0, device_id="loose"))
    assert is_problem(company.get("/v1/devices/loose", role="branch_manager"), 404, "unknown_device")
    assert is_problem(company.get("/v1/visits/loose", role="branch_manager"), 404, "unknown_visit")
    assert "loose" not in ids(company, "/v1/visits", "visit_id")
    company.put("/v1/fences/everywhere", json=circle("everywhere"))
    assert ids(company, "/v1/fences", "id") == ["everywhere", "own"]
    company.keys.records["keyviewer"] = make_key("viewer")
    assert company.get("/v1/devices/loose", role="viewer").status_code == 200, "a key that no branches are said of"


def test_what_is_everybodys_is_not_written_by_one_branch(company: Door) -> None:
    company.put("/v1/fences/everywhere", json=circle("everywhere"))
    by = {"role": "branch_manager"}
    mine = circle("everywhere", branch="liverpool")
    for answer in (
        company.put("/v1/fences/everywhere", json=mine, **by),
        company.put("/v1/fences/new", json=circle("new"), **by),
        company.put("/v1/fences/own", json=circle("own"), **by),
        company.delete("/v1/fences/everywhere", **by),
        company.post("/v1/customers", json={"name": "x"}, **by),
        company.patch("/v1/customers/own", json={"branch": None}, **by),
    ):
        assert is_problem(answer, 403, "forbidden")
    given_away = company.put("/v1/fences/own", json=circle("own", branch="hull"), **by)
    assert is_problem(given_away, 400, "invalid_fence")
    assert is_problem(company.patch("/v1/customers/own", json={"branch": "hull"}, **by), 400, "unknown_reference")


def test_what_is_of_another_branch_is_not_named(company: Door) -> None:
    by = {"role": "branch_manager"}
    taken = company.post("/v1/customers", json={"customer_id": "other", "name": "x", "branch": "liverpool"}, **by)
    assert is_problem(taken, 409, "exists")
    assert "etag" not in taken.headers
    held = company.patch("/v1/technicians/own", json={"device_ids": ["other"]}, **by)
    assert is_problem(held, 409, "device_held")
    assert "a technician of another branch holds" in held.json()["detail"]
    unknown = company.patch("/v1/sites/own", json={"customer_id": "other"}, **by)
    assert is_problem(unknown, 400, "unknown_reference")
    assert is_problem(company.patch("/v1/sites/own", json={"fence_id": "other"}, **by), 400, "unknown_reference")


def test_a_visit_belongs_to_the_branch_of_its_fence_too(company: Door) -> None:
    company.history.log = [
        msgspec.structs.replace(visit("here", 0, device_id="other"), fence_id="own"),
        msgspec.structs.replace(visit("there", 1, device_id="own"), fence_id="other"),
        msgspec.structs.replace(visit("elsewhere", 2, device_id="other"), fence_id="other"),
    ]
    assert ids(company, "/v1/visits", "visit_id") == ["here", "there"]
    assert company.get("/v1/visits/here", role="branch_manager").status_code == 200
    assert is_problem(company.get("/v1/visits/elsewhere", role="branch_manager"), 404, "unknown_visit")


def test_pages_are_full_though_others_things_are_left_out(company: Door) -> None:
    company.history.log = [
        msgspec.structs.replace(visit(f"v{number}", number, device_id=("own", "other")[number % 2]), fence_id="f")
        for number in range(8)
    ]
    params = {"limit": "3"}
    first = company.get("/v1/visits", role="branch_manager", params=params).json()
    assert [each["visit_id"] for each in first["items"]] == ["v0", "v2", "v4"]
    second = company.get("/v1/visits", role="branch_manager", params={**params, "cursor": first["next_cursor"]}).json()
    assert ([each["visit_id"] for each in second["items"]], second["next_cursor"]) == (["v6"], None)


def test_a_device_goes_with_who_holds_it(company: Door) -> None:
    assert ids(company, "/v1/devices", "device_id") == ["own"]
    company.patch("/v1/technicians/other", json={"device_ids": []})
    company.patch("/v1/technicians/own", json={"device_ids": ["other"]})
    assert ids(company, "/v1/devices", "device_id") == ["other"]
    company.patch("/v1/technicians/own", json={"branch": "hull"})
    assert ids(company, "/v1/devices", "device_id") == []


def test_the_branch_of_a_list_is_a_region_too(company: Door) -> None:
    for branch, found in (("north-west", ["own"]), ("liverpool", ["own"]), ("hull", ["other"]), ("ghost", [])):
        assert ids(company, f"/v1/technicians?branch={branch}", "technician_id", "admin") == found
    assert ids(company, "/v1/technicians?branch=hull", "technician_id") == []


def test_a_person_sees_what_their_account_says(company: Door) -> None:
    add_account(company, "ben", "dispatcher", branches=["hull"])
    devices = company.get("/v1/devices", role=None, headers=cookie_of(sign_in(company, "ben")))
    assert [each["device_id"] for each in devices.json()["items"]] == ["other"]


@pytest.mark.parametrize("name", ["branches", "technicians"])
def test_nothing_is_shown_before_it_is_known_whose_it_is(company: Door, name: Any) -> None:
    company.registers[name].is_caught_up = False
    assert is_problem(company.get("/v1/devices", role="branch_manager"), 503, "unavailable")
    assert company.get("/v1/devices", role="operations_manager").status_code == 200


def test_the_page_about_access_shows_the_table(door: Door) -> None:
    page = ROOT / "docs" / "access.md"
    roles = get_args(Role)
    expected = [
        [f"`{each}`", *("×" if each in PERMISSIONS[role] else "" for role in roles)] for each in get_args(Permission)
    ]
    shown = "\n".join("| " + " | ".join(row) + " |" for row in expected)
    assert rows_below(page, "### The table") == expected, f"docs/access.md should say:\n{shown}"
    assert "| | " + " | ".join(f"`{role}`" for role in roles) + " |" in page.read_text(encoding="utf-8")


def test_a_technician_sees_their_own_jobs_wherever_they_are(company: Door) -> None:
    company.post("/v1/jobs", json={"job_id": "far", "branch": "hull", "technician_ids": ["own"], **WINDOW})
    company.post("/v1/jobs", json={"job_id": "near", "branch": "liverpool", **WINDOW})
    assert ids(company, "/v1/jobs", "job_id", "technician") == ["far", "own"]
    assert is_problem(company.get("/v1/jobs/near", role="technician"), 404, "unknown_job")
    company.keys.records["keytechnician"] = make_key("technician")
    assert ids(company, "/v1/jobs", "job_id", "technician") == []


def test_a_job_stays_within_the_branches_of_who_plans_it(company: Door) -> None:
    by = {"role": "dispatcher"}
    assert is_problem(company.post("/v1/jobs", json={"title": "x"}, **by), 403, "forbidden")
    point = {"title": "x", "lat": 53.4, "lon": -2.9}
    assert is_problem(company.post("/v1/jobs", json=point, **by), 403, "forbidden")
    assert not [key for key, _ in company.log.records["onsite.fences"] if key.startswith("point-")]
    for field, value in (
        ("branch", "hull"),
        ("technician_ids", ["other"]),
        ("site_id", "other"),
        ("customer_id", "other"),
        ("fence_id", "other"),
    ):
        new = {"title": "x", "branch": "liverpool", field: value}
        assert is_problem(company.post("/v1/jobs", json=new, **by), 400, "unknown_reference"), field
        assert is_problem(company.patch("/v1/jobs/own", json={field: value}, **by), 400, "unknown_reference"), field
    assert is_problem(company.patch("/v1/jobs/own", json={"branch": None}, **by), 403, "forbidden")
    assert company.post("/v1/jobs", json={"title": "x", "site_id": "own"}, **by).json()["branch"] == "liverpool"


def test_what_becomes_of_a_job_is_on_record(company: Door) -> None:
    company.patch("/v1/jobs/own", json={"title": "Boiler"}, role="dispatcher")
    company.patch("/v1/jobs/own", json={"title": "Boiler"}, role="dispatcher")
    company.post("/v1/jobs/own/transitions", json={"to": "en_route"}, role="technician")
    records = company.get("/v1/audit?kind=job&id=own").json()["items"]
    found = {each["action"]: (each["role"], each["branch"], each["before"], each["after"]) for each in records}
    assert len(records) == 3
    assert found["created"][:3] == ("admin", "liverpool", None)
    role, branch, before, after = found["edited"]
    assert (role, branch, before["title"], after["title"]) == ("dispatcher", "liverpool", "x", "Boiler")
    role, _, before, after = found["moved"]
    assert (role, before["state"], after["state"]) == ("technician", "scheduled", "en_route")


@pytest.mark.parametrize("role", ["admin", "branch_manager", "dispatcher", "accountant", "technician"])
def test_stock_is_shown_to_those_who_see_its_van(company: Door, role: Role) -> None:
    seen = ["van:other", "van:own"] if sees_all(role) else ["van:own"]
    assert sorted(each["holder"] for each in company.get("/v1/stock", role=role).json()["items"]) == seen
    moved = company.get("/v1/stock/movements", role=role).json()["items"]
    assert sorted(f"van:{each['to']['place_id']}" for each in moved) == seen
    narrowed = company.get("/v1/stock?branch=hull", role=role).json()["items"]
    assert [each["holder"] for each in narrowed] == (["van:other"] if sees_all(role) else [])
    both = {"from": {"kind": "van", "place_id": "own"}, "to": {"kind": "van", "place_id": "other"}}
    if role in ("branch_manager", "dispatcher"):
        refused = company.post("/v1/stock/movements", json={"sku": "filter", "quantity": "1", **both}, role=role)
        assert is_problem(refused, 400, "unknown_reference")
