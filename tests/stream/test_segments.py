"""A track packed and unpacked goes on exactly where it was."""

import numpy as np

from geofence.fixes import Fixes
from geofence.tracks import Anchor, Carried, LateSpan, Track
from schemas.times import Instant
from schemas.visit import Visit
from stream.tracker.segments import SEGMENTS_PER_PARTITION, pack, partition_of_key, segment_key, segment_of, unpack

VISIT = Visit(
    visit_id="v1",
    device_id="van-1",
    fence_id="bakery",
    fence_version=2,
    job_id=None,
    state="confirmed",
    revision=3,
    arrived_ms=Instant(1_000),
    arrived_earliest_ms=Instant(900),
    arrived_latest_ms=Instant(1_100),
    departed_ms=None,
    departed_earliest_ms=None,
    departed_latest_ms=None,
    on_site_s=12.5,
    on_site_min_s=10.0,
    on_site_max_s=20.0,
    confidence=0.9,
    reason="arrived",
    fixes=4,
)
CARRIED = Carried("bakery", 2, 0, True, 70, 1_000, 900, 1_100)
ANCHOR = Anchor(("bakery",), (CARRIED,), (("bakery",), ("bakery", "zone")), (-7, -9, 1 << 50, -3), (1.0, 0.5), 1_050)


def test_a_track_survives_packing_to_the_last_field():
    fixes = Fixes.of_columns([1, 2], [47.0, 47.1], [-9.0, 9.0], [5.0, np.nan], [np.nan, 3.0])
    track = Track("van-1", fixes, 17, {"v1": VISIT}, LateSpan(3, 9), anchor=ANCHOR, looked_ms=11)
    [(restored, late_offset)] = unpack(pack([(track, 42)]))
    assert late_offset == 42
    for name in Fixes.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(restored.fixes, name), getattr(fixes, name))
        assert getattr(restored.fixes, name).dtype == getattr(fixes, name).dtype
    for name in set(Track.__dataclass_fields__) - {"fixes"}:
        assert getattr(restored, name) == getattr(track, name), name
    assert isinstance(restored.published["v1"].arrived_ms, Instant)


def test_devices_spread_over_the_segments_and_keys_name_their_partition():
    segments = {segment_of(f"device-{number}") for number in range(5_000)}
    assert segments == set(range(SEGMENTS_PER_PARTITION))
    assert partition_of_key(segment_key(7, 12)) == 7
