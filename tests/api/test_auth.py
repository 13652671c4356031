"""Who gets in, and to what."""

from typing import Any, get_args

import msgspec
import pytest

from api.auth import PERMISSIONS
from api.registers.registry import REGISTERS
from schemas.key import Role
from schemas.places import Depot
from schemas.times import Instant
from tests.api.conftest import Door
from tests.api.test_devices import live
from tests.api.test_fences import circle
from tests.api.test_pings import GOOD, is_problem
from tests.api.test_sessions import PASSWORD, add_account, cookie_of, sign_in
from tests.fakes import make_key, token_of
from tests.schemas.test_app_protocols import OVERLAND_POINT, OWNTRACKS

OPEN = {"/healthz", "/readyz", "/metrics"}

WHO = ("nobody", "viewer", "admin", "device", "own", "other", "viewer_in", "admin_in")
"""``device`` is a key for any device; ``own`` and ``other`` are tokens of van-12, which all requests are about, and of
van-13; ``…_in`` are people who have signed in."""

ANSWERS: dict[tuple[str, str], tuple[int, ...]] = {
    ("POST", "/v1/pings"): (401, 403, 202, 202, 202, 403, 403, 202),
    ("GET", "/v1/ingest/osmand"): (401, 403, 200, 200, 200, 403, 401, 401),
    ("POST", "/v1/ingest/osmand"): (401, 403, 200, 200, 200, 403, 401, 401),
    ("POST", "/v1/ingest/owntracks"): (401, 403, 200, 200, 200, 403, 401, 401),
    ("POST", "/v1/ingest/overland"): (401, 403, 200, 200, 200, 403, 401, 401),
    ("GET", "/v1/ingest/gpslogger"): (401, 403, 200, 200, 200, 403, 401, 401),
    ("POST", "/v1/ingest/gpslogger"): (401, 403, 200, 200, 200, 403, 401, 401),
    ("GET", "/v1/rejected"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/devices"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/devices/nearest"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/devices/{device_id}"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/devices/{device_id}/track"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("POST", "/v1/devices/{device_id}/enrolments"): (401, 403, 201, 403, 403, 403, 403, 201),
    ("GET", "/enrol/{sealed}"): (404, 404, 404, 404, 404, 404, 404, 404),
    ("GET", "/v1/fences"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("POST", "/v1/fences/import"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/fences/{fence_id}"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/fences/{fence_id}/versions"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("PUT", "/v1/fences/{fence_id}"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("DELETE", "/v1/fences/{fence_id}"): (401, 403, 204, 403, 403, 403, 403, 204),
    ("GET", "/v1/visits"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/visits/{visit_id}"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("GET", "/v1/visits/{visit_id}/explain"): (401, 404, 404, 403, 403, 403, 404, 404),
    **{
        row: statuses
        for register in REGISTERS.values()
        for row, statuses in {
            ("GET", f"/v1/{register.name}"): (401, 403, 200, 403, 403, 403, 403, 200),
            ("POST", f"/v1/{register.name}"): (401, 403, 201, 403, 403, 403, 403, 201),
            ("GET", f"/v1/{register.name}/{{{register.key}}}"): (401, 403, 404, 403, 403, 403, 403, 404),
            ("PATCH", f"/v1/{register.name}/{{{register.key}}}"): (401, 403, 404, 403, 403, 403, 403, 404),
            ("DELETE", f"/v1/{register.name}/{{{register.key}}}"): (401, 403, 404, 403, 403, 403, 403, 404),
        }.items()
    },
    ("GET", "/v1/branches"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/branches/{branch}"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("GET", "/v1/technicians/{technician_id}/data"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/customers/{customer_id}/data"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("DELETE", "/v1/technicians/{technician_id}/data"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("DELETE", "/v1/customers/{customer_id}/data"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("DELETE", "/v1/accounts/{name}/data"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/erasures"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/erasures/{erasure_id}"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/audit"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/jobs"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("POST", "/v1/jobs"): (401, 403, 201, 403, 403, 403, 403, 201),
    ("GET", "/v1/jobs.csv"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("GET", "/v1/jobs/{job_id}"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("GET", "/v1/jobs/{job_id}/eta"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("PATCH", "/v1/jobs/{job_id}"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/jobs/{job_id}/transitions"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/jobs/{job_id}/parts"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/jobs/{job_id}/cost"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/jobs/{job_id}/invoice"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("PUT", "/v1/jobs/{job_id}/invoice"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/technicians/{technician_id}/calendar"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("DELETE", "/v1/technicians/{technician_id}/calendar"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/technicians/{technician_id}/calendar.ics"): (404,) * 8,
    ("POST", "/v1/jobs/{job_id}/tracking-link"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("DELETE", "/v1/jobs/{job_id}/tracking-link"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/jobs/{job_id}/customer-words"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("GET", "/v1/track/{token}"): (404,) * 8,
    ("POST", "/v1/track/{token}/rating"): (404,) * 8,
    ("POST", "/v1/track/{token}/messages"): (404,) * 8,
    ("GET", "/t/{token}"): (404,) * 8,
    ("POST", "/t/{token}/rating"): (404,) * 8,
    ("POST", "/t/{token}/messages"): (404,) * 8,
    ("GET", "/v1/events/schemas"): (200,) * 8,
    ("GET", "/v1/events/schemas/{event_type}"): (200,) * 8,
    ("GET", "/v1/notifications"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/reports"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/reports/{name}"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/stock"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/stock/movements"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("POST", "/v1/stock/movements"): (401, 403, 201, 403, 403, 403, 403, 201),
    ("PUT", "/v1/stock/thresholds/{holder}/{sku}"): (401, 403, 400, 403, 403, 403, 403, 400),
    ("DELETE", "/v1/stock/thresholds/{holder}/{sku}"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/webhooks"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("POST", "/v1/webhooks"): (401, 403, 201, 403, 403, 403, 403, 201),
    **dict.fromkeys(
        (
            ("GET", "/v1/webhooks/{webhook_id}"),
            ("PATCH", "/v1/webhooks/{webhook_id}"),
            ("DELETE", "/v1/webhooks/{webhook_id}"),
            ("POST", "/v1/webhooks/{webhook_id}/secret"),
            ("POST", "/v1/webhooks/{webhook_id}/test"),
            ("GET", "/v1/webhooks/{webhook_id}/deliveries"),
            ("POST", "/v1/webhooks/{webhook_id}/replay"),
        ),
        (401, 403, 404, 403, 403, 403, 403, 404),
    ),
    ("POST", "/v1/plans"): (401, 200, 200, 403, 403, 403, 200, 200),
    ("POST", "/v1/plans/apply"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/technicians/{technician_id}/suggestions"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("GET", "/v1/jobs/{job_id}/offers"): (401, 404, 404, 403, 403, 403, 404, 404),
    ("GET", "/v1/places"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/customers/{customer_id}/history"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("GET", "/v1/sites/{site_id}/history"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/requests"): (401, 403, 201, 403, 403, 403, 403, 201),
    ("GET", "/v1/requests"): (401, 403, 200, 403, 403, 403, 403, 200),
    ("GET", "/v1/requests/{request_id}"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/requests/{request_id}/accept"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/requests/{request_id}/decline"): (401, 403, 404, 403, 403, 403, 403, 404),
    ("POST", "/v1/sessions"): (201, 201, 201, 201, 201, 201, 201, 201),
    ("GET", "/v1/sessions/current"): (401, 403, 403, 403, 403, 403, 200, 200),
    ("DELETE", "/v1/sessions/current"): (401, 403, 403, 403, 403, 403, 204, 204),
    ("DELETE", "/v1/sessions"): (401, 403, 403, 403, 403, 403, 204, 204),
}
"""What each is answered, in the order of ``WHO``."""

KEYS_OF_REGISTERS = [register.key for register in REGISTERS.values()]

SPARE = {
    "sku": "x",
    "quantity": "1",
    "from": {"kind": "supplier"},
    "to": {"kind": "depot", "place_id": "d"},
}
FIX = {"device_id": "van-12", "lat": "53.4", "lon": "-2.9"}
REQUESTS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/pings"): {"json": {**GOOD, "device_id": "van-12"}},
    ("GET", "/v1/ingest/osmand"): {"params": {**FIX, "id": "van-12", "timestamp": "1772439300"}},
    ("POST", "/v1/ingest/osmand"): {"params": {**FIX, "id": "van-12", "timestamp": "1772439300"}},
    ("POST", "/v1/ingest/owntracks"): {"json": OWNTRACKS, "params": {"device_id": "van-12"}},
    ("POST", "/v1/ingest/overland"): {"json": {"locations": [OVERLAND_POINT]}},
    ("GET", "/v1/ingest/gpslogger"): {"params": {**FIX, "time": "2026-03-02T08:15:00Z"}},
    ("POST", "/v1/ingest/gpslogger"): {"data": {**FIX, "time": "2026-03-02T08:15:00Z"}},
    ("GET", "/v1/devices/nearest"): {"params": {"lat": 53.4, "lon": -2.9}},
    ("POST", "/v1/fences/import"): {"json": {"type": "FeatureCollection", "features": []}},
    ("PUT", "/v1/fences/{fence_id}"): {"json": circle()},
    **{("POST", f"/v1/{register.name}"): {"json": {"name": "new"}} for register in REGISTERS.values()},
    **{
        ("PATCH", f"/v1/{register.name}/{{{register.key}}}"): {"json": {"name": "other"}}
        for register in REGISTERS.values()
    },
    ("POST", "/v1/jobs"): {"json": {"title": "new"}},
    ("PATCH", "/v1/jobs/{job_id}"): {"json": {"title": "other"}},
    ("POST", "/v1/jobs/{job_id}/transitions"): {"json": {"to": "on_site"}},
    ("POST", "/v1/jobs/{job_id}/parts"): {"json": {"sku": "x", "quantity": "1"}},
    ("GET", "/v1/technicians/{technician_id}/calendar.ics"): {"params": {"token": "x"}},
    ("PUT", "/v1/jobs/{job_id}/invoice"): {"json": {"state": "invoiced", "invoice_id": "1"}},
    ("POST", "/v1/stock/movements"): {"json": SPARE},
    ("PUT", "/v1/stock/thresholds/{holder}/{sku}"): {"json": {"level": "1"}},
    ("POST", "/v1/webhooks"): {"json": {"url": "https://erp.example.com", "events": ["*"]}},
    ("PATCH", "/v1/webhooks/{webhook_id}"): {"json": {"active": False}},
    ("POST", "/v1/webhooks/{webhook_id}/replay"): {"json": {"event_ids": ["x"]}},
    ("GET", "/v1/places"): {"params": {"q": "1 Strand"}},
    ("POST", "/v1/requests"): {"json": {"title": "new"}},
    ("POST", "/v1/requests/{request_id}/accept"): {"json": {}},
    ("POST", "/v1/requests/{request_id}/decline"): {"json": {"reason": "no"}},
    ("POST", "/v1/plans"): {"json": {}},
    ("POST", "/v1/plans/apply"): {"json": {"changes": []}},
    ("POST", "/v1/sessions"): {"json": {"name": "viewer", "password": PASSWORD}},
}
"""What is sent, where a route needs more than its path."""


def test_the_table_knows_every_role() -> None:
    assert set(PERMISSIONS) == set(get_args(Role))


def test_the_matrix_has_every_route(door: Door) -> None:
    paths = door.app.openapi()["paths"]
    routes = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert routes - set(ANSWERS) == {("GET", path) for path in OPEN}
    assert set(ANSWERS) <= routes


@pytest.fixture
def furnished(door: Door) -> Door:
    """A door with all that the requests are about: the device van-12, the fence f, and people."""
    for name, device_id in (("own", "van-12"), ("other", "van-13")):
        key = make_key("device", device_id=device_id)
        door.keys.records[f"key{name}"] = msgspec.structs.replace(key, key_id=f"key{name}")
    for role in ("viewer", "admin"):
        add_account(door, role, role)  # type: ignore[arg-type]
    door.put_live(live("van-12"))
    assert door.put("/v1/fences/f", json=circle()).status_code == 201
    door.registers["depots"].put("d", Depot(depot_id="d", name="Dock"))
    return door


def credentials_of(door: Door, who: str) -> dict[str, str]:
    """The headers of one of ``WHO``."""
    if who == "nobody":
        return {}
    if who.endswith("_in"):
        return cookie_of(sign_in(door, who.removesuffix("_in")))
    return {"Authorization": f"Bearer onsite_key{who}_secret_of_{'device' if who in ('own', 'other') else who}"}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_every_route_for_everybody(furnished: Door, method: str, path: str, who: str) -> None:
    headers = credentials_of(furnished, who)
    kept = {topic: list(records) for topic, records in furnished.log.records.items()}
    where = path.format(
        device_id="van-12",
        fence_id="f",
        visit_id="v",
        job_id="x",
        request_id="x",
        sealed="x",
        token="x",
        webhook_id="x",
        holder="depot:x",
        sku="x",
        name="travel",
        event_type="job.completed",
        erasure_id="x",
        **dict.fromkeys(KEYS_OF_REGISTERS, "x"),
    )
    answer = furnished.request(method, where, None, headers=headers, **REQUESTS.get((method, path), {}))
    assert answer.status_code == ANSWERS[method, path][WHO.index(who)], answer.text
    if answer.status_code == 401:
        assert is_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    if answer.status_code in (401, 403):
        assert furnished.log.records == kept, "what is refused changes nothing"


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer x",
        "Bearer onsite_keyadmin_",
        "Bearer onsite_keyadmin_secret_of_viewer",
        "Bearer onsite_nobody_secret_of_admin",
        "Bearer other_keyadmin_secret_of_admin",
        f"Basic {token_of('admin')}",
    ],
)
def test_a_wrong_key(door: Door, authorization: str) -> None:
    answer = door.post("/v1/pings", json=GOOD, headers={"Authorization": authorization})
    assert is_problem(answer, 401, "unauthorized")
    assert not door.log.records


def test_a_revoked_key(door: Door) -> None:
    assert door.get("/v1/devices").status_code == 200
    door.keys.records["keyadmin"] = make_key("admin", revoked_at=Instant(1))
    assert is_problem(door.get("/v1/devices"), 401, "unauthorized")


def test_a_key_that_has_not_been_read_yet(door: Door) -> None:
    door.keys.records.clear()
    door.keys.is_caught_up = False
    assert is_problem(door.get("/v1/devices"), 503, "unavailable")


@pytest.mark.parametrize("path", sorted(OPEN))
def test_health_needs_no_key(door: Door, path: str) -> None:
    assert door.get(path, role=None).status_code == 200
