import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fixes import Fixes
from schemas import topics
from schemas.fence import FenceRecord, FenceVersion
from schemas.people import Contact, Shift, Technician
from schemas.ping import Ping
from schemas.places import Site
from schemas.service_request import Asker, ServiceRequest, WishedWindow
from schemas.tables import TABLES
from schemas.tables.fences import FENCES
from schemas.tables.pings import PINGS
from schemas.tables.ratings import RATINGS
from schemas.tables.registers import SITES, TECHNICIANS
from schemas.tables.requests import REQUESTS
from schemas.tables.visits import VISITS
from schemas.times import Instant
from schemas.tracking import TrackingRecord
from schemas.visit import Visit

optional = st.one_of(st.none(), st.sampled_from([0.0, 0.04, 0.05, 3.0, 3.01]), st.floats(0, 1e6))
copies = st.builds(
    Ping,
    device_id=st.just("d"),
    ts_ms=st.integers(1_700_000_000_000, 1_700_000_000_001),
    lat=st.sampled_from([47.0, 47.00000004, 47.0000001]),
    lon=st.floats(-180, 180).map(lambda lon: round(lon)),
    accuracy_m=optional,
    speed_mps=optional.map(lambda speed: None if speed is None else min(speed, 1e4)),
    battery=st.one_of(st.none(), st.sampled_from([0.5, 0.25])),
    sent_ms=st.one_of(st.none(), st.just(1_700_000_000_500)),
    ping_id=st.one_of(st.none(), st.sampled_from(["", "a", "b"])),
    source=st.one_of(st.none(), st.sampled_from(["", "a", "b"])),
    received_ms=st.just(1_700_000_001_000),
)


def newest_by_rank(pings: list[Ping]) -> list[tuple[int, ...]]:
    """What ReplacingMergeTree(copy_rank) keeps: the slow, obvious way."""
    rows = PINGS.batch(pings).to_pylist()
    winners: dict[tuple[object, ...], dict[str, int]] = {}
    for row in rows:
        key = (row["ts"], row["lat_e7"], row["lon_e7"])
        if key not in winners or row["copy_rank"] >= winners[key]["copy_rank"]:
            winners[key] = row
    chosen = [winners[key] for key in sorted(winners)]
    return [
        (row["lat_e7"], row["lon_e7"], 65_535 - (row["copy_rank"] >> 48), 65_535 - (row["copy_rank"] >> 32 & 65_535))
        for row in chosen
    ]


@settings(deadline=None)
@given(st.lists(copies, min_size=1, max_size=12))
def test_the_copy_that_counts_in_the_store_is_the_one_that_counts_in_memory(pings: list[Ping]) -> None:
    fixes = Fixes.of_pings(pings).in_order()
    expected = list(
        zip(
            fixes.lat_e7.tolist(),
            fixes.lon_e7.tolist(),
            fixes.accuracy_dm.tolist(),
            fixes.speed_cm_s.tolist(),
            strict=True,
        )
    )
    assert newest_by_rank(pings) == expected


@settings(deadline=None)
@given(st.lists(copies, min_size=2, max_size=8), st.randoms())
def test_a_row_does_not_depend_on_its_neighbours(pings: list[Ping], order: random.Random) -> None:
    alone = [PINGS.batch([ping]).to_pylist()[0] for ping in pings]
    shuffled = list(range(len(pings)))
    order.shuffle(shuffled)
    together = PINGS.batch([pings[index] for index in shuffled]).to_pylist()
    assert together == [alone[index] for index in shuffled]


@pytest.mark.parametrize(
    "changes",
    [
        {"sent_ms": 1},
        {"bearing_deg": 0.0},
        {"altitude_m": 0.0},
        {"battery": 0.0},
        {"ping_id": "x"},
        {"activity": "x"},
        {"source": "x"},
    ],
    ids=str,
)
def test_a_copy_that_says_more_counts_before_one_that_says_nothing(changes: dict[str, object]) -> None:
    plain = Ping("d", 1, 2.0, 3.0, accuracy_m=5.0, speed_mps=1.0, received_ms=9)
    fuller = Ping("d", 1, 2.0, 3.0, accuracy_m=5.0, speed_mps=1.0, received_ms=9, **changes)  # type: ignore[arg-type]
    plain_rank, fuller_rank = PINGS.batch([plain, fuller])["copy_rank"].to_pylist()
    assert plain_rank & 0xFFFF_FFFF == 0
    assert fuller_rank > plain_rank
    # When it was received is no content: the copies of a replay are the same row.
    later = Ping("d", 1, 2.0, 3.0, accuracy_m=5.0, speed_mps=1.0, received_ms=99)
    assert PINGS.batch([later])["copy_rank"].to_pylist() == [plain_rank]


