import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import httpx
import msgspec
import pytest
from rich.console import Console

from geofence.visits import visit_of
from infra.cli.demo import _View, demo
from infra.demo import RunningSystem, deliver, derived_log, disagreements
from infra.errors import CommandError
from infra.office import JobNow, open_office, plan, windows_held
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.job import LogEntry
from schemas.notice import Notice
from schemas.times import Instant
from simulator.day import DAY_STARTS_MS, Day, DaySpec, build_day
from simulator.office import office_of
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


def entry(state: str, minute: int, source: str = "automatic") -> LogEntry:
    at = Instant(DAY_STARTS_MS + minute * 60_000)
    return LogEntry(state, at, at, source, "tech-0001")  # type: ignore[arg-type]


def job(job_id: str, *log: LogEntry, eta: Eta | None = None) -> JobNow:
    at = Instant(DAY_STARTS_MS)
    return JobNow(
        job_id=job_id, title=f"Title of {job_id}", revision=1, created_at=at, updated_at=at, state=log[-1].state,
        log=list(log), eta=eta,
    )  # fmt: skip


def shown(view: _View) -> list[str]:
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        console.print(view)
    return captured.get().splitlines()


def test_each_step_of_a_job_is_told_once_with_who_and_what(day):
    view = _View(day, office_of(day), Clock(1.0, day.spec.start_ms, time.time_ns() // 1_000_000))
    planned = entry("scheduled", -60, "system")
    view.look_at_jobs({"a": job("a", planned), "b": job("b", planned)})
    assert "jobs" not in shown(view), "nothing has moved on by itself"
    on_the_way = job("a", planned, entry("en_route", 30))
    view.look_at_jobs({"a": on_the_way, "b": job("b", planned)})
    done = job("a", planned, entry("en_route", 31), entry("on_site", 40), entry("completed", 75))
    for _ in range(2):
        view.look_at_jobs({"a": done, "b": job("b", planned)})
    lines = shown(view)
    assert lines[0].endswith("1 of 2 jobs done")
    assert [line.split() for line in lines[lines.index("jobs") + 1 : -1]] == [
        ["07:30", "Amina", "on", "the", "way", "Title", "of", "a"],
        ["07:40", "Amina", "on", "site", "Title", "of", "a"],
        ["08:15", "Amina", "completed", "Title", "of", "a"],
    ]


def awaited(said_min: int, eta_min: int, stops_before: int = 0) -> JobNow:
    minutes = {
        "computed_at": said_min,
        "seen_ms": said_min,
        "eta": eta_min,
        "from_ms": eta_min - 5,
        "to_ms": eta_min + 10,
    }
    moments = {name: Instant(DAY_STARTS_MS + 60_000 * each) for name, each in minutes.items()}
    eta = Eta(
        job_id="a", level=0.8, provider="straight_line", distance_m=1.0, device_id="tech-0001",
        technician_id="tech-0001", stops_before=stops_before, **moments,
    )  # fmt: skip
    return job("a", entry("scheduled", -60, "system"), eta=eta)


def test_an_arrival_is_told_when_it_is_the_next_and_again_when_it_moves_by_minutes(day):
    view = _View(day, office_of(day), Clock(1.0, day.spec.start_ms, time.time_ns() // 1_000_000))
    view.look_at_jobs({"a": awaited(0, 90, stops_before=1)})
    assert "jobs" not in shown(view), "others come first"
    for said_min, eta_min in ((30, 95), (31, 98), (32, 101), (33, 104), (40, 93)):
        view.look_at_jobs({"a": awaited(said_min, eta_min)})
    lines = shown(view)
    assert [line.split() for line in lines[lines.index("jobs") + 1 : -1]] == [
        ["07:30", "Amina", "there", "08:30–08:45", "Title", "of", "a"],
        ["07:32", "Amina", "later:", "08:36–08:51", "Title", "of", "a"],
        ["07:40", "Amina", "sooner:", "08:28–08:43", "Title", "of", "a"],
    ]


def test_windows_that_held_are_those_of_a_quarter_of_an_hour_before():
    rows = [
        ["2026-03-02", None, "amina", before_s, arrivals, held, held / arrivals, 60.0, 0.0, 600.0]
        for before_s, arrivals, held in ((3_600, 9, 9), (900, 5, 4), (900, 3, 3), (300, 9, 9))
    ]

    async def run() -> tuple[int, int]:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"rows": rows}))
        async with httpx.AsyncClient(transport=transport, base_url="http://onsite") as client:
            return await windows_held(RunningSystem({}, "", client))

    assert asyncio.run(run()) == (8, 7)


def test_what_customers_are_told_is_shown_once(day):
    office = office_of(day)
    view = _View(day, office, Clock(1.0, day.spec.start_ms, time.time_ns() // 1_000_000))
    who = office.customers[0]
    at = Instant(DAY_STARTS_MS + 45 * 60_000)
    notice = Notice(
        notice_id="n", job_id="a", audience="customer", kind="en_route", status="sent", channel="log",
        recipient_id=who["customer_id"], event_at=at, created_at=at, updated_at=at, sent_at=at,
    )  # fmt: skip
    view.look_at_jobs({"a": job("a", entry("scheduled", -60, "system"))})
    assert "customers are told" not in shown(view)
    for _ in range(2):
        view.look_at_notices([notice])
    lines = shown(view)
    told = lines[lines.index("customers are told") + 1 : -1]
    assert [line.split() for line in told] == [["07:45", *who["name"].split(), "en", "route", "Title", "of", "a"]]


class Registers:
    """Takes what an office posts; the first answer of all is that it is not ready."""

    def __init__(self) -> None:
        self.posted: dict[str, list[dict]] = {}
        self.was_ready = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self.was_ready:
            self.was_ready = True
            return httpx.Response(503)
        self.posted.setdefault(request.url.path, []).append(json.loads(request.content))
        return httpx.Response(400 if b"refuse" in request.content else 201, text="no such thing")


def test_an_office_is_made_in_an_order_in_which_everything_refers_to_what_is_there(day, monkeypatch):
    monkeypatch.setattr("infra.office._LOOK_AGAIN_S", 0.0)
    office, registers = office_of(day), Registers()

    async def run(contents: list[dict] | None = None) -> None:
        transport = httpx.MockTransport(registers)
        async with httpx.AsyncClient(transport=transport, base_url="http://onsite") as client:
            system = RunningSystem({}, "", client)
            if contents is None:
                await open_office(system, office)
                await plan(system, office)
            else:
                await plan(system, dataclasses.replace(office, jobs=contents))

    asyncio.run(run())
    assert list(registers.posted)[-2:] == ["/v1/sites", "/v1/jobs"]
    assert len(registers.posted["/v1/jobs"]) == len(office.jobs) > 5
    assert registers.posted["/v1/technicians"][0].keys() >= {"name", "device_ids"}
    with pytest.raises(CommandError, match=r"/v1/jobs refused .*no such thing"):
        asyncio.run(run([{"title": "refuse"}]))
