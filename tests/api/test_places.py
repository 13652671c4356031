"""Jobs and sites that state an address: where they come to be, and what is remembered when a person corrects that."""

from typing import Any

import anyio
import pytest

from api.places.seeker import PlaceSeeker, Unplaced
from routing.addresses.geocoder import GeocoderUnavailable
from schemas.found_place import FoundPlace
from schemas.topics import FENCES, PLACES, SITES
from tests.api.conftest import Door
from tests.api.test_fences import circle, collection
from tests.api.test_pings import is_problem
from tests.fakes import make_key

HOUSE = FoundPlace("1 Strand, Liverpool", 53.4058, -2.9958, "house", 10.0, "offline", is_exact=True)
STREET = FoundPlace("Strand, Liverpool", 53.4060, -2.9950, "street", 180.0, "offline", is_exact=True)
ROAD = FoundPlace("Long Road, Liverpool", 53.4100, -2.9000, "street", 2_400.0, "offline", is_exact=True)
ELSEWHERE = FoundPlace("1 Strand, Hull", 53.74, -0.33, "house", 10.0, "offline", is_exact=True)

ADDRESS = {"title": "Boiler", "address": "1 Strand, Liverpool"}


class MemoryGeocoder:
    """Knows a few addresses by heart. ``away`` makes it fail."""

    def __init__(self) -> None:
        self.is_there = True
        self.away = False
        self.asked: list[str] = []
        self.known: dict[str, list[FoundPlace]] = {
            "1 Strand, Liverpool": [HOUSE],
            "Strand, Liverpool": [STREET],
            "Long Road, Liverpool": [ROAD],
            "1 Strand": [HOUSE, ELSEWHERE],
        }

    async def find(self, address: str) -> list[FoundPlace]:
        self.asked.append(address)
        if self.away:
            raise GeocoderUnavailable("it is away")
        return self.known.get(address, [])

    async def close(self) -> None:
        """Nothing."""


@pytest.fixture
def geocoder() -> MemoryGeocoder:
    return MemoryGeocoder()


@pytest.fixture
def door(geocoder: MemoryGeocoder) -> Door:
    door = Door(geocoder=geocoder)
    for branch in ("north", "south"):
        assert door.post("/v1/branches", json={"branch": branch, "name": branch}).status_code == 201
    return door


def made(door: Door, **fields: Any) -> dict[str, Any]:
    answer = door.post("/v1/jobs", json=fields)
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def patched(door: Door, job_id: str, **changes: Any) -> dict[str, Any]:
    answer = door.patch(f"/v1/jobs/{job_id}", json=changes)
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def radius_m(door: Door, job: dict[str, Any]) -> float | None:
    return door.fences.records[job["fence_id"]].current.radius_m


def where(job: dict[str, Any]) -> tuple[Any, Any]:
    return job["lat"], job["lon"]


def site(door: Door, site_id: str = "s") -> dict[str, Any]:
    found: dict[str, Any] = door.get(f"/v1/sites/{site_id}").json()
    return found


# An address is looked up


def test_an_address_alone_becomes_a_point_and_a_circle(door: Door) -> None:
    job = made(door, **ADDRESS)
    assert where(job) == (53.4058, -2.9958)
    assert job["geocoded"] == {
        "status": "found",
        "at": "2026-03-02T08:15:10.000Z",
        "source": "offline",
        "kind": "house",
        "precision_m": 10.0,
        "label": "1 Strand, Liverpool",
    }
    assert radius_m(door, job) == 75.0
    assert door.get(f"/v1/jobs/{job['job_id']}").json() == job


@pytest.mark.parametrize(("address", "radius"), [("Strand, Liverpool", 180.0), ("Long Road, Liverpool", 300.0)])
def test_the_circle_is_as_large_as_the_place_is_vague_within_bounds(door: Door, address: str, radius: float) -> None:
    job = made(door, title="x", address=address)
    assert radius_m(door, job) == radius
    stated = made(door, title="y", lat=job["lat"], lon=job["lon"])
    assert stated["fence_id"] != job["fence_id"], "a point that is known well has a circle of its own"
    assert radius_m(door, stated) == 75.0


