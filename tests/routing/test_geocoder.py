"""Servers that are asked: what they answer, how often they are asked, and what happens when they are away."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from routing.addresses import geocoder as geocoders
from routing.addresses.geocoder import GeocoderUnavailable, NoGeocoder, OfflineGeocoder, ServerGeocoder, open_geocoder
from routing.addresses.kept import KeptAnswers
from routing.addresses.matching import verdict_on
from schemas.found_place import FoundPlace
from schemas.settings import Settings

HOUSE = {
    "lat": "47.1389",
    "lon": "9.5214",
    "category": "building",
    "name": "",
    "display_name": "6, Äulestrasse, Vaduz, 9490, Liechtenstein",
    "boundingbox": ["47.1388", "47.1390", "9.5213", "9.5215"],
    "address": {"house_number": "6", "road": "Äulestrasse", "town": "Vaduz", "postcode": "9490", "country": "L"},
}
STREET = {
    **HOUSE,
    "category": "highway",
    "name": "Äulestrasse",
    "boundingbox": ["47.136", "47.140", "9.520", "9.523"],
    "address": {"road": "Äulestrasse", "town": "Vaduz", "postcode": "9490", "country": "Liechtenstein"},
}
ELSEWHERE = {
    **HOUSE,
    "lat": "47.5",
    "address": {"house_number": "6", "road": "Äulestrasse", "town": "Triesen", "postcode": "9495"},
}
PHOTON = {
    "features": [
        {
            "geometry": {"coordinates": [9.5214, 47.1389]},
            "properties": {
                "type": "house",
                "housenumber": "6",
                "street": "Äulestrasse",
                "city": "Vaduz",
                "postcode": "9490",
                "country": "Liechtenstein",
            },
        }
    ]
}


class Server:
    """Answers as it is told, and notes what it was asked."""

    def __init__(self, tmp_path: Path, geocoder: str = "nominatim+https://geo.example/base/", **settings: Any) -> None:
        self.asked: list[httpx.Request] = []
        self.answer: Any = [HOUSE]
        self.status = 200
        self.headers: dict[str, str] = {}
        self.down = False
        stated = {"geocoder_per_s": 1000.0, "geocoder_contact": "ops@example.com"} | settings
        self.settings = Settings(geocoder=geocoder, data_dir=tmp_path, **stated)
        self.kept = KeptAnswers(tmp_path / "kept.sqlite", 3600.0)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.down:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.status, json=self.answer, headers=self.headers)

    def run(self, test: Callable[[ServerGeocoder], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            geocoder = ServerGeocoder(self.settings, self.kept, httpx.MockTransport(self._handle))
            return await test(geocoder)

        return asyncio.run(whole())

    def find(self, address: str) -> list[FoundPlace]:
        return self.run(lambda geocoder: geocoder.find(address))  # type: ignore[no-any-return]


def test_nominatim_is_asked_as_it_wants_to_be(tmp_path: Path) -> None:
    server = Server(tmp_path)
    [place] = server.find("Aeulestr. 6, Vaduz")
    assert (place.kind, place.lat, place.lon, place.precision_m, place.source) == (
        "house",
        47.1389,
        9.5214,
        10.0,
        "nominatim",
    )
    assert place.is_exact
    [request] = server.asked
    assert request.url.path == "/base/search"
    assert dict(request.url.params) == {
        "q": "Aeulestr. 6, Vaduz",
        "format": "jsonv2",
        "addressdetails": "1",
        "limit": "10",
    }
    assert request.headers["user-agent"] == "Onsite/0.1 (+ops@example.com)"


def test_photon_says_the_same(tmp_path: Path) -> None:
    server = Server(tmp_path, "photon+http://localhost:2322")
    server.answer = PHOTON
    [place] = server.find("Vaduz Äulestrasse 6")
    assert (place.label, place.kind, place.source, place.is_exact) == (
        "Äulestrasse 6, 9490 Vaduz, Liechtenstein",
        "house",
        "photon",
        True,
    )
    assert server.asked[0].url.path == "/api"


def test_a_street_is_as_imprecise_as_it_is_long(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.answer = [STREET]
    [place] = server.find("Äulestrasse 99, Vaduz")
    assert place.kind == "street"
    assert 240 < place.precision_m < 260


@pytest.mark.parametrize(
    ("address", "status"),
    [("Äulestrasse 6", "ambiguous"), ("Äulestrasse 6, Vaduz", "found"), ("Feldweg 1, Vaduz", "not_found")],
)
def test_what_a_server_offers_is_held_against_what_was_asked(tmp_path: Path, address: str, status: str) -> None:
    server = Server(tmp_path)
    server.answer = [ELSEWHERE, HOUSE]
    found = server.find(address)
    assert verdict_on(found)[0] == status
    if status == "found":
        assert found[0].lat == 47.1389


def test_an_answer_is_kept_over_a_restart_and_across_spellings(tmp_path: Path) -> None:
    server = Server(tmp_path)
    first = server.find("Äulestrasse 6, Vaduz")
    server.kept = KeptAnswers(tmp_path / "kept.sqlite", 3600.0)
    assert server.find("aeulestr. 6  VADUZ") == first
    assert len(server.asked) == 1
    server.kept = KeptAnswers(tmp_path / "kept.sqlite", -1.0)
    server.find("Äulestrasse 6, Vaduz")
    assert len(server.asked) == 2, "what is too old is asked again"


def test_where_there_can_be_no_file_answers_are_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = KeptAnswers(tmp_path / "file" / "kept.sqlite", 3600.0)
    place = FoundPlace("x", 1.0, 2.0, "house", 10.0, "photon", is_exact=True)
    kept.put("x", [place], 1000.0)
    assert kept.get("x", 1001.0) == [place]
    assert kept.get("y", 1001.0) is None


def test_a_server_that_fails_is_left_alone_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path)
    server.down = True

    async def ask_twice(geocoder: ServerGeocoder) -> None:
        for _ in range(2):
            with pytest.raises(GeocoderUnavailable):
                await geocoder.find("Äulestrasse 6, Vaduz")
        assert len(server.asked) == 1
        server.down = False
        now_s = time.monotonic()
        monkeypatch.setattr(geocoders.time, "monotonic", lambda: now_s + 31.0)
        assert await geocoder.find("Äulestrasse 6, Vaduz")

    server.run(ask_twice)


@pytest.mark.parametrize("status", [429, 500, 403, 302])
def test_every_other_status_is_a_failure(tmp_path: Path, status: int) -> None:
    server = Server(tmp_path)
    server.status = status
    with pytest.raises(GeocoderUnavailable, match=str(status)):
        server.find("x 1")


@pytest.mark.parametrize(
    "answer",
    [{}, {"features": 1}, [1], [{**HOUSE, "lat": "north"}], [{**HOUSE, "lat": "95"}], "x", None, [{}]],
)
@pytest.mark.parametrize("kind", ["nominatim", "photon"])
def test_an_answer_that_is_none_is_a_failure_or_empty(tmp_path: Path, kind: str, answer: Any) -> None:
    server = Server(tmp_path, f"{kind}+https://geo.example")
    server.answer = answer
    with contextlib.suppress(GeocoderUnavailable):
        assert server.find("x 1") == []


def test_no_more_are_asked_than_is_allowed(tmp_path: Path) -> None:
    server = Server(tmp_path, geocoder_per_s=10.0, geocoder_timeout_s=0.35)

    async def many(geocoder: ServerGeocoder) -> list[Any]:
        return await asyncio.gather(*(geocoder.find(f"Feldweg {n}") for n in range(12)), return_exceptions=True)

    began_s = time.monotonic()
    answers = server.run(many)
    assert 3 <= len(server.asked) <= 5
    assert sum(isinstance(each, GeocoderUnavailable) for each in answers) == 12 - len(server.asked)
    assert time.monotonic() - began_s < 2.0, "who would wait too long is told at once"


def test_the_setting_says_which(tmp_path: Path) -> None:
    assert isinstance(open_geocoder(Settings(geocoder="none")), NoGeocoder)
    offline = open_geocoder(Settings(data_dir=tmp_path))
    assert isinstance(offline, OfflineGeocoder)
    assert not offline.is_there
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "addresses.sqlite").write_bytes(b"")
    assert offline.is_there
    assert open_geocoder(Settings(map_dir=tmp_path / "map")).is_there
    for wrong in ("nominatim", "nominatim+ftp://x", "bing+https://x", "photon+https://", "https://x"):
        with pytest.raises(ValueError, match="is none of"):
            Settings(geocoder=wrong)
