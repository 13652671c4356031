"""Nothing else can be reached with a link, and what it opens goes no further."""

import base64
import re
from typing import Any, Final

from tests.api.conftest import Door
from tests.api.test_auth import OPEN
from tests.api.tracking.office import JOB, drive, link

OWN: Final = ("/v1/track/{token}", "/t/{token}")
PUBLIC: Final = OPEN | {"/v1/events/schemas", "/v1/events/schemas/{event_type}"}


def ways_of(token: str) -> list[dict[str, Any]]:
    """All the ways in which a request can show who it comes from, with the token."""
    basic = base64.b64encode(f"van-12:{token}".encode()).decode()
    return [
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": f"Bearer onsite_{token}_{token}"}},
        {"headers": {"Authorization": f"Basic {basic}"}},
        {"headers": {"Cookie": f"onsite={token}; __Host-onsite={token}"}},
        {"headers": {"X-Api-Key": token, "X-Auth-Token": token}},
        {"params": {"token": token, "key": token, "access_token": token}},
    ]


def test_nothing_else_can_be_reached_with_it(office: Door) -> None:
    """Every route of the document, in every way, about things that are there."""
    token = link(office)
    drive(office)
    ids = {
        "job_id": "j1", "device_id": "van-12", "technician_id": "tech-77", "customer_id": "hill", "branch": "liverpool",
        "name": "travel", "event_type": "job.completed", "token": token, "sealed": token,
    }  # fmt: skip
    kept = {topic: list(records) for topic, records in office.log.records.items()}
    tried = 0
    for path, operations in office.app.openapi()["paths"].items():
        if path.startswith(OWN) or path in PUBLIC:
            continue
        where = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], token), path)
        for method in operations:
            for way in ways_of(token):
                body = {"name": f"{tried}{token}", "password": token} if method != "get" else None
                answer = office.request(method.upper(), where, None, json=body, **way)
                needs_another = path.endswith("calendar.ics") and "params" not in way
                wanted = (400,) if needs_another else (401, 404)
                assert answer.status_code in wanted, (method, where, way, answer.text)
                assert "Boiler" not in answer.text
                tried += 1
    assert tried > 500
    assert office.log.records == kept, "what is refused changes nothing"


def test_its_own_routes_open_its_own_job_alone(office: Door) -> None:
    assert office.post("/v1/jobs", json=JOB | {"job_id": "j2", "title": "Secret"}).status_code == 201
    token = link(office)
    read = office.tracking.links.read(token)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    swapped = base64.urlsafe_b64encode(raw.replace(read.job_id.encode(), b"j2")).decode().rstrip("=")
    for path in (f"/v1/track/{swapped}", f"/v1/track/{token}/../{swapped}", f"/t/{swapped}"):
        assert office.get(path, role=None).status_code == 404
    assert office.get(f"/v1/track/{token}?job_id=j2", role=None).json()["title"] == "Boiler"
    for method in ("PUT", "PATCH", "DELETE"):
        assert office.request(method, f"/v1/track/{token}", None).status_code == 405


def test_answers_are_kept_nowhere_and_tell_no_other_site(office: Door) -> None:
    token = link(office)
    for path in (f"/v1/track/{token}", "/v1/track/x", f"/t/{token}", "/t/x"):
        answer = office.get(path, role=None)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert office.get(f"/v1/track/{token}", role=None).headers["x-robots-tag"] == "noindex, nofollow"