def test_what_is_stated_is_not_looked_up(door: Door, geocoder: MemoryGeocoder) -> None:
    job = made(door, **ADDRESS, lat=53.0, lon=-2.0)
    assert (where(job), job["geocoded"]) == ((53.0, -2.0), None)
    door.put("/v1/fences/f", json=circle())
    assert made(door, **ADDRESS, fence_id="f")["geocoded"] is None
    assert geocoder.asked == []


@pytest.mark.parametrize(
    ("address", "status"),
    [("1 Strand", "ambiguous"), ("Nowhere 1", "not_found"), ("1 Strand, Liverpool", "unavailable")],
)
def test_what_is_not_found_is_taken_without_a_place_and_says_why(
    door: Door, geocoder: MemoryGeocoder, address: str, status: str
) -> None:
    geocoder.away = status == "unavailable"
    job = made(door, title="x", address=address)
    assert (where(job), job["fence_id"]) == ((None, None), None)
    assert job["geocoded"]["status"] == status
    assert FENCES.name not in door.log.records
    assert f'onsite_addresses_looked_up_total{{status="{status}"}} 1.0' in door.get("/metrics").text


def test_without_a_geocoder_the_answer_says_so(door: Door, geocoder: MemoryGeocoder) -> None:
    geocoder.is_there = False
    assert made(door, **ADDRESS)["geocoded"]["status"] == "no_geocoder"


def test_creating_again_is_the_same_though_the_geocoder_answers_otherwise(door: Door, geocoder: MemoryGeocoder) -> None:
    geocoder.away = True
    key = {"headers": {"Idempotency-Key": "k"}}
    first = door.post("/v1/jobs", json=ADDRESS, **key).json()
    geocoder.away = False
    again = door.post("/v1/jobs", json=ADDRESS, **key)
    assert (again.status_code, again.json()) == (201, first)
    placed = patched(door, first["job_id"], title="Boiler, again")
    assert where(placed) == (53.4058, -2.9958)
    assert door.post("/v1/jobs", json=ADDRESS, **key).json()["job_id"] == first["job_id"]


def test_what_the_server_finds_is_not_stated(door: Door) -> None:
    for field in ("geocoded", "request_id"):
        answer = door.post("/v1/jobs", json={**ADDRESS, field: "x"})
        assert is_problem(answer, 400, "invalid_job")
        assert f"$.{field}" in answer.json()["detail"]


def test_another_address_is_looked_up_and_a_place_that_was_stated_stays(door: Door) -> None:
    job = made(door, **ADDRESS)
    moved = patched(door, job["job_id"], address="Strand, Liverpool")
    assert where(moved) == (53.4060, -2.9950)
    assert moved["geocoded"]["kind"] == "street"
    gone = patched(door, job["job_id"], address="Nowhere 1")
    assert (where(gone), gone["fence_id"]) == ((None, None), None)
    assert gone["geocoded"] == {"status": "not_found", "at": "2026-03-02T08:15:10.000Z"}
    stated = patched(door, job["job_id"], lat=53.5, lon=-2.5)
    assert stated["geocoded"] is None
    assert where(patched(door, job["job_id"], address="1 Strand, Liverpool")) == (53.5, -2.5)
    again = patched(door, job["job_id"], lat=None, lon=None, address="Strand, Liverpool")
    assert where(again) == (53.4060, -2.9950)


def test_any_change_has_an_address_looked_up_that_waits(door: Door, geocoder: MemoryGeocoder) -> None:
    geocoder.away = True
    job = made(door, **ADDRESS)
    geocoder.away = False
    assert where(patched(door, job["job_id"], notes="ring twice")) == (53.4058, -2.9958)


def seek(door: Door, unplaced: Unplaced) -> None:
    anyio.run(PlaceSeeker(unplaced, door.app.state.services).seek)


