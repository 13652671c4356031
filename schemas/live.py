"""The live state of a device, as it travels on the compacted topic ``onsite.live`` (at most one a second a device)."""

from typing import Literal

import msgspec

from schemas.times import Instant

DeviceState = Literal["moving", "stopped", "on_site", "unknown", "off_shift"]


class LiveState(msgspec.Struct, gc=False, rename={"ts_ms": "ts", "updated_ms": "updated_at"}):
    """The newest fix of a device and what is going on there.

    ``state`` is the tracker's word at ``updated_at``; a reader turns it into ``unknown`` when the fix has grown old.
    ``open_visits`` are ids of visits that are open or confirmed. ``clock_skew_s`` is how far the device's clock is
    ahead, give or take ``clock_skew_error_s``; both None where it is not known.
    """

    device_id: str
    ts_ms: Instant
    lat: float
    lon: float
    accuracy_m: float | None
    speed_mps: float | None
    bearing_deg: float | None
    battery: float | None
    state: DeviceState
    open_visits: list[str]
    updated_ms: Instant
    clock_skew_s: float | None = None
    clock_skew_error_s: float | None = None
