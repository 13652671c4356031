"""Setting a phone up by a link: what it opens, for how long, and that the apps can post with it."""

import base64
import hashlib
import json
import re
import time
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from api.ingest.enrolment import Enrolment, EnrolmentLinks
from schemas.settings import Settings
from schemas.times import Instant, parse_instant
from schemas.topics import KEYS, PINGS
from tests.api.conftest import Door
from tests.api.test_pings import is_problem
from tests.schemas.test_app_protocols import OWNTRACKS, TRACCAR_JSON


def enrol(door: Door, device_id: str = "van-12", **wanted: Any) -> dict[str, Any]:
    answer = door.post(f"/v1/devices/{device_id}/enrolments", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def open_link(door: Door, url: str) -> httpx.Response:
    return door.get(urlsplit(url).path, role=None)


def links_of(page: httpx.Response) -> dict[str, str]:
    """The links of the apps on a page, by scheme."""
    links = [unescape(link) for link in re.findall(r'href="([^"]*)"', page.text)]
    return {urlsplit(link).scheme: link for link in links}


def test_a_link_is_made_with_a_token_of_the_device_that_it_alone_shows(door: Door) -> None:
    made = enrol(door, minutes=10)
    assert set(made) == {"device_id", "key_id", "url", "expires_at"}
    assert made["url"].startswith("http://onsite/enrol/")
    assert parse_instant(made["expires_at"]) / 1000 == pytest.approx(time.time() + 600, abs=30)
    (stored,) = door.log.values(KEYS)
    assert (stored["key_id"], stored["role"], stored["device_id"]) == (made["key_id"], "device", "van-12")
    assert made["key_id"] not in made["url"]
    token = re.search(r"onsite_[0-9a-f]{12}_[\w-]+", open_link(door, made["url"]).text)
    assert token is not None
    assert token[0].split("_", 2)[2] not in json.dumps([made, stored])


def test_owntracks_is_set_up_by_its_link(door: Door) -> None:
    link = urlsplit(links_of(open_link(door, enrol(door, "jane's phone")["url"]))["owntracks"])
    assert (link.netloc, link.path) == ("", "/config")
    configuration = json.loads(base64.b64decode(parse_qs(link.query)["inline"][0], validate=True))
    assert (configuration["_type"], configuration["mode"], configuration["auth"]) == ("configuration", 3, True)
    credentials = f"{configuration['username']}:{configuration['password']}".encode()
    headers = {"Authorization": "Basic " + base64.b64encode(credentials).decode()}
    where = urlsplit(configuration["url"])
    assert where.netloc == "onsite"
    assert door.post(where.path, role=None, json=OWNTRACKS, headers=headers).status_code == 200
    assert [key for key, _ in door.log.records[PINGS.name]] == ["jane's phone"]


def test_traccar_client_is_set_up_by_its_link(door: Door) -> None:
    link = urlsplit(links_of(open_link(door, enrol(door, "van 12&co")["url"]))["org.traccar.client"])
    settings = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert (settings["interval"], settings["distance"], settings["accuracy"]) == ("15", "0", "high")
    where = urlsplit(settings["url"])
    message = {**TRACCAR_JSON, "device_id": settings["id"]}
    answer = door.post(where.path, role=None, params=parse_qs(where.query), json=message)
    assert answer.status_code == 200
    assert [key for key, _ in door.log.records[PINGS.name]] == ["van 12&co"]


def test_the_page_shows_each_setting_and_a_code_for_each_app(door: Door) -> None:
    page = open_link(door, enrol(door)["url"])
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.count("<svg ") == 2
    for shown in ("Server URL", "http://onsite/v1/ingest/osmand?token=onsite_", "http://onsite/v1/ingest/owntracks"):
        assert shown in page.text


def test_the_page_loads_nothing_and_runs_nothing(door: Door) -> None:
    page = open_link(door, enrol(door)["url"])
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<(script|img|link|iframe|form|object)\b|\bon\w+=|\bstyle=|\bsrc=", page.text)
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)

    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_a_name_is_text_on_the_page(door: Door) -> None:
    page = open_link(door, enrol(door, "<script>alert(1)<%2Fscript>\"'".replace("%2F", "|"))["url"])
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


def test_the_public_address_is_the_one_that_is_set() -> None:
    door = Door(settings=Settings(public_url="https://onsite.example.com/"))
    made = enrol(door)
    assert made["url"].startswith("https://onsite.example.com/enrol/")
    assert "https://onsite.example.com/v1/ingest/owntracks" in open_link(door, made["url"]).text


def test_a_link_whose_time_is_over(door: Door) -> None:
    enrolment_of = door.app.state.services.enrolment_links
    url = enrol(door)["url"]
    opened = enrolment_of.open(urlsplit(url).path.rpartition("/")[2])
    stale = enrolment_of.seal(msgspec.structs.replace(opened, until_s=int(time.time()) - 1))
    page = door.get(f"/enrol/{stale}", role=None)
    assert page.status_code == 410
    assert "onsite_" not in page.text


def test_a_link_whose_token_was_revoked(door: Door) -> None:
    made = enrol(door)
    key = door.keys.records[made["key_id"]]
    door.keys.records[made["key_id"]] = msgspec.structs.replace(key, revoked_at=Instant(1))
    page = open_link(door, made["url"])
    assert page.status_code == 410
    assert "onsite_" not in page.text


def test_a_link_that_was_changed_or_made_elsewhere(door: Door) -> None:
    sealed = urlsplit(enrol(door)["url"]).path.rpartition("/")[2]
    elsewhere = EnrolmentLinks(b"another secret").seal(Enrolment("van-12", "onsite_a_b", int(time.time()) + 60))
    changed = sealed[:-4] + ("AAAA" if not sealed.endswith("AAAA") else "BBBB")
    for forged in (elsewhere, changed, sealed[:40], "x", "....", "a.b.c.d.e", "\N{SNOWMAN}"):
        page = door.get(f"/enrol/{forged}", role=None)
        assert page.status_code == 404, forged
        assert "not good any more" in page.text


def test_while_keys_are_being_read_nobody_is_told_that_it_is_over(door: Door) -> None:
    url = enrol(door)["url"]
    door.keys.is_caught_up = False
    assert is_problem(open_link(door, url), 503, "unavailable")


@pytest.mark.parametrize("body", [b'{"minutes": 0}', b'{"minutes": 1441}', b'{"minutes": "x"}', b"[]", b"\xff"])
def test_what_is_asked_wrongly(door: Door, body: bytes) -> None:
    assert is_problem(door.post("/v1/devices/van-12/enrolments", content=body), 400, "malformed_body")
    assert is_problem(door.post(f"/v1/devices/{'x' * 201}/enrolments"), 400, "invalid_request")
    assert KEYS.name not in door.log.records


def test_the_link_is_not_made_while_the_log_is_away(door: Door) -> None:
    door.log.down = True
    assert is_problem(door.post("/v1/devices/van-12/enrolments"), 503, "unavailable")
