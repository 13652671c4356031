"""How much a token may, and what it is told when that is not enough."""

from dataclasses import replace

import pytest

from api.auth import Principal
from api.http.rates import Allowance, Rates, TooMany
from schemas.settings import Settings
from schemas.topics import PINGS
from tests.api.conftest import Door
from tests.api.test_pings import GOOD, is_problem
from tests.fakes import make_key


class Stopwatch:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def limited(door: Door, **settings: float) -> Stopwatch:
    """Give the door limits; its key of the role ``device`` is the token of van-12."""
    watch = Stopwatch()
    unlimited = {"device_requests_per_s": 0.0, "device_pings_per_s": 0.0}
    rates = Rates.stated_by(Settings(**{**unlimited, **settings}), watch)  # type: ignore[arg-type]
    door.app.state.services = replace(door.app.state.services, rates=rates)
    door.keys.records["keydevice"] = make_key("device", device_id="van-12")
    return watch


def test_a_burst_comes_in_at_once_and_then_so_much_a_second() -> None:
    allowance = Allowance(per_s=2.0, burst_s=5.0)
    for _ in range(10):
        assert allowance.debt_s("van", 0.0) == 0.0
        allowance.take("van", 1, 0.0)
    allowance.take("van", 1, 0.0)
    assert allowance.debt_s("van", 0.0) == 0.5
    assert allowance.debt_s("another", 0.0) == 0.0
    assert allowance.debt_s("van", 0.5) == 0.0
    assert allowance.debt_s("van", 1_000.0) == 0.0


def test_a_long_silence_earns_no_more_than_a_burst() -> None:
    allowance = Allowance(per_s=1.0, burst_s=10.0)
    allowance.take("van", 25, 1_000.0)
    assert allowance.debt_s("van", 1_000.0) == 15.0


def test_who_was_silent_for_long_is_forgotten() -> None:
    allowance = Allowance(per_s=1.0, burst_s=10.0)
    for number in range(25_000):
        allowance.take(f"van-{number}", 1, now_s=float(number))
    assert len(allowance) <= 10_001


def test_requests_of_a_device_token_are_limited_and_told_when_to_come_again(door: Door) -> None:
    watch = limited(door, device_requests_per_s=0.5, rate_burst_s=4.0)
    mine = {**GOOD, "device_id": "van-12"}
    assert [door.post("/v1/pings", role="device", json=mine).status_code for _ in range(3)] == [202] * 3
    refused = door.post("/v1/pings", role="device", json=mine)
    assert is_problem(refused, 429, "too_many")
    assert refused.headers["retry-after"] == "2"
    assert len(door.log.records[PINGS.name]) == 3
    counted = door.app.state.services.metrics.registry.get_sample_value
    assert counted("onsite_requests_limited_total", {"of": "requests"}) == 1
    watch.now_s += float(refused.headers["retry-after"])
    assert door.post("/v1/pings", role="device", json=mine).status_code == 202


def test_pings_are_limited_whatever_they_come_in(door: Door) -> None:
    watch = limited(door, device_pings_per_s=10.0, rate_burst_s=6.0)
    mine = [{**GOOD, "device_id": "van-12", "lat": 50 + number / 1000} for number in range(150)]
    assert door.post("/v1/pings", role="device", json=mine).json()["accepted"] == 150
    for method, path in (("POST", "/v1/pings"), ("GET", "/v1/ingest/osmand")):
        refused = door.request(method, path, "device")
        assert is_problem(refused, 429, "too_many")
        assert refused.headers["retry-after"] == "9"
    watch.now_s += 9.0
    assert door.post("/v1/pings", role="device", json=mine[0]).status_code == 202


def test_other_keys_have_limits_of_their_own_and_none_by_default(door: Door) -> None:
    limited(door, device_requests_per_s=0.01, rate_burst_s=1.0)
    assert {door.get("/v1/devices", role="viewer").status_code for _ in range(100)} == {200}
    limited(door, requests_per_s=1.0, rate_burst_s=2.0)
    answers = [door.get("/v1/devices", role="viewer").status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert door.get("/v1/devices", role="admin").status_code == 200


def test_people_and_keys_of_one_name_do_not_share(door: Door) -> None:
    limited(door, requests_per_s=1.0, rate_burst_s=1.0)
    rates = door.app.state.services.rates
    for way in ("key", "oidc", "session"):
        rates.enter(Principal(way, "amina", "amina", "viewer"))
        rates.enter(Principal(way, "amina", "amina", "viewer"))
        with pytest.raises(TooMany):
            rates.enter(Principal(way, "amina", "amina", "viewer"))


def test_a_wrong_token_takes_nothing_from_the_right_one(door: Door) -> None:
    limited(door, device_requests_per_s=0.5, rate_burst_s=2.0)
    wrong = {"Authorization": "Bearer onsite_keydevice_wrong"}
    for _ in range(5):
        assert door.post("/v1/pings", role=None, json=[], headers=wrong).status_code == 401
    assert door.post("/v1/pings", role="device", json=[]).status_code == 202


@pytest.mark.parametrize("per_s", ["device_requests_per_s", "device_pings_per_s"])
def test_the_defaults_let_a_phone_post_its_night(per_s: str) -> None:
    """A day at a fix in two seconds comes in within minutes."""
    settings = Settings()
    wanted = {"device_requests_per_s": 43_200 / 100, "device_pings_per_s": 43_200}[per_s]
    assert wanted / getattr(settings, per_s) - settings.rate_burst_s < 300
