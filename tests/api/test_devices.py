"""Live states and tracks."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.history import track
from schemas.live import LiveState
from schemas.ping import Ping
from schemas.times import Instant
from tests.api.conftest import NOW_MS, Door
from tests.api.test_pings import is_problem


def live(device_id: str, age_s: float = 5.0, state: str = "on_site") -> LiveState:
    ts_ms = Instant(NOW_MS - round(age_s * 1000))
    return LiveState(device_id, ts_ms, 53.4, -2.9, 8.0, 0.0, None, 0.5, state, ["v1"], Instant(NOW_MS))  # type: ignore[arg-type]


def test_a_device(door: Door) -> None:
    door.live.records["van-12"] = live("van-12")
    answer = door.get("/v1/devices/van-12")
    assert answer.status_code == 200
    assert answer.json() == {
        "device_id": "van-12",
        "state": "on_site",
        "ts": "2026-03-02T08:15:05.000Z",
        "age_s": 5.0,
        "lat": 53.4,
        "lon": -2.9,
        "accuracy_m": 8.0,
        "speed_mps": 0.0,
        "bearing_deg": None,
        "battery": 0.5,
        "open_visits": ["v1"],
        "updated_at": "2026-03-02T08:15:10.000Z",
        "clock_skew_s": None,
        "clock_skew_error_s": None,
    }


def test_a_device_shows_how_far_its_clock_is_off(door: Door) -> None:
    door.live.records["van-12"] = msgspec.structs.replace(live("van-12"), clock_skew_s=-312.5, clock_skew_error_s=1.0)
    for device in (door.get("/v1/devices/van-12").json(), door.get("/v1/devices").json()["items"][0]):
        assert (device["clock_skew_s"], device["clock_skew_error_s"]) == (-312.5, 1.0)


def test_an_unknown_device(door: Door) -> None:
    assert is_problem(door.get("/v1/devices/ghost"), 404, "unknown_device")
    assert is_problem(door.get("/v1/devices/ghost/track"), 404, "unknown_device")


@pytest.mark.parametrize(
    ("age_s", "said", "shown"),
    [(600, "moving", "moving"), (601, "moving", "unknown"), (601, "off_shift", "off_shift"), (-30, "moving", "moving")],
)
def test_silence_makes_a_device_unknown(door: Door, age_s: float, said: str, shown: str) -> None:
    door.live.records["van-12"] = live("van-12", age_s, said)
    assert door.get("/v1/devices/van-12").json()["state"] == shown


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_the_list_pages_through_all(door: Door, limit: int) -> None:
    ids = [f"d{i}" for i in (5, 3, 1, 4, 2, 6, 0)]
    door.live.records = {device_id: live(device_id) for device_id in ids}
    seen: list[str] = []
    params = {"limit": str(limit)}
    while True:
        page = door.get("/v1/devices", params=params).json()
        assert len(page["items"]) <= limit
        seen += [device["device_id"] for device in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == sorted(ids)


@pytest.mark.parametrize("query", ["cursor=zzz", "cursor=e30", "limit=0", "limit=1001", "limit=x"])
def test_a_bad_page(door: Door, query: str) -> None:
    assert is_problem(door.get(f"/v1/devices?{query}"), 400, "invalid_request")


def test_the_read_model_is_not_complete_yet(door: Door) -> None:
    door.live.is_caught_up = False
    assert is_problem(door.get("/v1/devices/van-12"), 503, "unavailable")


def test_a_track(door: Door) -> None:
    door.history.pings = [
        Ping("van-12", NOW_MS - (3 - i) * 1000, 53.4, -2.9 + i / 1000, accuracy_m=float(i)) for i in range(3)
    ] + [Ping("other", NOW_MS - 1, 1.0, 2.0)]
    answer = door.get("/v1/devices/van-12/track")
    assert answer.headers["content-type"] == "application/geo+json"
    feature = answer.json()
    assert feature["geometry"] == {"type": "LineString", "coordinates": [[-2.9, 53.4], [-2.899, 53.4], [-2.898, 53.4]]}
    assert feature["properties"]["times"] == [f"2026-03-02T08:15:0{7 + i}.000Z" for i in range(3)]
    simplified = door.get("/v1/devices/van-12/track?simplify_m=1").json()
    assert simplified["geometry"]["coordinates"] == [[-2.9, 53.4], [-2.898, 53.4]]
    assert simplified["properties"] == {
        **feature["properties"],
        "times": ["2026-03-02T08:15:07.000Z", "2026-03-02T08:15:09.000Z"],
        "accuracy_m": [0.0, 2.0],
    }


@pytest.mark.parametrize("since", ["2026-03-02T09:15:09+01:00", "2026-03-02T09:15:09%2B01:00", str(NOW_MS - 1000)])
def test_a_span_of_a_track(door: Door, since: str) -> None:
    door.history.pings = [Ping("van-12", NOW_MS - (3 - i) * 1000, 53.4, -2.9) for i in range(4)]
    feature = door.get(f"/v1/devices/van-12/track?from={since}&to={NOW_MS}").json()
    assert feature["geometry"] == {"type": "Point", "coordinates": [-2.9, 53.4]}
    assert feature["properties"]["times"] == ["2026-03-02T08:15:09.000Z"]


def test_an_empty_track(door: Door) -> None:
    door.live.records["van-12"] = live("van-12")
    assert door.get("/v1/devices/van-12/track").json()["geometry"] is None


@pytest.mark.parametrize("query", ["from=yesterday", "from=2&to=1", "from=2026-03-02T08:15:00", "simplify_m=-1"])
def test_a_bad_span(door: Door, query: str) -> None:
    assert is_problem(door.get(f"/v1/devices/van-12/track?{query}"), 400, "invalid_request")


def test_the_store_is_down(door: Door) -> None:
    door.history.down = True
    answer = door.get("/v1/devices/van-12/track")
    assert is_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]


def test_a_track_across_the_antimeridian_is_not_torn() -> None:
    pings = [Ping("boat", i, 10.0, lon) for i, lon in enumerate([179.9, -179.9, 179.9])]
    coordinates = track.feature_of("boat", pings, 0.0)["geometry"]["coordinates"]
    assert [lon for lon, _ in coordinates] == [179.9, 180.1, 179.9]


points = st.lists(st.tuples(st.floats(0, 0.01), st.floats(0, 0.01)), min_size=1, max_size=30)


@given(points, st.floats(0.1, 500.0))
def test_simplified_tracks_stay_near(at: list[tuple[float, float]], tolerance_m: float) -> None:
    lat, lon = np.array(at).T
    kept = track.simplify(lat, lon, tolerance_m)
    assert kept[0] == 0
    assert kept[-1] == len(at) - 1
    assert list(kept) == sorted(set(kept))
    metres = np.array(at) * 111_195.0
    for before, after in pairwise(kept):
        for i in range(before + 1, after):
            assert distance_m(metres[i], metres[before], metres[after]) <= tolerance_m * 1.001 + 1e-6


def distance_m(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    along = end - start
    share = 0.0 if not along.any() else min(1.0, max(0.0, float((point - start) @ along / (along @ along))))
    return float(np.linalg.norm(point - start - share * along))