def test_what_waits_is_asked_about_again(door: Door, geocoder: MemoryGeocoder) -> None:
    geocoder.away = True
    jobs = [made(door, **ADDRESS, job_id=f"j{n}") for n in range(2)]
    jobs.append(made(door, title="x", address="Strand, Liverpool", job_id="j2"))
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "address": "1 Strand, Liverpool"})
    unplaced = Unplaced()
    for record in door.jobs.records.values():
        unplaced.job_changed(record.job_id, record)
    unplaced.site_changed("s", door.registers["sites"].records["s"])
    geocoder.asked.clear()
    seek(door, unplaced)
    assert len(geocoder.asked) == 1, "one that does not answer is not asked again at once"
    geocoder.away = False
    door.patch("/v1/jobs/j2", json={"lat": 1.0, "lon": 2.0})
    seek(door, unplaced)
    assert [where(door.get(f"/v1/jobs/j{n}").json()) for n in range(3)] == [*[(53.4058, -2.9958)] * 2, (1.0, 2.0)]
    assert (site(door)["lat"], site(door)["geocoded"]["status"]) == (53.4058, "found")
    for job in jobs:
        unplaced.job_changed(job["job_id"], door.jobs.records[job["job_id"]])
    assert (dict(unplaced.jobs), door.jobs.records["j0"].words[0].actor) == ({}, "key:keyadmin")
    fences = door.get("/v1/audit?kind=fence").json()["items"]
    assert "system" in {each["actor"]["way"] for each in fences}


# Sites


def test_a_site_with_an_address_alone_has_the_point_and_stays_the_same_when_it_is_stated_again(door: Door) -> None:
    content = {"site_id": "s", "name": "x", "branch": "north", "address": "1 Strand, Liverpool"}
    assert door.post("/v1/sites", json=content).status_code == 201
    assert (site(door)["lat"], site(door)["geocoded"]["source"]) == (53.4058, "offline")
    assert door.post("/v1/sites", json=content).status_code == 200
    renamed = door.patch("/v1/sites/s", json={"name": "y"}).json()
    assert (renamed["lat"], renamed["name"]) == (53.4058, "y")
    moved = door.patch("/v1/sites/s", json={"address": "Strand, Liverpool"}).json()
    assert (moved["lat"], moved["geocoded"]["precision_m"]) == (53.4060, 180.0)
    job = made(door, title="x", site_id="s")
    assert (where(job), radius_m(door, job), job["geocoded"]["kind"]) == ((53.4060, -2.9950), 180.0, "street")
    stated = door.patch("/v1/sites/s", json={"lat": 53.5, "lon": -2.5}).json()
    assert (stated["lat"], "geocoded" in stated) == (53.5, False)


# A person corrects a place


@pytest.mark.parametrize("content", [{"address": "1 Strand, Liverpool"}, {"lat": 53.4058, "lon": -2.9958}])
def test_the_site_is_corrected_with_its_job(door: Door, content: dict[str, Any]) -> None:
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "branch": "north", **content})
    job, waiting = made(door, title="x", site_id="s"), made(door, title="y", site_id="s")
    gone = made(door, title="z", site_id="s")
    door.post(f"/v1/jobs/{gone['job_id']}/transitions", json={"to": "on_site"})
    corrected = patched(door, job["job_id"], lat=53.4061, lon=-2.9961)
    assert (where(corrected), corrected["geocoded"]) == ((53.4061, -2.9961), None)
    assert (site(door)["lat"], site(door)["lon"]) == (53.4061, -2.9961)
    assert "geocoded" not in site(door)
    following = made(door, title="next", site_id="s")
    assert (where(following), following["fence_id"]) == ((53.4061, -2.9961), corrected["fence_id"])
    assert door.get(f"/v1/jobs/{waiting['job_id']}").json()["fence_id"] == corrected["fence_id"]
    assert where(door.get(f"/v1/jobs/{gone['job_id']}").json()) == (53.4058, -2.9958), "somebody is there"
    [record] = [each for each in door.get("/v1/audit?kind=site&id=s").json()["items"] if each["action"] == "edited"]
    assert record["after"]["reason"] == f"corrected with the job {job['job_id']}"
    before = len(door.log.records[SITES.name])
    patched(door, job["job_id"], lat=53.4061, lon=-2.9961)
    patched(door, job["job_id"], title="another")
    assert len(door.log.records[SITES.name]) == before, "the same again changes nothing"


def test_a_job_that_is_created_again_is_the_same_though_its_site_was_corrected_meanwhile(door: Door) -> None:
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "lat": 53.4, "lon": -2.9})
    key = {"headers": {"Idempotency-Key": "k"}}
    content = {"title": "x", "site_id": "s"}
    first = door.post("/v1/jobs", json=content, **key).json()
    patched(door, first["job_id"], lat=53.5, lon=-2.5)
    again = door.post("/v1/jobs", json=content, **key)
    assert (again.status_code, again.json()["job_id"]) == (201, first["job_id"])
    assert is_problem(door.post("/v1/jobs", json=content | {"title": "y"}, **key), 422, "key_reused")


