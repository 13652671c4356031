"""The tracker without its broker: what it makes of the rules it is given."""

import asyncio
import itertools
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from geofence.fences import FenceSet
from geofence.rule_book import RuleBook
from geofence.rules import Rules
from infra.cli import build
from infra.errors import CommandError
from schemas.clock import Clock
from schemas.settings import Settings, load_settings
from stream.columns import PingColumns
from stream.tracker.app import Tracker, settled_after_ms
from stream.tracker.partition import PartitionTracks
from tests.geofence.one_track import OneTrack, advance, look
from tests.geofence.visits.days import drive, fixes_of, square, stay_at
from tests.stream.test_publisher import settled, visits

[VISIT] = visits("van-1")
FENCES = FenceSet.of([("yard", square(0, 0, 60)), ("zone", square(0, 0, 900, kind="zone"))])


@pytest.mark.parametrize(
    "book",
    [
        RuleBook(),
        RuleBook({"min_on_site_s": 5_000.0}),
        RuleBook({}, {"zone": {"bridge_s": 9_000.0}}),
        RuleBook({}, {}, {"yard": {"min_on_site_s": 20_000.0}}),
        RuleBook({"correlation_s": 600.0}),
    ],
)
@pytest.mark.parametrize("leaves", [False, True])
def test_once_silence_has_settled_looking_again_tells_nothing_new(book, leaves):
    fences = book.applied_to(FENCES)
    rows = [*drive(0, 200, 10, (-2000, 40), (-12, 0)), *stay_at(220, 700, 30, 0, 0)]
    track = OneTrack()
    advance(track, fixes_of(rows + drive(710, 790, 40, (300, 0), (700, 0)) * leaves), fences, book.rules)
    settled_ms = track.newest_ms + settled_after_ms(fences, book.rules)
    look(track, fences, book.rules, int(settled_ms) + 1)
    assert look(track, fences, book.rules, int(settled_ms) + 30 * 86_400_000) == []


def test_after_warming_up_everything_is_found_compiled():
    """Whatever a tracker does: frames, late fixes, edited fences, checkpoints."""
    looked_at = """
import gc

import pytest
from numba.core.registry import CPUDispatcher

from geofence.rules import Rules
from stream.tracker.partition import warm_up
from tests.geofence import test_forgetting
from tests.stream import test_columns

def compiled():
    found = (each for each in gc.get_objects() if isinstance(each, CPUDispatcher))
    return {(each.py_func.__qualname__, str(signature)) for each in found for signature in each.signatures}

warm_up(Rules())
ready = compiled()
test_forgetting.forget_soon(pytest.MonkeyPatch())
test_forgetting.test_fences_that_change_after_a_cut_are_told_as_if_nothing_had_been_forgotten.hypothesis.inner_test(
    seed=1, size=7, when=600
)
test_forgetting.test_fixes_that_come_after_all_has_been_forgotten_are_told_as_if_they_had_come_in_time.hypothesis.inner_test(
    seed=1, size=7
)
test_columns.test_an_empty_frame()
print({name for name, _ in compiled() - ready} or set())
"""
    done = subprocess.run([sys.executable, "-c", looked_at], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_default_rules_settle_within_half_an_hour():
    assert settled_after_ms(FENCES, Rules()) <= 30 * 60_000


def test_rules_with_a_mistake_stop_a_tracker_before_it_joins(tmp_path, monkeypatch):
    rules = tmp_path / "rules.toml"
    rules.write_text("[kind.zone]\nmin_on_site_s = -1\n")
    monkeypatch.setenv("ONSITE_RULES", str(rules))
    load_settings.cache_clear()
    with pytest.raises(CommandError, match=r"rules\.toml: \[kind\.zone\]: min_on_site_s = -1 is not"):
        CliRunner().invoke(build(("tracker",)), ["tracker"], catch_exceptions=False)
    load_settings.cache_clear()


def test_a_partition_that_was_handed_over_meanwhile_is_not_looked_at(tmp_path):
    async def look_at_a_handed_over_partition() -> None:
        tracker = Tracker(Settings(data_dir=tmp_path), Clock(), asyncio.Event().wait)
        await tracker._revise(2, PartitionTracks(), np.arange(3), lambda *_: pytest.fail("looked"))

    asyncio.run(look_at_a_handed_over_partition())


def test_partitions_are_handed_over_once_what_is_told_during_their_last_checkpoint_has_arrived(tmp_path):
    async def hand_over() -> None:
        tracker = Tracker(Settings(data_dir=tmp_path), Clock(), asyncio.Event().wait)
        tracker._partitions[2] = PartitionTracks()
        arrived = asyncio.Event()
        tracker._log.append_patiently = lambda *_: arrived.wait()

        async def checkpoint(handing_over: bool) -> None:
            tracker._publisher.publish([VISIT])

        tracker._checkpoint = checkpoint
        handing_over = asyncio.create_task(tracker._hand_over())
        await settled()
        assert not tracker._partitions, "nothing more is told of them"
        assert not handing_over.done()
        arrived.set()
        await asyncio.wait_for(handing_over, 5.0)

    asyncio.run(hand_over())


def test_a_silence_is_looked_at_again_once_it_is_longer_by_a_sixteenth():
    partition, fixes = PartitionTracks(), fixes_of(stay_at(0, 1, 30, 0, 0)).take(slice(0, 1))
    begins_ms = int(fixes.ts_ms[0])
    partition.fold(
        PingColumns(["van-1"], np.zeros(1, np.int64), fixes, np.arange(1), []), 0, FENCES, Rules(), begins_ms
    )
    looks_s = []
    for second in range(1, 2_000):
        now_ms = begins_ms + 1_000 * second
        if len(slots := partition.silent(now_ms, 15_000, 1_260_000.0)):
            partition.tracks.look(slots, FENCES, Rules(), now_ms)
            looks_s.append(second)
    assert looks_s[:3] == [15, 16, 17]
    gaps = [(later - earlier) / earlier for earlier, later in itertools.pairwise(looks_s)]
    assert all(1 / 16 <= gap <= 1 / 16 + 1 / earlier for gap, earlier in zip(gaps, looks_s, strict=False))
    assert 1_260 < looks_s[-1] < 1_340, "the last look is after the silence has said all it can"
    assert len(looks_s) < 80
