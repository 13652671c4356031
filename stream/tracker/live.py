"""The live board: the newest ping of each device, told at most once a second."""

import math
from collections.abc import Callable, Iterable
from typing import Final

from dispatch.erased import ErasedSpans
from geofence.fixes import Fixes
from geofence.geodesy import haversine_m
from geofence.tracks import Tracks
from schemas.live import DeviceState, LiveState
from schemas.ping import Ping
from schemas.times import Instant
from stream.tracker.clocks import DeviceClock, Skew

MOVING_FROM_MPS: Final = 1.5
TOLD_EVERY_S: Final = 1.0
"""A device at most so often; each at its own moment, so that thousands are not told, and read, all at once."""


class LiveBoard:
    """Newest pings by device, what they say of the devices' clocks, and which of them have not been told yet."""

    def __init__(self) -> None:
        self._newest: dict[str, Ping] = {}
        self._clocks: dict[str, DeviceClock] = {}
        self._due: set[str] = set()
        self._told_s: dict[str, float] = {}

    def see(self, pings: Iterable[Ping]) -> None:
        """Take pings in any order; only a newer one counts."""
        newest, clocks, due = self._newest, self._clocks, self._due
        for ping in pings:
            known = newest.get(ping.device_id)
            if known is None or ping.ts_ms > known.ts_ms:
                newest[ping.device_id] = ping
                due.add(ping.device_id)
                if ping.sent_ms is not None and ping.received_ms is not None:
                    clock = clocks.get(ping.device_id)
                    if clock is None:
                        clock = clocks[ping.device_id] = DeviceClock()
                    clock.see(ping.sent_ms, ping.received_ms)

    def touch(self, device_id: str) -> None:
        """Something else about the device changed: tell it again."""
        if device_id in self._newest:
            self._due.add(device_id)

    def forget(self, spans: ErasedSpans) -> None:
        """Let go of newest pings that were erased."""
        gone = [device_id for device_id, ping in self._newest.items() if spans.covers(device_id, ping.ts_ms)]
        for device_id in gone:
            del self._newest[device_id]
            self._clocks.pop(device_id, None)
            self._told_s.pop(device_id, None)
            self._due.discard(device_id)

    def take_due(
        self, tracks_of: Callable[[str], Tracks | None], now_ms: Instant, at_s: float = math.inf
    ) -> list[LiveState]:
        """The states to tell now, at ``at_s`` of the machine's monotonic clock; by default, for the last time, all.

        ``tracks_of`` a device are those that it is among.
        """
        until_s = at_s - TOLD_EVERY_S
        due = [device_id for device_id in self._due if self._told_s.get(device_id, -math.inf) <= until_s]
        self._due.difference_update(due)
        self._told_s.update(dict.fromkeys(due, at_s))
        return [
            live_state(self._newest[device_id], tracks_of(device_id), now_ms, self._skew(device_id))
            for device_id in due
        ]

    def _skew(self, device_id: str) -> Skew | None:
        clock = self._clocks.get(device_id)
        return None if clock is None else clock.skew()


def live_state(ping: Ping, tracks: Tracks | None, now_ms: Instant, skew: Skew | None = None) -> LiveState:
    """What the newest ping, the visit log and the device's clock say about it."""
    slot = None if tracks is None else tracks.slots.get(ping.device_id)
    present = [] if tracks is None or slot is None else tracks.present(slot)
    state: DeviceState
    if any(visit.state == "confirmed" for visit in present):
        state = "on_site"
    elif ping.speed_mps is not None:
        state = "moving" if ping.speed_mps >= MOVING_FROM_MPS else "stopped"
    else:
        shown_mps = 0.0 if tracks is None or slot is None else _shown_speed_mps(tracks.fixes_of(slot))
        state = "moving" if shown_mps >= MOVING_FROM_MPS else "stopped"
    return LiveState(
        device_id=ping.device_id,
        ts_ms=Instant(ping.ts_ms),
        lat=ping.lat,
        lon=ping.lon,
        accuracy_m=ping.accuracy_m,
        speed_mps=ping.speed_mps,
        bearing_deg=ping.bearing_deg,
        battery=ping.battery,
        state=state,
        open_visits=[visit.visit_id for visit in present],
        updated_ms=now_ms,
        clock_skew_s=None if skew is None else skew.ahead_s,
        clock_skew_error_s=None if skew is None else skew.error_s,
    )


def _shown_speed_mps(fixes: Fixes) -> float:
    """What the last two fixes show, for phones that state no speed."""
    if len(fixes) < 2:
        return 0.0
    gap_s = (int(fixes.ts_ms[-1]) - int(fixes.ts_ms[-2])) / 1000
    if gap_s <= 0:
        return 0.0
    (lat_before, lat_now), (lon_before, lon_now) = fixes.lat[-2:], fixes.lon[-2:]
    return haversine_m(lat_before, lon_before, lat_now, lon_now) / gap_s
