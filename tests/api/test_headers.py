"""What answers tell browsers, whatever the answer is."""

import pytest

from tests.api.conftest import Door
from tests.api.test_pings import GOOD

SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path", "role", "status"),
    [
        ("GET", "/v1/devices", "viewer", 200),
        ("GET", "/v1/devices", None, 401),
        ("GET", "/v1/devices", "device", 403),
        ("GET", "/v1/devices/nobody", "viewer", 404),
        ("GET", "/v1/nowhere", "viewer", 404),
        ("DELETE", "/v1/devices", "viewer", 405),
        ("GET", "/v1/ingest/osmand", "device", 400),
    ],
)
def test_answers_with_data_are_kept_nowhere_and_load_nothing(
    door: Door, method: str, path: str, role: str | None, status: int
) -> None:
    answer = door.request(method, path, role)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in SAFE} == SAFE
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"


def test_a_post_too(door: Door) -> None:
    answer = door.post("/v1/pings", json=GOOD)
    assert (answer.status_code, answer.headers["cache-control"]) == (202, "no-store")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/healthz"])
def test_own_pages_load_what_is_their_own(door: Door, path: str) -> None:
    answer = door.get(path, role=None)
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in SAFE} == SAFE
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_other_sites_are_let_in_nowhere(door: Door) -> None:
    """CORS is off: no answer names an origin that may read it."""
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    for method in ("OPTIONS", "GET"):
        answer = door.request(method, "/v1/devices", "viewer", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
