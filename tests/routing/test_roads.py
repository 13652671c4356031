"""Travel times by road on a whole small country, and what is said where there is no road or no provider."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routing.provider import Provider
from routing.roads import providers
from routing.roads.build import RoadsError, build_roads, has_roads
from routing.roads.network import RoadNetwork
from routing.roads.providers import NAME, RoadsInProcess, RoadsInWorkers, RoadsOverHttp
from routing.straight_line import StraightLine

LIECHTENSTEIN = Path(__file__).parents[3] / "shared/data/osm/liechtenstein-latest.osm.pbf"

VADUZ, SCHAAN, BALZERS = (47.1392, 9.5227), (47.1650, 9.5100), (47.0660, 9.5030)
PACIFIC = (0.0, -150.0)

has_osrm = sys.version_info >= (3, 12)
needs_osrm = pytest.mark.skipif(not has_osrm, reason="osrm-bindings needs Python 3.12")


def columns(*ways: tuple[tuple[float, float], tuple[float, float]]) -> tuple[np.ndarray, ...]:
    return tuple(np.array([[*start, *end] for start, end in ways]).T)


def straight(*ways: tuple[tuple[float, float], tuple[float, float]]) -> list[float]:
    return StraightLine().ways(*columns(*ways)).travel_s.tolist()


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    assert build_roads(LIECHTENSTEIN, folder, lambda *_: None)["edges"] > 10_000
    return folder


class Server(ThreadingHTTPServer):
    """Answers as an OSRM server does; ``reply`` can be changed."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reply: Callable[[str], tuple[int, Any]] = lambda _: (200, route(300.0, 4_000.0))
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, content = self.server.reply(self.path)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def route(duration_s: float, distance_m: float, snapped_m: float = 3.0) -> dict[str, Any]:
    return {
        "code": "Ok",
        "routes": [{"duration": duration_s, "distance": distance_m}],
        "waypoints": [{"distance": snapped_m}, {"distance": snapped_m}],
    }


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(params=["straight line", "in process", "in workers", "over http"])
def provider(request: pytest.FixtureRequest, server: Server) -> Iterator[Provider]:
    if request.param == "straight line":
        yield StraightLine()
    elif request.param == "over http":
        found = RoadsOverHttp(server.url)
        yield found
        found.close()
    else:
        if not has_osrm:
            pytest.skip("osrm-bindings needs Python 3.12")
        country = request.getfixturevalue("country")
        local = RoadsInProcess(country) if request.param == "in process" else RoadsInWorkers(country)
        yield local
        local.close()


def test_every_provider_answers_every_way(provider: Provider) -> None:
    found = provider.ways(*columns((VADUZ, SCHAAN), (SCHAAN, BALZERS), (VADUZ, VADUZ)))
    assert len(found.providers) == 3
    assert set(found.providers) == {provider.name}
    assert np.all(found.travel_s >= 0)
    assert np.all(found.distance_m >= 0)
    assert np.all(np.isfinite(found.travel_s + found.distance_m))
    none = provider.ways(*(np.zeros(0) for _ in range(4)))
    assert (len(none.travel_s), none.providers) == (0, [])


@needs_osrm
def test_a_way_by_road_is_longer_than_the_straight_line_and_as_quick_as_cars_are(country: Path) -> None:
    found = RoadsInProcess(country).ways(*columns((VADUZ, SCHAAN), (VADUZ, BALZERS)))
    assert found.distance_m.tolist() == pytest.approx([3_400, 8_900], rel=0.25)
    assert np.all((found.distance_m / found.travel_s > 5.0) & (found.distance_m / found.travel_s < 25.0))


@needs_osrm
def test_workers_say_what_the_process_says(country: Path) -> None:
    rng = np.random.default_rng(3)
    lat, to_lat = rng.uniform(47.06, 47.25, (2, 300))
    lon, to_lon = rng.uniform(9.49, 9.58, (2, 300))
    workers = RoadsInWorkers(country)
    try:
        found = workers.ways(lat, lon, to_lat, to_lon)
    finally:
        workers.close()
    alone = RoadsInProcess(country).ways(lat, lon, to_lat, to_lon)
    assert (found.travel_s.tolist(), found.providers) == (alone.travel_s.tolist(), alone.providers)
    assert 0.5 < found.providers.count(NAME) / 300 < 1.0, "some of these places are on a mountain"


@needs_osrm
def test_off_the_map_the_straight_line_answers_and_says_so(country: Path) -> None:
    ways = ((VADUZ, PACIFIC), (VADUZ, SCHAAN), (PACIFIC, VADUZ))
    found = RoadsInProcess(country).ways(*columns(*ways))
    assert found.providers == ["straight_line", NAME, "straight_line"]
    assert found.travel_s[[0, 2]].tolist() == [straight(*ways)[0], straight(*ways)[2]]


@needs_osrm
def test_a_worker_that_dies_costs_one_answer(country: Path) -> None:
    workers = RoadsInWorkers(country)
    try:
        assert workers.ways(*columns((VADUZ, SCHAAN))).providers == [NAME]
        (pid,) = workers._pool._processes  # type: ignore[misc]
        os.kill(pid, signal.SIGKILL)
        told = [workers.ways(*columns((VADUZ, SCHAAN))).providers for _ in range(3)]
        assert told.count(["straight_line"]) <= 1
        assert told[-1] == [NAME]
    finally:
        workers.close()


