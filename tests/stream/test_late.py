"""Days where everything is near some fence, with uploads hours late, settled from the store as a tracker does it."""

import numpy as np
import pytest

from benchmarks.accuracy_sets import fence_set
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits.derivation import derive_stays
from geofence.visits.log import visit_of
from schemas.visit import Visit
from simulator.day import Day, DaySpec, build_day
from stream.columns import PingColumns
from stream.tracker.late import FIRST_REACH_MS, REACH_FACTOR
from stream.tracker.partition import PartitionTracks
from tests.geofence.test_tracks import facts

RULES = Rules()
DAYS = 3
DAY_MS = 86_400_000
FRAME = 500


class Town:
    """One partition, and what the store has of its devices. ``reaches_ms`` is how far back each settling looked."""

    def __init__(self, day: Day) -> None:
        self.fences = fence_set(day.fences())
        self.partition = PartitionTracks()
        self.stored: dict[str, Fixes] = {device_id: Fixes.empty() for device_id in day.devices}
        self.logged: dict[str, Visit] = {}
        self.reaches_ms: list[int] = []
        self._offset = 0

    def live_through(self, day: Day, later_ms: int) -> None:
        pings = day.pings
        for first in range(0, len(pings), FRAME):
            rows = slice(first, first + FRAME)
            ts_ms = (pings.ts_ms[rows] + later_ms).astype(np.float64)
            fixes = Fixes.of_columns(
                ts_ms, pings.lat[rows], pings.lon[rows], pings.accuracy_m[rows], pings.speed_mps[rows]
            )
            device = pings.device[rows].astype(np.int64)
            self._offset += len(fixes)
            frame = PingColumns(list(day.devices), device, fixes, np.arange(len(fixes)), [])
            self._note(self.partition.fold(frame, self._offset, self.fences, RULES))
            for number in np.unique(device).tolist():
                of_device = fixes.take(device == number)
                self.stored[day.devices[number]] = Fixes.concat([self.stored[day.devices[number]], of_device])
            self._settle()

    def look(self) -> None:
        slots = np.arange(len(self.partition.tracks))
        self._note(self.partition.tracks.look(slots, self.fences, RULES))
        self._settle()

    def _settle(self) -> None:
        tracks = self.partition.tracks
        for slot in list(self.partition.late_offset):
            device_id = tracks.device_ids[slot]
            stored = self.stored[device_id].in_order()
            oldest_ms, reach_ms = int(stored.ts_ms[0]), FIRST_REACH_MS
            while (late := tracks.late.get(slot)) is not None:
                from_ms = max(late.from_ms - reach_ms, oldest_ms)
                for visit in self.logged.values():
                    if visit.device_id == device_id and (visit.departed_ms is None or visit.departed_ms >= from_ms):
                        tracks.learn(visit)
                some = stored.take(stored.ts_ms >= from_ms)
                found = tracks.rederive(slot, some, self.fences, RULES, 0, complete=from_ms == oldest_ms)
                if found is not None:
                    self._note(found)
                    self.reaches_ms.append(reach_ms)
                    break
                reach_ms *= REACH_FACTOR
            del self.partition.late_offset[slot]

    def _note(self, revisions: list[Visit]) -> None:
        for visit in revisions:
            self.logged[visit.visit_id] = visit

    def log_of(self, device_id: str) -> list[tuple]:
        standing = [v for v in self.logged.values() if v.device_id == device_id and v.state != "retracted"]
        return sorted(map(facts, standing), key=repr)

    def true_log_of(self, device_id: str) -> list[tuple]:
        fixes = self.stored[device_id].in_order()
        stays = derive_stays(device_id, fixes, self.fences, RULES, int(fixes.ts_ms[-1])).stays
        return sorted((facts(visit_of(device_id, stay)) for stay in stays), key=repr)


@pytest.mark.parametrize("seed", [7, 8])
def test_late_uploads_in_a_dense_town_are_settled_from_a_day_and_a_half_and_told_as_if_in_time(seed):
    day = build_day(DaySpec(8, 12.0, seed))
    town = Town(day)
    for number in range(DAYS):
        town.live_through(day, number * DAY_MS)
    town.look()
    for device_id in day.devices:
        assert town.log_of(device_id) == town.true_log_of(device_id)
    assert len(town.reaches_ms) > 10
    assert set(town.reaches_ms) == {FIRST_REACH_MS}