def test_the_circle_of_a_site_moves_and_keeps_its_history(door: Door) -> None:
    door.put("/v1/fences/hq", json=circle("hq", branch="north", radius_m=40))
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "branch": "north", "fence_id": "hq"})
    job, other = made(door, title="x", site_id="s"), made(door, title="y", site_id="s")
    corrected = patched(door, job["job_id"], lat=53.4061, lon=-2.9961)
    assert (corrected["fence_id"], where(corrected)) == ("hq", (53.4061, -2.9961))
    first, second = door.get("/v1/fences/hq/versions").json()["features"]
    assert second["geometry"]["coordinates"] == [-2.9961, 53.4061]
    assert second["properties"]["radius_m"] == 40
    assert first["properties"]["valid_to"] == second["properties"]["valid_from"]
    assert where(door.get(f"/v1/jobs/{other['job_id']}").json()) == (53.4061, -2.9961)
    newest = door.get("/v1/audit?kind=fence&id=hq").json()["items"]
    assert f"corrected with the job {job['job_id']}" in [(each["after"] or {}).get("reason") for each in newest]


def test_an_area_that_somebody_drew_is_not_moved_by_a_point(door: Door) -> None:
    square = [[-3.0, 53.0], [-2.99, 53.0], [-2.99, 53.01], [-3.0, 53.01], [-3.0, 53.0]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square]}, "properties": {}}
    door.put("/v1/fences/yard", json=feature)
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "fence_id": "yard"})
    job = made(door, title="x", site_id="s")
    gate = patched(door, job["job_id"], lat=53.001, lon=-2.991)
    assert (gate["fence_id"], where(gate)) == ("yard", (53.001, -2.991))
    outside = patched(door, job["job_id"], lat=53.1, lon=-2.9)
    assert outside["fence_id"].startswith("point-")
    assert len(door.fences.records["yard"].versions) == 1
    assert made(door, title="next", site_id="s")["fence_id"] == "yard"


def test_a_branch_does_not_move_what_is_everybodys(door: Door) -> None:
    door.keys.records["keydispatcher"] = make_key("dispatcher", branches=["north"])
    door.put("/v1/fences/hq", json=circle("hq"))
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "branch": "north", "fence_id": "hq"})
    job = made(door, title="x", site_id="s")
    answer = door.patch(f"/v1/jobs/{job['job_id']}", json={"lat": 53.2, "lon": -2.2}, role="dispatcher")
    assert answer.status_code == 200
    assert answer.json()["fence_id"] != "hq"
    assert len(door.fences.records["hq"].versions) == 1


def test_a_corrected_address_is_remembered_within_its_branch(door: Door, geocoder: MemoryGeocoder) -> None:
    for customer in ("c", "d"):
        door.post("/v1/customers", json={"customer_id": customer, "name": customer, "branch": "north"})
    job = made(door, **ADDRESS, branch="north", customer_id="c")
    patched(door, job["job_id"], lat=53.4061, lon=-2.9961)
    asked = len(geocoder.asked)
    again = made(door, title="y", address="1, STRAND  Liverpool", branch="north", customer_id="c")
    assert (where(again), again["geocoded"]["source"]) == ((53.4061, -2.9961), "remembered")
    assert radius_m(door, again) == 75.0
    assert where(made(door, **ADDRESS, branch="north", customer_id="d")) == (53.4061, -2.9961)
    assert len(geocoder.asked) == asked
    assert where(made(door, **ADDRESS, branch="south")) == (53.4058, -2.9958), "not in another branch"
    other = made(door, **ADDRESS, branch="north", customer_id="d", external_id="rear building")
    patched(door, other["job_id"], lat=53.4070, lon=-2.9970)
    assert where(made(door, **ADDRESS, branch="north", customer_id="c")) == (53.4061, -2.9961)
    assert where(made(door, **ADDRESS, branch="north", customer_id="d")) == (53.4070, -2.9970)
    records = door.get("/v1/audit?kind=place").json()["items"]
    assert {(each["action"], each["branch"]) for each in records} == {("corrected", "north")}
    reasons = {each["after"]["reason"] for each in records}
    assert reasons == {f"corrected with the job {each['job_id']}" for each in (job, other)}