@needs_osrm
def test_a_worker_that_hangs_costs_one_answer(country: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = RoadsInWorkers(country)
    try:
        assert workers.ways(*columns((VADUZ, SCHAAN))).providers == [NAME]
        (pid,) = workers._pool._processes  # type: ignore[misc]
        os.kill(pid, signal.SIGSTOP)
        with monkeypatch.context() as hasty:
            hasty.setattr(providers, "HANGS_S", 0.3)
            assert workers.ways(*columns((VADUZ, SCHAAN))).providers == ["straight_line"]
        assert workers.ways(*columns((VADUZ, SCHAAN))).providers == [NAME]
        until(lambda: not is_alive(pid))
    finally:
        workers.close()
    assert workers.ways(*columns((VADUZ, SCHAAN))).providers == ["straight_line"], "it is closed"


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from routing.roads.providers import RoadsInWorkers
workers = RoadsInWorkers(Path(sys.argv[1]))
workers.ways(*(np.array([each]) for each in (47.1392, 9.5227, 47.1650, 9.5100)))
print(*workers._pool._processes, flush=True)
time.sleep(600)
"""


@needs_osrm
def test_a_worker_ends_with_whoever_asks_it(country: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(country)], stdout=subprocess.PIPE) as asking:
        try:
            assert asking.stdout is not None
            worker = int(asking.stdout.readline())
            assert is_alive(worker)
        finally:
            asking.kill()
    until(lambda: not is_alive(worker))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has asked after yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


@needs_osrm
def test_roads_that_are_not_there_are_one_clear_line(tmp_path: Path) -> None:
    for provider in (RoadsInProcess, RoadsInWorkers, RoadNetwork):
        with pytest.raises(RoadsError, match="onsite map build"):
            provider(tmp_path)


@needs_osrm
def test_a_map_that_cannot_be_read_leaves_the_roads_of_before(country: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.osm.pbf"
    broken.write_bytes(b"nothing of the sort")
    with pytest.raises(RoadsError, match="could not extract"):
        build_roads(broken, country, lambda *_: None)
    assert has_roads(country)
    assert RoadsInProcess(country).ways(*columns((VADUZ, SCHAAN))).providers == [NAME]
    assert [each.name for each in country.iterdir()] == ["roads"]
    assert not has_roads(tmp_path)


@pytest.mark.skipif(has_osrm, reason="for Pythons that osrm-bindings does not know")
def test_where_osrm_cannot_be_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(RoadsError, match=r"3\.12"):
        build_roads(LIECHTENSTEIN, tmp_path, lambda *_: None)


def test_a_server_is_asked_as_osrm_wants_it(server: Server) -> None:
    found = RoadsOverHttp(server.url + "/").ways(*columns((VADUZ, SCHAAN)))
    assert (found.travel_s.tolist(), found.distance_m.tolist(), found.providers) == ([300.0], [4_000.0], [NAME])
    assert server.asked == [
        "/route/v1/driving/9.522700,47.139200;9.510000,47.165000?overview=false&generate_hints=false"
    ]


@pytest.mark.parametrize(
    "reply",
    [
        (400, {"code": "NoSegment", "message": "no road there"}),
        (400, {"code": "NoRoute", "message": "no way between"}),
        (200, route(10.0, 10.0, snapped_m=5_000.0)),
    ],
)
def test_where_a_server_knows_no_way_it_is_asked_on(server: Server, reply: tuple[int, Any]) -> None:
    server.reply = lambda _: reply
    ways = ((VADUZ, SCHAAN), (VADUZ, BALZERS))
    found = RoadsOverHttp(server.url).ways(*columns(*ways))
    assert (found.travel_s.tolist(), found.providers) == (straight(*ways), ["straight_line"] * 2)
    assert len(server.asked) == 2


def test_a_server_that_is_slow_is_waited_for_within_bounds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "WITHIN_S", 0.3)

    def slowly(_: str) -> tuple[int, Any]:
        time.sleep(0.2)
        return 200, route(300.0, 4_000.0)

    server.reply = slowly
    told = RoadsOverHttp(server.url).ways(*columns(*[(VADUZ, SCHAAN)] * 20)).providers
    assert 1 <= told.count(NAME) <= 2
    assert told == sorted(told), "the others are answered at once"


@pytest.mark.parametrize(
    "reply",
    [(503, b"busy"), (500, {}), (200, b"<html>"), (200, {"code": "Ok"}), (400, {"code": "InvalidQuery"}), (200, [])],
)
def test_a_server_that_fails_is_left_alone_for_a_while(
    server: Server, reply: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    server.reply = lambda _: reply
    provider = RoadsOverHttp(server.url)
    ways = ((VADUZ, SCHAAN), (VADUZ, BALZERS))
    for _ in range(3):
        assert provider.ways(*columns(*ways)).providers == ["straight_line"] * 2
    assert len(server.asked) == 1
    now_s[0] += 11.0
    server.reply = lambda _: (200, route(300.0, 4_000.0))
    assert provider.ways(*columns(*ways)).providers == [NAME] * 2


def test_where_nobody_listens_the_straight_line_answers() -> None:
    with serving() as gone:
        url = gone.url
    found = RoadsOverHttp(url, timeout_s=0.5).ways(*columns((VADUZ, SCHAAN)))
    assert (found.travel_s.tolist(), found.providers) == (straight((VADUZ, SCHAAN)), ["straight_line"])
