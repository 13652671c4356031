"""Health, metrics, errors and the published document."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs

from api.registers.registry import REGISTERS
from tests.api.conftest import Door
from tests.api.test_pings import GOOD, is_problem


def test_ready(door: Door) -> None:
    assert door.get("/healthz", role=None).json() == {"status": "ok"}
    answer = door.get("/readyz", role=None)
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert set(answer.json()["checks"].values()) == {"ok"}


@pytest.mark.parametrize("name", ["broker", "store", "keys", "fences", "devices", "visits", "etas", *REGISTERS])
def test_not_ready_says_why(door: Door, name: str) -> None:
    if name == "broker":
        door.log.down = True
    elif name == "store":
        door.history.down = True
    else:
        models = {
            "keys": door.keys,
            "fences": door.fences,
            "devices": door.live,
            "visits": door.visits,
            "etas": door.etas,
            **door.registers,
        }
        models[name].is_caught_up = False  # type: ignore[attr-defined]
    answer = door.get("/readyz", role=None)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    checks = answer.json()["checks"]
    assert [check for check, state in checks.items() if state != "ok"] == [name]
    assert door.get("/healthz", role=None).status_code == 200


def test_requests_are_timed_by_route_template(door: Door) -> None:
    door.get("/v1/devices/van-12")
    door.get("/no/such/path")
    text = door.get("/metrics", role=None).text
    assert 'onsite_request_seconds_count{method="GET",route="/v1/devices/{device_id}",status="404"} 1.0' in text
    assert 'route="unmatched"' in text
    assert "van-12" not in text


def test_unknown_paths_and_methods(door: Door) -> None:
    assert is_problem(door.get("/nowhere"), 404, "not_found")
    answer = door.request("PATCH", "/v1/pings", json=GOOD)
    assert is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_an_error_on_our_side_tells_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.live, "records", None)
    with capture_logs() as logged:
        answer = door.get("/v1/devices")
    assert [entry["event"] for entry in logged] == ["request failed"]
    assert is_problem(answer, 500, "internal_error")
    assert "NoneType" not in answer.text


def test_a_direct_route_answers_as_any_other_does(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    good, unknown = door.post("/v1/pings", json=GOOD), door.post("/v1/jobs/none/transitions", json={"to": "completed"})
    assert good.status_code == 202
    assert is_problem(unknown, 404, "unknown_job")
    other = door.get("/v1/devices/none")
    for name in ("x-content-type-options", "x-frame-options", "content-security-policy", "cache-control"):
        assert good.headers[name] == unknown.headers[name] == other.headers[name]
    text = door.get("/metrics", role=None).text
    assert 'onsite_request_seconds_count{method="POST",route="/v1/pings",status="202"} 1.0' in text
    assert 'route="/v1/jobs/{job_id}/transitions",status="404"' in text
    monkeypatch.setattr(door.log, "append", None)
    with capture_logs() as logged:
        answer = door.post("/v1/pings", json=GOOD)
    assert [(entry["event"], entry["route"]) for entry in logged] == [("request failed", "/v1/pings")]
    assert is_problem(answer, 500, "internal_error")
    assert "NoneType" not in answer.text


def test_the_docs_need_no_other_host(door: Door) -> None:
    page = door.get("/docs", role=None).text
    assert "://" not in page.replace("http://www.w3.org", "")
    assert door.get("/static-offline-docs/swagger-ui-bundle.js", role=None).status_code == 200
    assert door.get("/static-offline-docs/swagger-ui.css", role=None).status_code == 200


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def contents(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [("request", content) for content in operation.get("requestBody", {}).get("content", {}).values()]
    for status, response in operation["responses"].items():
        found += [(status, content) for content in response.get("content", {}).values()]
    return found


def test_every_body_and_answer_has_an_example_that_fits_its_schema(door: Door) -> None:
    document = door.get("/openapi.json", role=None).json()
    checked = 0
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["tags"], name
        for where, content in contents(operation):
            examples = [each["value"] for each in content.get("examples", {}).values()] or [content["example"]]
            schema = {**content["schema"], "components": document["components"]}
            for example in examples:
                Draft202012Validator(schema).validate(example)
                checked += 1
            assert content["schema"] != {"type": "object"} or where == "200", name
    assert checked > 40


BODILESS = (
    "POST /v1/webhooks/{webhook_id}/secret",
    "POST /v1/webhooks/{webhook_id}/test",
    "POST /v1/technicians/{technician_id}/calendar",
    "POST /v1/jobs/{job_id}/tracking-link",
)
"""There is nothing to say beyond what is to be done."""

KEYLESS = (
    "POST /v1/sessions",
    "GET /v1/events/schemas",
    "GET /v1/events/schemas/{event_type}",
    "GET /v1/technicians/{technician_id}/calendar.ics",
    "GET /v1/track/{token}",
    "POST /v1/track/{token}/rating",
    "POST /v1/track/{token}/messages",
)
"""For everybody, or with a secret of their own."""


def test_operations_say_what_they_need(door: Door) -> None:
    document = door.get("/openapi.json", role=None).json()
    for name, operation in operations(document):
        responses = set(operation["responses"])
        if "/v1/" in name:
            session = [{"Session": []}]
            by_token = [{"HTTPBearer": []}]
            by_app_or_other = by_token if "/v1/ingest/" in name else [*by_token, *session]
            by_whom = session if "/v1/sessions" in name else by_app_or_other
            assert operation.get("security") == (None if name in KEYLESS else by_whom), name
            is_anybodys = name in KEYLESS and name != "POST /v1/sessions"
            assert {"401", "403"} <= responses or is_anybodys, name
        own = operation["responses"].get("422", {}).get("content", {})
        assert "application/json" not in own, f"{name}: what is not valid is answered as 400"
        if name.split()[0] in ("PUT", "POST") and name not in BODILESS:
            assert "requestBody" in operation, name


def test_real_answers_fit_the_document(door: Door) -> None:
    document = door.get("/openapi.json", role=None).json()
    answer = door.post("/v1/pings", json=[GOOD, {}]).json()
    schema = document["paths"]["/v1/pings"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
