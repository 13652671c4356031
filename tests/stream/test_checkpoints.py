"""A checkpoint that cannot be read is set aside, and the store tells what its devices were about."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from geofence.fixes import Fixes
from schemas.ping import Ping
from schemas.visit import Visit
from stream.columns import PingColumns
from stream.tracker.checkpoints import FORGETFUL, TOLD, key_of, restored
from stream.tracker.packing import FORMAT
from stream.tracker.partition import PartitionTracks
from tests.geofence.test_forgetting import RULES, moves
from tests.geofence.test_tracks import FENCES, facts, log_of_everything

OF_ANOTHER_BUILD = {TOLD: b"7", "17": b"\x91\x98", "base:0": bytes([FORMAT + 1]) + b"\x90"}


def pings_of(fixes: Fixes) -> PingColumns:
    columns = (fixes.ts_ms, fixes.lat, fixes.lon, fixes.accuracy_m, fixes.speed_mps)
    return PingColumns.of_pings([Ping("van", *row) for row in zip(*map(np.ndarray.tolist, columns), strict=True)])


def written(partition: PartitionTracks, records: dict[str, bytes]) -> dict[str, bytes]:
    """The records after a checkpoint."""
    after = records | dict(partition.take_changed())
    return {name: value for name, value in after.items() if value is not None}


def test_a_checkpoint_of_another_build_is_told_set_aside_and_deleted():
    with capture_logs() as logged:
        partition = restored(3, OF_ANOTHER_BUILD, 0)
    [warning] = logged
    assert (warning["log_level"], warning["partition"], warning["records"]) == ("warning", 3, 2)
    assert len(partition.tracks) == 0
    records = written(partition, OF_ANOTHER_BUILD)
    assert records == {TOLD: b"7", FORGETFUL: b"1"}
    with capture_logs() as logged:
        restored(3, records, 0)
    assert logged == []


def test_a_checkpoint_with_a_hole_is_set_aside_too():
    partition = PartitionTracks()
    partition.fold(PingColumns.of_pings([Ping("van", 1, 47.0, 9.0)]), 0, FENCES, RULES)
    records = written(partition, {})
    partition.fold(PingColumns.of_pings([Ping("van", 2, 47.0, 9.0)]), 1, FENCES, RULES)
    last = {name: value for name, value in partition.take_changed() if name.startswith("changes")}
    with capture_logs() as logged:
        assert len(restored(0, last, 0).tracks) == 0
    assert [warning["why"] for warning in logged] == ["a device without a name, or in two slots"]
    assert len(restored(0, records | last, 0).tracks) == 1


@pytest.mark.parametrize("lost_at_s", [1_500, 3_100, 4_500])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_visits_of_a_device_whose_state_was_lost_go_on_under_their_names(lost_at_s, restarted):
    """It is lost on the way there, during the stay, or after it. Until the store has answered nothing is taken back."""
    fixes = moves(1, [(-20_000.0, 12.0, 0.0), (0.0, 12.0, 2_000.0), (-20_000.0, 12.0, 600.0)], 10.0)
    lost = int(np.searchsorted(fixes.ts_ms, fixes.ts_ms[0] + 1_000 * lost_at_s))
    before, after = fixes.take(slice(0, lost)), fixes.take(slice(lost, None))
    log: dict[str, Visit] = {}

    def fold(partition: PartitionTracks, fixes: Fixes) -> None:
        for first in range(0, len(fixes), 5):
            told = partition.fold(pings_of(fixes.take(slice(first, first + 5))), first, FENCES, RULES)
            assert not any(visit.state == "retracted" for visit in told)
            log.update((visit.visit_id, visit) for visit in told)

    fold(PartitionTracks(), before)
    known = dict(log)
    partition = restored(0, OF_ANOTHER_BUILD, 0)
    fold(partition, after.take(slice(0, 30)))
    if restarted:
        partition = restored(0, written(partition, OF_ANOTHER_BUILD), 0)
    tracks, [slot] = partition.tracks, partition.late_offset
    for visit in log.values():
        tracks.learn(visit)
    settled = tracks.rederive(slot, fixes.take(slice(0, lost + 30)), FENCES, RULES, 0, complete=True)
    log.update((visit.visit_id, visit) for visit in settled)
    fold(partition, after.take(slice(30, None)))
    newest_ms = int(fixes.ts_ms[-1])
    log.update((visit.visit_id, visit) for visit in tracks.look(np.array([slot]), FENCES, RULES, newest_ms))
    standing = {visit_id: visit for visit_id, visit in log.items() if visit.state != "retracted"}
    assert sorted(map(facts, standing.values()), key=repr) == log_of_everything(fixes, newest_ms)
    assert known.keys() <= standing.keys()


def test_a_checkpoint_that_is_lost_is_told_and_written_down():
    with capture_logs() as logged:
        partition = restored(3, {}, 0, acknowledged=17)
    assert [(warning["log_level"], warning["partition"]) for warning in logged] == [("warning", 3)]
    assert written(partition, {}) == {FORGETFUL: b"1"}
    assert written(partition, {}) == {}
    with capture_logs() as logged:
        assert written(restored(3, {}, 0), {}) == {}
    assert logged == []


def test_a_device_that_is_met_after_a_loss_waits_for_the_store_once():
    partition = restored(0, {FORGETFUL: b"1"}, 0)
    partition.fold(PingColumns.of_pings([Ping("van", 10, 47.0, 9.0), Ping("van", 5, 47.0, 9.0)]), 41, FENCES, RULES)
    assert partition.late_offset == {0: 41}
    assert partition.tracks.rederive(0, Fixes.empty(), FENCES, RULES, 20, complete=True) == []
    partition.late_offset.clear()
    partition.fold(PingColumns.of_pings([Ping("van", 20, 47.0, 9.0)]), 42, FENCES, RULES)
    assert partition.late_offset == {}


def test_keys_name_their_partition():
    assert key_of(7, "changes:12") == b"7:changes:12"