def test_a_place_that_was_not_found_is_remembered_as_well(door: Door) -> None:
    job = made(door, title="x", address="Barn behind the church")
    patched(door, job["job_id"], lat=53.1, lon=-2.1)
    assert where(made(door, title="y", address="barn behind the church")) == (53.1, -2.1)


def test_a_moved_circle_becomes_the_fence_of_its_site_and_of_its_address(door: Door) -> None:
    door.post("/v1/sites", json={"site_id": "s", "name": "x", "branch": "north", "address": "1 Strand, Liverpool"})
    job = made(door, title="x", site_id="s")
    loose = made(door, **ADDRESS, branch="north", job_id="loose")
    assert loose["fence_id"] == job["fence_id"]
    square = [[-3.0, 53.0], [-2.99, 53.0], [-2.99, 53.01], [-3.0, 53.01], [-3.0, 53.0]]
    shape = {"type": "Polygon", "coordinates": [square]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"branch": "north"}}
    assert door.put(f"/v1/fences/{job['fence_id']}", json=feature).status_code == 200
    assert site(door)["fence_id"] == job["fence_id"]
    assert where(made(door, title="next", site_id="s")) == (pytest.approx(53.005), pytest.approx(-2.995))
    by_address = made(door, **ADDRESS, branch="north", job_id="next")
    assert (by_address["fence_id"], by_address["geocoded"]["source"]) == (job["fence_id"], "remembered")
    assert where(door.get("/v1/jobs/loose").json()) == (pytest.approx(53.005), pytest.approx(-2.995))
    assert len(door.log.records[PLACES.name]) == 1
    assert door.delete(f"/v1/fences/{job['fence_id']}").status_code == 204
    later = made(door, **ADDRESS, branch="north", job_id="later")
    assert (where(later)[0], later["geocoded"]["source"]) == (pytest.approx(53.005), "remembered")


def test_an_import_moves_circles_as_well(door: Door) -> None:
    job = made(door, **ADDRESS, branch="north")
    feature = circle(job["fence_id"], branch="north", radius_m=30)
    feature["geometry"]["coordinates"] = [-2.5, 53.5]
    assert door.post("/v1/fences/import", json=collection(feature)).json()["imported"] == 1
    assert where(made(door, **ADDRESS, branch="north", job_id="next")) == (53.5, -2.5)


# Somebody types an address


def test_candidates_for_who_types(door: Door, geocoder: MemoryGeocoder) -> None:
    answer = door.get("/v1/places", params={"q": "1 Strand"}).json()
    assert answer["status"] == "ambiguous"
    assert [each["label"] for each in answer["items"]] == ["1 Strand, Liverpool", "1 Strand, Hull"]
    assert answer["items"][0] == {
        "label": "1 Strand, Liverpool",
        "lat": 53.4058,
        "lon": -2.9958,
        "kind": "house",
        "precision_m": 10.0,
        "source": "offline",
        "is_exact": True,
    }
    assert len(door.get("/v1/places", params={"q": "1 Strand", "limit": 1}).json()["items"]) == 1
    job = made(door, title="x", address="1 Strand", branch="north")
    patched(door, job["job_id"], lat=53.1, lon=-2.1)
    remembered = door.get("/v1/places", params={"q": "1 strand", "branch": "north"}).json()
    assert (remembered["status"], remembered["items"][0]["source"]) == ("found", "remembered")
    geocoder.away = True
    assert is_problem(door.get("/v1/places", params={"q": "x"}), 503, "geocoder_unavailable")
    geocoder.is_there = False
    assert door.get("/v1/places", params={"q": "x"}).json() == {"status": "no_geocoder", "items": []}
    assert is_problem(door.get("/v1/places", params={"q": ""}), 400, "invalid_request")


def test_what_another_branch_remembers_is_not_shown(door: Door) -> None:
    job = made(door, title="x", address="1 Strand", branch="north")
    patched(door, job["job_id"], lat=53.1, lon=-2.1)
    door.keys.records["keydispatcher"] = make_key("dispatcher", branches=["south"])
    found = door.get("/v1/places", role="dispatcher", params={"q": "1 Strand", "branch": "north"}).json()
    assert {each["source"] for each in found["items"]} == {"offline"}
