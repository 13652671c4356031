import asyncio
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from geofence.visits import visit_of
from infra.cli.demo import demo
from infra.demo import deliver, derived_log, disagreements
from infra.errors import CommandError
from schemas.clock import Clock
from simulator.day import Day, DaySpec, build_day
from simulator.score import score


@pytest.fixture(scope="module")
def day() -> Day:
    return build_day(DaySpec(technicians=2, hours=2.0, seed=6))


class Posts:
    """Stands for a Delivery: remembers what was posted when, by the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.posted: list[tuple[int, str, list[int]]] = []

    async def post(self, pings) -> None:
        assert len({ping.device_id for ping in pings}) == 1
        self.posted.append((self.clock.now_ms(), pings[0].device_id, [ping.ts_ms for ping in pings]))


def test_every_copy_is_posted_in_order_and_never_before_its_moment(day):
    rate = 7_200.0
    clock = Clock(rate, day.spec.start_ms, time.time_ns() // 1_000_000)
    posts = Posts(clock)
    counted = []
    asyncio.run(deliver(day, clock, posts, counted.append))
    assert sum(counted) == len(day.pings)
    for device_id in day.devices:
        wanted = [
            (moment, ping.ts_ms) for moment, pings in day.deliveries() for ping in pings if ping.device_id == device_id
        ]
        got = [(moment, ts_ms) for moment, device, stamps in posts.posted if device == device_id for ts_ms in stamps]
        assert [ts_ms for _, ts_ms in got] == [ts_ms for _, ts_ms in wanted]
        assert all(posted >= planned for (posted, _), (planned, _) in zip(got, wanted, strict=True))


def test_a_shifted_day_is_the_same_day(day):
    later = day.shifted(86_400_000)
    assert later.end_ms == day.end_ms + 86_400_000
    ours, theirs = derived_log(day, day.end_ms), derived_log(later, later.end_ms)
    assert [stay.arrived_ms + 86_400_000 for _, stay in ours] == [stay.arrived_ms for _, stay in theirs]
    assert score(day.spans, ours, day.end_ms) == score(later.spans, theirs, later.end_ms)


def test_equal_logs_agree_whatever_the_running_figures(day):
    derived = derived_log(day, day.end_ms)
    assert len(derived) > 2
    live = [(device_id, msgspec.structs.replace(visit_of(device_id, stay), fixes=99)) for device_id, stay in derived]
    assert disagreements(live, derived) == []


def test_a_difference_is_told_with_who_where_and_when(day):
    derived = derived_log(day, day.end_ms)
    device_id, first = derived[0]
    moved = [(device_id, msgspec.structs.replace(first, arrived_ms=first.arrived_ms + 1_000)), *derived[1:]]
    told = disagreements(moved, derived)
    assert len(told) == 2
    assert told[0].startswith(f"only in the live log: {device_id} at {first.fence_id}")
    assert told[1].startswith(f"only derived: {device_id} at {first.fence_id}")
    assert len(disagreements([*derived, derived[0]], derived)) == 1


def test_a_used_state_folder_is_refused(tmp_path):
    (tmp_path / "onsite.json").write_text("{}")
    with pytest.raises(CommandError, match="not empty"):
        demo(seconds=5.0, seed=1, technicians=1, state=tmp_path)


@pytest.mark.integration
def test_sigterm_stops_the_demo_and_leaves_nothing(tmp_path):
    state = tmp_path / "state"
    child = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "demo", "--technicians", "1", "--state", str(state)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        give_up_s = time.monotonic() + 120.0
        while not (state / "onsite.json").exists():
            assert child.poll() is None, child.stdout.read()
            assert time.monotonic() < give_up_s
            time.sleep(0.1)
        pids = msgspec.json.decode((state / "onsite.json").read_bytes())["pids"].values()
        child.send_signal(signal.SIGTERM)
        assert child.wait(90.0) == 130
        assert not (state / "onsite.json").exists()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    finally:
        child.kill()
        child.stdout.close()
