"""Whatever comes to a protocol's door is read, refused item by item, or refused as a whole, in time."""

import json
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.ping import Ping
from schemas.protocols import PROTOCOLS, BodyError, Rejected
from tests.schemas.test_app_protocols import GPSLOGGER, OVERLAND_POINT, OWNTRACKS, TRACCAR_JSON, TRACCAR_QUERY

NOW_MS: Final = 1_772_439_310_000
LARGEST: Final = 2 * 1024 * 1024
MOST_ITEMS: Final = 5_001
"""A door reads on no further."""

WITHIN_CPU_S: Final = 15.0
"""For the worst body of the largest size, which takes two."""

FIX: Final = {"device_id": "van-12", "ts": "2026-03-02T08:15:00Z", "lat": 53.4084, "lon": -2.9916}
GPX: Final = (
    b'<gpx version="1.1"><trk><trkseg><trkpt lat="53.4" lon="-2.9"><time>2026-03-02T08:15:00Z</time>'
    b"<extensions><speed>1</speed></extensions></trkpt></trkseg></trk></gpx>"
)
GOOD: Final[dict[str, bytes]] = {
    "json": json.dumps([FIX, FIX]).encode(),
    "ndjson": b"\n".join([json.dumps(FIX).encode()] * 2),
    "csv": b"device_id,ts,lat,lon\nvan-12,2026-03-02T08:15:00Z,53.4,-2.9\n",
    "gpx": GPX,
    "osmand": json.dumps(TRACCAR_JSON).encode(),
    "owntracks": json.dumps(OWNTRACKS).encode(),
    "overland": json.dumps({"locations": [OVERLAND_POINT]}).encode(),
    "gpslogger": "&".join(f"{name}={value}" for name, value in GPSLOGGER.items()).encode(),
}
NAMES: Final = sorted(
    {name for good in (FIX, TRACCAR_JSON, TRACCAR_QUERY, OWNTRACKS, GPSLOGGER, OVERLAND_POINT) for name in good}
    | {"locations", "coords", "latitude", "longitude", "accuracy", "properties", "geometry", "coordinates", "token"}
)
STRANGE: Final[list[Any]] = [
    *(
        None,
        True,
        "",
        "\x00",
        "\ud800",
        "nan",
        "-0",
        "1e999",
        "9" * 400,
        "2026-13-45T99:99:99Z",
        "0001-01-01T00:00:00Z",
    ),
    *(0, -1, 2**63, -(2**64), 10**400, 1e308, float("inf"), float("nan"), [], {}, [[]], {"": {}}),
]
strange = st.one_of(st.sampled_from(STRANGE), st.floats(), st.integers(), st.text(max_size=20))
documents = st.recursive(
    strange,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=6),
    max_leaves=20,
)
parameters = st.dictionaries(
    st.sampled_from(NAMES), st.text(max_size=30) | st.sampled_from(["1e999", "nan", "9" * 400])
)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good body with some bytes left out, put in, or written over."""
    body = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 12))] = draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"[", b"{", b"\n"])
        )
    return bytes(body)


@st.composite
def altered(draw: st.DrawFn, good: bytes) -> bytes:
    """A good JSON body with one of its values replaced."""
    document = json.loads(good)
    place: Any = document
    while True:
        key = draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        place[key] = draw(documents)
        return as_json(document)


def as_json(document: object) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def bodies(name: str) -> st.SearchStrategy[bytes]:
    good = GOOD[name]
    kinds = [st.binary(max_size=200), documents.map(as_json), damaged(good)]
    if good[:1] in b"[{" and name != "ndjson":
        kinds.append(altered(good))
    return st.one_of(kinds)


def read(name: str, body: bytes, given_parameters: dict[str, str], received_ms: int | None = NOW_MS) -> int | None:
    """How many items a body has; None where it is refused as a whole. All of them can be kept."""
    try:
        items = list(islice(PROTOCOLS[name].read(body, given_parameters, received_ms), MOST_ITEMS))
    except BodyError:
        return None
    for item in items:
        assert isinstance(item, Ping | Rejected)
        if isinstance(item, Ping):
            assert wire.decode(Ping, wire.encode(item)) == item
        item.device_id.encode()
    return len(items)


def test_every_protocol_has_a_good_body() -> None:
    assert set(GOOD) == set(PROTOCOLS)
    for name, body in GOOD.items():
        assert read(name, body, {"device_id": "van-12"}), name


@pytest.mark.parametrize("name", PROTOCOLS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_anything_at_all_is_read_or_refused(name: str, data: st.DataObject) -> None:
    received_ms = data.draw(st.sampled_from([NOW_MS, None]))
    read(name, data.draw(bodies(name)), data.draw(parameters), received_ms)


def filled(unit: bytes) -> bytes:
    return unit * (LARGEST // len(unit))


WORST: Final[dict[str, Callable[[], bytes]]] = {
    "nested arrays": lambda: filled(b"["),
    "nested objects": lambda: filled(b'{"a":'),
    "one number": lambda: filled(b"9"),
    "one number as a coordinate": lambda: b'{"device_id":"a","ts":1,"lat":' + filled(b"9") + b',"lon":0}',
    "one string": lambda: b'{"device_id":"' + filled(b"a") + b'"}',
    "backslashes": lambda: b'"' + filled(b"\\"),
    "empty items": lambda: b"[" + filled(b"{},") + b"{}]",
    "empty lines": lambda: filled(b"\n"),
    "short lines": lambda: filled(b"{}\n"),
    "torn lines": lambda: filled(b"x\n"),
    "commas": lambda: filled(b","),
    "quotes": lambda: filled(b'"'),
    "a header of commas": lambda: b"device_id,ts,lat,lon" + filled(b",") + b"\n1,2,3,4",
    "fields of a form": lambda: filled(b"a=1&"),
    "percents": lambda: filled(b"%"),
    "escapes": lambda: filled(b"%00"),
    "open elements": lambda: b"<gpx>" + filled(b"<a>"),
    "track points": lambda: b"<gpx><trk><trkseg>" + filled(b"<trkpt/>"),
    "spaces": lambda: filled(b" "),
    "zeros": lambda: filled(b"\x00"),
}


@pytest.mark.parametrize("kind", WORST)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_worst_bodies_take_no_longer_than_others(name: str, kind: str) -> None:
    body = WORST[kind]()
    began_s = time.process_time()
    read(name, body, {"device_id": "van-12"})
    assert time.process_time() - began_s < WITHIN_CPU_S
