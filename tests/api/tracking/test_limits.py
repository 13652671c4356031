"""How much a link and an address may ask."""

import pytest

from api.http.problems import Problem
from api.tracking.limits import TrackingLimits
from tests.api.conftest import Door
from tests.api.test_pings import is_problem
from tests.api.tracking.office import JOB, link, track


def test_too_many_requests_of_a_link_and_from_an_address(office: Door) -> None:
    token = link(office)
    statuses = [office.get(f"/v1/track/{token}", role=None).status_code for _ in range(40)]
    assert statuses == sorted(statuses)
    assert statuses.count(200) in (30, 31)
    answer = office.get(f"/v1/track/{token}", role=None)
    assert is_problem(answer, 429, "too_many")
    assert int(answer.headers["retry-after"]) >= 1
    page = office.get(f"/t/{token}", role=None)
    assert (page.status_code, page.headers["retry-after"]) == (429, "1")
    assert office.post("/v1/jobs", json=JOB | {"job_id": "j2"}).status_code == 201
    assert track(office, link(office, "j2")), "others' links are not concerned"
    office.clock.moment_ms += 2_000
    assert track(office, token)


def test_guessing_from_one_address_is_slow_and_does_not_slow_others() -> None:
    now_s = 0.0
    limits = TrackingLimits(lambda: now_s)

    def guess(times: int) -> None:
        for number in range(times):
            limits.come_from(f"2001:db8::{number:x}")

    guess(600)
    with pytest.raises(Problem, match="too many"):
        guess(3)
    limits.come_from("2001:db8:0:1::1")
    limits.come_from("192.0.2.7")
    now_s = 1.0
    limits.come_from("2001:db8::1")
