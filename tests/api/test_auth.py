"""Who gets in, and to what."""

from typing import get_args

import pytest

from api.auth import PERMISSIONS
from schemas.key import Role
from schemas.times import Instant
from tests.api.conftest import Door
from tests.api.test_pings import GOOD, is_problem
from tests.fakes import make_key, token_of

OPEN = {"/healthz", "/readyz", "/metrics"}

POST_PINGS = ("POST", "/v1/pings")
MAY: dict[tuple[str, str], set[Role]] = {
    POST_PINGS: {"admin", "device"},
    ("GET", "/v1/ingest/osmand"): {"admin", "device"},
    ("POST", "/v1/ingest/osmand"): {"admin", "device"},
    ("POST", "/v1/ingest/owntracks"): {"admin", "device"},
    ("POST", "/v1/ingest/overland"): {"admin", "device"},
    ("GET", "/v1/ingest/gpslogger"): {"admin", "device"},
    ("POST", "/v1/ingest/gpslogger"): {"admin", "device"},
    ("GET", "/v1/rejected"): {"admin"},
    ("GET", "/v1/devices"): {"admin", "viewer"},
    ("GET", "/v1/devices/{device_id}"): {"admin", "viewer"},
    ("GET", "/v1/devices/{device_id}/track"): {"admin", "viewer"},
    ("GET", "/v1/fences"): {"admin", "viewer"},
    ("POST", "/v1/fences/import"): {"admin"},
    ("GET", "/v1/fences/{fence_id}"): {"admin", "viewer"},
    ("GET", "/v1/fences/{fence_id}/versions"): {"admin", "viewer"},
    ("PUT", "/v1/fences/{fence_id}"): {"admin"},
    ("DELETE", "/v1/fences/{fence_id}"): {"admin"},
    ("GET", "/v1/visits"): {"admin", "viewer"},
    ("GET", "/v1/visits/{visit_id}"): {"admin", "viewer"},
    ("GET", "/v1/visits/{visit_id}/explain"): {"admin", "viewer"},
}


def test_the_table_knows_every_role() -> None:
    assert set(PERMISSIONS) == set(get_args(Role))


def test_the_matrix_has_every_route(door: Door) -> None:
    paths = door.app.openapi()["paths"]
    routes = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert routes - set(MAY) == {("GET", path) for path in OPEN}
    assert set(MAY) <= routes


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize(("method", "path"), MAY)
def test_every_route_for_every_role(door: Door, method: str, path: str, role: Role) -> None:
    answer = door.request(method, path.format(device_id="d", fence_id="f", visit_id="v"), role=role)
    if role in MAY[method, path]:
        assert answer.status_code not in (401, 403)
    else:
        assert is_problem(answer, 403, "forbidden")


@pytest.mark.parametrize(("method", "path"), MAY)
def test_no_route_without_a_key(door: Door, method: str, path: str) -> None:
    answer = door.request(method, path, role=None)
    assert is_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


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
