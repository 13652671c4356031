"""What has changed of devices, packed and unpacked, is the same to the last field."""

from dataclasses import fields

import numpy as np
import pytest

from geofence.changes import Anchor, Beginning, Carried, Changes, LateSpan
from geofence.fixes import Fixes
from schemas.times import Instant
from schemas.visit import Visit
from stream.tracker.packing import FORMAT, FormatError, pack, read, unpack

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
CHANGES = Changes(
    False,
    slots=np.array([3, 70_000]),
    size=np.array([2, 9]),
    fresh=np.array([2, 0]),
    kept_from_ms=np.array([17, -(2**62)]),
    looked_ms=np.array([11, 12]),
    fixes=Fixes.of_columns([1, 2], [47.0, 47.1], [-9.0, 9.0], [5.0, np.nan], [np.nan, 3.0]),
    names={3: "van-1"},
    revised={70_000: [VISIT]},
    gone={3: ["v0"]},
    late={70_000: LateSpan(3, 9)},
    beginnings={3: Beginning(ANCHOR, (("bank", 5), ("bakery", 7))), 70_000: Beginning(None, ())},
)


def test_changes_survive_packing_to_the_last_field():
    record = read(pack(42, CHANGES, {70_000: 5_000_000_000, 3: 1}))
    assert (record.number, record.late) == (42, {70_000: (3, 9, 5_000_000_000)})
    changes = unpack(record)
    for name in Fixes.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(changes.fixes, name), getattr(CHANGES.fixes, name))
        assert getattr(changes.fixes, name).dtype == getattr(CHANGES.fixes, name).dtype
    for name in {each.name for each in fields(Changes)} - {"fixes"}:
        np.testing.assert_equal(getattr(changes, name), getattr(CHANGES, name), name)
    assert isinstance(changes.revised[70_000][0].arrived_ms, Instant)
    assert unpack(record, superseded={70_000}).revised == {}


def test_a_device_with_one_new_fix_takes_fifty_bytes():
    count = 1_000
    column, blank = np.arange(count), np.zeros(count)
    fixes = Fixes.of_columns(column, blank, blank, blank, blank)
    one_each = Changes(False, column, column + 100, np.ones(count, np.int64), column, column, fixes)
    assert len(pack(1, one_each, {})) < 50 * count


@pytest.mark.parametrize(
    "value", [b"", b"\x91\x98", b"\xdc\x00\x10", bytes([FORMAT]), bytes([FORMAT]) + b"\x93\x01\x02\x03", b"\xff later"]
)
def test_what_another_build_has_written_is_told_from_what_can_be_read(value):
    """Segments of the first format began with an array of MessagePack."""
    with pytest.raises(FormatError):
        read(value)