def test_hashes_of_different_copies_rarely_meet() -> None:
    pings = [Ping("d", 1, 2.0, 3.0, sent_ms=sent, battery=0.5, received_ms=9) for sent in range(1, 1_001)]
    ranks = PINGS.batch(pings)["copy_rank"].to_numpy()
    # Of 1,000 draws from 65,536 about 7.6 pairs meet by chance.
    assert len(np.unique(ranks)) > 970


def test_registry_names_topics_that_exist_and_tables_of_one_shape() -> None:
    assert set(TABLES) <= {topic.name for topic in topics.TOPICS}
    for table in TABLES.values():
        assert table.batch([]).schema == table.columns
        assert all("IF NOT EXISTS" in ddl or "OR REPLACE" in ddl for ddl in table.statements("onsite", 400))


def test_visit_rows_are_null_while_the_device_is_there() -> None:
    arrived = Instant(1_772_439_300_000)
    there = Visit(
        "v", "d", "f", 2, None, "open", 1, arrived, arrived, arrived, None, None, None, 0.0, 0.0, 0.0, 0.9, "arrived", 3
    )
    [row] = VISITS.batch([there]).to_pylist()
    assert row["arrived_at"].isoformat() == "2026-03-02T08:15:00+00:00"
    assert row["departed_at"] is None
    assert row["fence_version"] == 2


def test_a_fence_record_is_a_row_for_each_version() -> None:
    square = {"type": "Point", "coordinates": [9.5, 47.1]}
    record = FenceRecord(
        "depot",
        [
            FenceVersion(1, square, radius_m=50.0, valid_from_ms=Instant(-(10**15)), valid_to_ms=Instant(1_000)),
            FenceVersion(2, square, radius_m=80.0, devices=["van-1"], valid_from_ms=Instant(1_000)),
        ],
        Instant(2_000),
    )
    first, second = FENCES.batch([record]).to_pylist()
    assert (first["version"], first["radius_m"], first["devices"]) == (1, 50.0, [])
    assert first["valid_from"].year == 1900  # as early as the store can say
    assert first["valid_to"] == second["valid_from"]
    assert second["devices"] == ["van-1"]
    assert second["valid_to"] is None
    assert second["geometry"] == '{"type":"Point","coordinates":[9.5,47.1]}'


def test_a_technician_is_a_row_with_the_contact_in_columns_and_the_shifts_as_json() -> None:
    shift = Shift("08:00", "16:30", weekly=["mon", "fri"], time_zone="Europe/London")
    amina = Technician(
        technician_id="amina",
        name="Amina",
        branch="north",
        device_ids=["van-12"],
        shifts=[shift],
        contact=Contact(phone="+44 151 1"),
        updated_at=Instant(2_000),
    )
    full, bare = TECHNICIANS.batch([amina, Technician(technician_id="ben", name="Ben")]).to_pylist()
    assert full["shifts"] == '[{"from":"08:00","to":"16:30","weekly":["mon","fri"],"time_zone":"Europe/London"}]'
    assert (full["phone"], full["email"], full["device_ids"], full["branch"]) == (
        "+44 151 1",
        None,
        ["van-12"],
        "north",
    )
    assert (bare["phone"], bare["shifts"], bare["auto_logging"], bare["removed_at"]) == (None, "[]", None, None)


def test_a_site_that_was_removed_keeps_its_row() -> None:
    [row] = SITES.batch([Site(site_id="s", lat=53.4, lon=-2.9, removed_at=Instant(1_000))]).to_pylist()
    assert (row["lat"], row["lon"], row["removed_at"].isoformat()) == (53.4, -2.9, "1970-01-01T00:00:01+00:00")


def test_a_service_request_is_a_row() -> None:
    windows = [WishedWindow(Instant(1_000), Instant(2_000))]
    request = ServiceRequest(
        request_id="r",
        state="received",
        title="No heating",
        customer=Asker("Hill"),
        wished=windows,
        created_at=Instant(1_000),
        updated_at=Instant(1_000),
    )
    [row] = REQUESTS.batch([request]).to_pylist()
    assert (row["customer_name"], row["customer_id"], row["job_id"], row["skills"]) == ("Hill", None, None, [])
    assert row["wished"] == '[{"from":"1970-01-01T00:00:01.000Z","to":"1970-01-01T00:00:02.000Z"}]'


def test_a_tracking_record_is_a_row_once_it_was_rated() -> None:
    said = TrackingRecord(job_id="j", updated_at=Instant(1_000), generation=2)
    rated = TrackingRecord(job_id="k", updated_at=Instant(2_000), rating=4, comment="Good", rated_at=Instant(2_000))
    [row] = RATINGS.batch([said, rated]).to_pylist()
    assert (row["job_id"], row["rating"], row["comment"]) == ("k", 4, "Good")
    assert row["rated_at"].isoformat() == "1970-01-01T00:00:02+00:00"
