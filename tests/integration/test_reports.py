"""Reports on the real engine, each held against a slow and obvious count in Python; and how much memory they take."""

import asyncio
import csv
import io
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api.history.store import ClickHouseHistory
from api.http.problems import Problem
from api.reports.answer import lines_of, rows_of
from api.reports.parameters import ReportQuery, parameters_of
from api.reports.registry import REPORTS
from dispatch import delay
from dispatch.business_hours import BusinessHours, OpenHours
from dispatch.lifecycle import OwnState
from dispatch.repeat_visits import first_time_fix
from dispatch.rules import DispatchRules
from dispatch.sla import SlaRules, Target, sla_clocks
from schemas.eta import Eta
from schemas.job import Job, JobRecord, LogEntry
from schemas.people import Technician
from schemas.settings import Settings
from schemas.tables.etas import ETAS
from schemas.tables.jobs import JOBS
from schemas.tables.ratings import RATINGS
from schemas.tables.registers import TECHNICIANS
from schemas.tables.visits import VISITS
from schemas.times import Instant, parse_instant
from schemas.tracking import TrackingRecord
from schemas.visit import Visit
from stream.store import open_store
from tests.api.test_etas import eta
from tests.integration.test_tables import command, fresh, insert

__all__ = ["fresh"]  # a fixture

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ZONE: Final = "Europe/London"
BEGINS_MS: Final = int(parse_instant("2026-03-27T00:00:00Z"))
"""Two days before the clocks of London go forward."""
DAY_MS: Final = 86_400_000
SPAN_MS: Final = 5 * DAY_MS
NOW_MS: Final = BEGINS_MS + SPAN_MS

RULES: Final = DispatchRules(
    states={
        "awaiting_parts": OwnState(("on_site", "in_progress"), ("in_progress", "completed")),
        "parked": OwnState(("on_site",), ("on_site",), like="left_incomplete"),
        "handed_over": OwnState(("on_site",), ("invoiced",), like="completed"),
    },
    time_zone=ZONE,
    business=BusinessHours(ZONE, [OpenHours(["mon", "tue", "wed", "thu", "fri"], "08:00", "17:00")]),
    sla=SlaRules(
        priorities={
            "emergency": Target(response_s=3_600, resolution_s=14_400, hours="always"),
            "normal": Target(resolution_s=20_000),
        },
        paused_by=("awaiting_parts",),
    ),
)
LIFECYCLE: Final = RULES.lifecycle()
STATES: Final = (*sorted(LIFECYCLE.paths), "on_site", "completed", "completed", "left_incomplete")
PHASES: Final = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without making a failure smaller: each step of that is an insert."""

moments = st.integers(0, SPAN_MS // 60_000).map(lambda minute: BEGINS_MS + 60_000 * minute)
seconds = st.none() | st.integers(0, 40_000).map(lambda quarter: quarter / 4)


@st.composite
def jobs(draw: st.DrawFn) -> JobRecord:
    created_ms = draw(moments)
    states = ["created", *draw(st.lists(st.sampled_from(STATES), max_size=6))]
    minutes = sorted(draw(st.lists(st.integers(0, 4_000), min_size=len(states), max_size=len(states))))
    log = [
        LogEntry(state, Instant(created_ms + 60_000 * minute), Instant(created_ms), "dispatcher", "x")
        for state, minute in zip(states, minutes, strict=True)
    ]
    window = sorted({draw(moments), draw(moments)})
    return JobRecord(
        job_id=f"job-{draw(st.integers(0, 10**9))}",
        revision=1,
        created_at=Instant(created_ms),
        updated_at=Instant(created_ms),
        state=states[-1],
        log=log,
        branch=draw(st.sampled_from([None, "north", "south", "=hidden"])),
        technician_ids=draw(st.lists(st.sampled_from(["amina", "bo", "@cmd"]), max_size=2, unique=True)),
        window_from_ms=Instant(window[0]) if len(window) == 2 and draw(st.booleans()) else None,
        window_to_ms=Instant(window[-1]) if draw(st.booleans()) else None,
        travel_s=draw(seconds),
        on_site_s=draw(seconds),
        waiting_s=draw(seconds),
        site_id=draw(st.sampled_from([None, "s1", "s2", "s3", "s4", "s5"])),
        fault=draw(st.sampled_from([None, "", "Leak", " leak\t", "noise"])),
        job_type=draw(st.sampled_from([None, " ", "service", "SERVICE"])),
        priority=draw(st.sampled_from(["emergency", "normal", "low"])),
    )


many_jobs = st.lists(jobs(), min_size=1, max_size=25, unique_by=lambda job: job.job_id)
queries = st.builds(
    ReportQuery,
    from_ms=moments.map(lambda ms: ms - DAY_MS),
    to_ms=moments.map(lambda ms: ms + DAY_MS),
    branches=st.none() | st.just(("north",)) | st.just(("north", "=hidden")) | st.just(()),
    within_days=st.sampled_from([0.5, 2.0, 30.0]),
)

Group = tuple[str, str | None, str]
Moment = Callable[[JobRecord], int | None]


def day_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(ZONE)).date().isoformat()


def grouped(found: Iterable[JobRecord], moment: Moment, query: ReportQuery) -> dict[Group, list[JobRecord]]:
    """By day, branch and technician, the jobs with a moment in the time asked for."""
    groups: defaultdict[Group, list[JobRecord]] = defaultdict(list)
    for job in found:
        ms = moment(job)
        if ms is None or not query.from_ms <= ms < query.to_ms:
            continue
        if query.branches is not None and (job.branch or "") not in query.branches:
            continue
        for technician_id in job.technician_ids or [""]:
            groups[day_of(ms), job.branch, technician_id].append(job)
    return groups


def like(job: Job) -> list[str]:
    return [LIFECYCLE.like(entry.state) for entry in job.log]


def done_ms(job: JobRecord) -> int | None:
    """Since when a job is done, that is."""
    found = None
    for state, entry in zip(like(job), job.log, strict=True):
        if state not in ("completed", "invoiced"):
            found = None
        elif found is None:
            found = int(entry.at)
    return found


def first_arrival_ms(job: JobRecord) -> int | None:
    return next((int(entry.at) for entry in job.log if delay.has_arrived(entry.state, LIFECYCLE)), None)


def promised_ms(job: JobRecord) -> int | None:
    return None if LIFECYCLE.like(job.state) in delay.CALLED_OFF else job.window_to_ms


def in_time_ms(job: JobRecord) -> int | None:
    return delay._arrival_ms(job.log, job.window_from_ms, LIFECYCLE)


def productivity(every: Sequence[JobRecord], query: ReportQuery) -> Iterator[tuple[Any, ...]]:
    for group, found in grouped(every, done_ms, query).items():
        on_site, waiting, travel = (
            sum(getattr(job, name) or 0.0 for job in found) for name in ("on_site_s", "waiting_s", "travel_s")
        )
        rate = 3600 * len(found) / (on_site + travel) if on_site + travel else None
        yield *group, len(found), on_site, waiting, travel, rate


def punctuality(every: Sequence[JobRecord], query: ReportQuery) -> Iterator[tuple[Any, ...]]:
    for group, found in grouped(every, promised_ms, query).items():
        came = [(in_time_ms(job), job.window_from_ms, int(job.window_to_ms or 0)) for job in found]
        late = [(ms - to) / 1000 for ms, _, to in came if ms is not None and ms > to]
        yield (
            *group,
            len(found),
            sum(1 for ms, _, to in came if ms is not None and ms <= to),
            sum(1 for ms, begins, _ in came if ms is not None and begins is not None and ms < begins),
            len(late),
            sum(1 for ms, _, _ in came if ms is None),
            sum(late),
            max(late, default=0.0),
        )


def travel(every: Sequence[JobRecord], query: ReportQuery) -> Iterator[tuple[Any, ...]]:
    driven = [job for job in every if job.travel_s is not None]
    for group, found in grouped(driven, first_arrival_ms, query).items():
        ways = [job.travel_s or 0.0 for job in found]
        yield *group, len(ways), sum(ways), sum(ways) / len(ways), max(ways)


def completed_ms(job: JobRecord) -> int | None:
    return next((int(entry.at) for state, entry in zip(like(job), job.log, strict=True) if state == "completed"), None)


def first_time(every: Sequence[JobRecord], query: ReportQuery) -> Iterator[tuple[Any, ...]]:
    for group, found in grouped(every, completed_ms, query).items():
        fix = first_time_fix(found, every, within_days=query.within_days, lifecycle=LIFECYCLE)
        if fix.complaints:
            yield *group, fix.complaints, fix.fixed, fix.rate


def sla(every: Sequence[JobRecord], query: ReportQuery) -> Iterator[tuple[Any, ...]]:
    counts: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for group, found in grouped(every, lambda job: int(job.created_at), query).items():
        for job in found:
            for clock in sla_clocks(job, RULES.sla, RULES.business, NOW_MS):
                counts[(*group, job.priority, clock.promise)].append(clock.state)
    for key, states in counts.items():
        met, breached = states.count("met"), states.count("breached")
        rest = (states.count(each) for each in ("running", "paused", "stopped"))
        yield *key, len(states), met, breached, *rest, met / (met + breached) if met + breached else None


ORACLES: Final = {
    "productivity": productivity,
    "punctuality": punctuality,
    "travel": travel,
    "first-time-fix": first_time,
    "sla": sla,
}


def close(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return bool(one == pytest.approx(other, rel=1e-9, abs=1e-6)) if None not in (one, other) else one is other
    return bool(one == other)


def in_order(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in rows), key=lambda row: [str(each) for each in row[:5]])


def require_same(found: Iterable[Sequence[Any]], wanted: Iterable[Sequence[Any]]) -> None:
    found, wanted = in_order(found), in_order(wanted)
    assert len(found) == len(wanted), (found, wanted)
    for one, other in zip(found, wanted, strict=True):
        assert len(one) == len(other)
        assert all(map(close, one, other)), (one, other)


async def asked(settings: Settings, name: str, query: ReportQuery) -> tuple[list[list[Any]], bytes]:
    """A report's rows, and the same as CSV."""
    history = ClickHouseHistory(partial(open_store, settings))
    parameters = parameters_of(query, LIFECYCLE, ZONE)
    try:
        rows = await rows_of(REPORTS[name], parameters, history, RULES, NOW_MS)
        lines = b"".join([each async for each in lines_of(REPORTS[name], parameters, history, RULES, NOW_MS)])
    finally:
        await history.close()
    return rows, lines


def require_lines(name: str, lines: bytes, rows: Sequence[Sequence[Any]]) -> None:
    """The CSV says what the rows say; what begins like a formula is text."""
    head, *body = csv.reader(io.StringIO(lines.decode()))
    assert head == [column.name for column in REPORTS[name].columns]
    assert len(body) == len(rows)
    for line, row in zip(body, rows, strict=True):
        for cell, value in zip(line, row, strict=True):
            if value is None:
                assert cell in ("\\N", "")
            elif isinstance(value, str):
                assert cell == (f"'{value}" if value[:1] in tuple("=+-@") else value)
            else:
                assert float(cell) == pytest.approx(float(value))


@pytest.mark.parametrize("name", ORACLES)
def test_a_report_of_jobs_is_what_one_counts(fresh: Settings, name: str) -> None:
    @given(many_jobs, queries)
    @hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    def holds(every: list[JobRecord], query: ReportQuery) -> None:
        command(fresh, "TRUNCATE TABLE jobs")
        older = [msgspec.structs.replace(job, revision=0, state="cancelled", log=[]) for job in every[:3]]
        insert(fresh, "jobs", JOBS.batch(every), JOBS.batch(older))
        rows, lines = asyncio.run(asked(fresh, name, query))
        require_same(rows, ORACLES[name](every, query))
        require_lines(name, lines, rows)

    holds()


@st.composite
def said_of(draw: st.DrawFn, every: Sequence[JobRecord]) -> list[Eta]:
    """ETAs of some of the jobs, up to two and a half hours before somebody came and a little after."""
    found: dict[tuple[str, int], Eta] = {}
    for job in draw(st.lists(st.sampled_from(every), max_size=40)):
        arrived_ms = first_arrival_ms(job) or int(job.created_at)
        said_ms = arrived_ms - 60_000 * draw(st.integers(-5, 150))
        eta_ms = arrived_ms + 1_000 * draw(st.integers(-1_500, 1_500))
        found[job.job_id, said_ms] = eta(
            job.job_id,
            computed_at=Instant(said_ms),
            eta=Instant(eta_ms),
            from_ms=Instant(eta_ms - 1_000 * draw(st.integers(0, 1_500))),
            to_ms=Instant(eta_ms + 1_000 * draw(st.integers(0, 1_500))),
            technician_id=draw(st.sampled_from(["amina", "=bo"])),
        )
    return list(found.values())


def accuracy(every: Sequence[JobRecord], said: Sequence[Eta], query: ReportQuery) -> Iterator[tuple[Any, ...]]:
    groups: defaultdict[tuple[Any, ...], list[tuple[Eta, int]]] = defaultdict(list)
    for job in every:
        arrived_ms = first_arrival_ms(job)
        if arrived_ms is None or not query.from_ms <= arrived_ms < query.to_ms:
            continue
        if query.branches is not None and (job.branch or "") not in query.branches:
            continue
        for before_s in (3_600, 1_800, 900, 300):
            then_ms = arrived_ms - 1_000 * before_s
            stood = [e for e in said if e.job_id == job.job_id and then_ms - 3_600_000 < e.computed_at <= then_ms]
            if stood:
                newest = max(stood, key=lambda each: each.computed_at)
                groups[day_of(arrived_ms), job.branch, newest.technician_id, before_s].append((newest, arrived_ms))
    for group, found in groups.items():
        off_s = [(each.eta - arrived_ms) / 1000 for each, arrived_ms in found]
        held = sum(each.from_ms <= arrived_ms <= each.to_ms for each, arrived_ms in found)
        widths_s = [(each.to_ms - each.from_ms) / 1000 for each, _ in found]
        means = (sum(values) / len(found) for values in ([abs(each) for each in off_s], off_s, widths_s))
        yield *group, len(found), held, held / len(found), *means


def test_how_right_etas_were_is_what_one_counts(fresh: Settings) -> None:
    command(fresh, "ALTER TABLE etas REMOVE TTL")

    @given(st.data(), many_jobs, queries)
    @hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    def holds(data: st.DataObject, every: list[JobRecord], query: ReportQuery) -> None:
        said = data.draw(said_of(every))
        for table in ("jobs", "etas"):
            command(fresh, f"TRUNCATE TABLE {table}")
        insert(fresh, "jobs", JOBS.batch(every))
        insert(fresh, "etas", ETAS.batch(said), ETAS.batch(said[:3]))
        rows, lines = asyncio.run(asked(fresh, "eta-accuracy", query))
        require_same(rows, accuracy(every, said, query))
        require_lines("eta-accuracy", lines, rows)

    holds()


def stays(draw: st.DrawFn) -> list[Visit]:
    return [
        Visit(
            f"v{number}",
            draw(st.sampled_from(["van-1", "van-2", "van-9"])),
            "f",
            1,
            None,
            draw(st.sampled_from(["open", "confirmed", "closed", "retracted"])),
            1,
            *[Instant(draw(moments))] * 3,
            None,
            None,
            None,
            on_site_s := float(draw(st.integers(0, 9_000))),
            on_site_s - 1,
            on_site_s + 1,
            0.9,
            "x",
            1,
        )
        for number in range(draw(st.integers(1, 20)))
    ]


def test_time_on_site_is_that_of_who_holds_the_device(fresh: Settings) -> None:
    people = [
        Technician(technician_id="bo", name="Bo", branch="south", device_ids=["van-1", "van-2"]),
        Technician(technician_id="amina", name="Amina", branch="north", device_ids=["van-1"]),
        Technician(technician_id="a", name="A", branch="north", device_ids=["van-2"], removed_at=Instant(1)),
    ]
    insert(fresh, "technicians", TECHNICIANS.batch(people))
    holders = {"van-1": ("north", "amina"), "van-2": ("south", "bo"), "van-9": (None, "van-9")}

    @given(st.composite(stays)(), many_jobs, queries)
    @hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    def holds(visits: list[Visit], every: list[JobRecord], query: ReportQuery) -> None:
        for table in ("jobs", "visits", "visit_revisions"):
            command(fresh, f"TRUNCATE TABLE {table}")
        of_jobs = {visit.visit_id for visit in visits[::2]}
        first = msgspec.structs.replace(every[0], visit_ids=sorted(of_jobs))
        insert(fresh, "jobs", JOBS.batch([first]))
        insert(fresh, "visit_revisions", VISITS.batch(visits))
        groups: defaultdict[Group, list[Visit]] = defaultdict(list)
        for visit in visits:
            branch, technician_id = holders[visit.device_id]
            is_asked = query.branches is None or (branch or "") in query.branches
            if is_asked and visit.state in ("confirmed", "closed") and query.from_ms <= visit.arrived_ms < query.to_ms:
                groups[day_of(visit.arrived_ms), branch, technician_id].append(visit)
        wanted = [
            (
                *group,
                len(found),
                sum(visit.visit_id in of_jobs for visit in found),
                sum(visit.on_site_s for visit in found),
                sum(visit.on_site_min_s for visit in found),
                sum(visit.on_site_max_s for visit in found),
                sum(visit.on_site_s for visit in found if visit.visit_id in of_jobs),
                max(visit.on_site_s for visit in found),
            )
            for group, found in groups.items()
        ]
        rows, lines = asyncio.run(asked(fresh, "on-site-time", query))
        require_same(rows, wanted)
        require_lines("on-site-time", lines, rows)

    holds()


@st.composite
def ratings(draw: st.DrawFn) -> list[TrackingRecord | None]:
    """Of the jobs in their order; None: not rated."""
    rated = st.builds(
        lambda stars, comment, at: TrackingRecord(
            job_id="", updated_at=Instant(at), rating=stars, comment=comment, rated_at=Instant(at)
        ),
        st.integers(1, 5),
        st.sampled_from([None, "late", "=rude", "two\nlines"]),
        moments,
    )
    return draw(st.lists(st.none() | rated, min_size=25, max_size=25))


def test_how_satisfied_customers_were(fresh: Settings) -> None:
    @given(many_jobs, ratings(), queries)
    @hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    def holds(every: list[JobRecord], said: list[TrackingRecord | None], query: ReportQuery) -> None:
        command(fresh, "TRUNCATE TABLE jobs")
        command(fresh, "TRUNCATE TABLE ratings")
        by_job = {
            job.job_id: msgspec.structs.replace(each, job_id=job.job_id)
            for job, each in zip(every, said, strict=False)
            if each is not None
        }
        insert(fresh, "jobs", JOBS.batch(every))
        before = [
            msgspec.structs.replace(each, rating=3, rated_at=Instant((each.rated_at or 0) - 1))
            for each in list(by_job.values())[:3]
        ]
        gone = msgspec.structs.replace(EXAMPLE_RATING, job_id="of no job that is there")
        insert(fresh, "ratings", RATINGS.batch([*by_job.values(), gone]), RATINGS.batch(before))
        rated = [job for job in every if job.job_id in by_job]
        wanted = []
        for group, found in grouped(rated, lambda job: by_job[job.job_id].rated_at, query).items():
            stars = [by_job[job.job_id].rating or 0 for job in found]
            low = [by_job[job.job_id] for job in found if (by_job[job.job_id].rating or 0) <= 2]
            lines = sorted(f"{each.job_id}: {each.comment}" for each in low if each.comment is not None)
            share = sum(each >= 4 for each in stars) / len(stars)
            wanted.append((*group, len(stars), sum(stars) / len(stars), share, len(low), "\n".join(lines)))
        rows, lines_of_csv = asyncio.run(asked(fresh, "satisfaction", query))
        require_same(rows, wanted)
        require_lines("satisfaction", lines_of_csv, rows)

    holds()


MILLION = """
INSERT INTO jobs (job_id, revision, created_at, updated_at, state, title, technician_ids, branch, on_site_s, travel_s,
    log_state, log_at, window_to)
SELECT
    concat('=job-', leftPad(toString(number), 7, '0')), 1, toDateTime64('2026-01-01 08:00:00', 3, 'UTC') AS made, made,
    'completed', '=1+1', [concat('tech-', toString(number % 5000))], 'north', 1800, 600, ['created', 'completed'],
    [made, made + toIntervalDay(intDiv(number, 5000))], made + toIntervalDay(intDiv(number, 5000))
FROM numbers(1000000)
"""

MEASURE = """
import asyncio, resource, sys
from functools import partial
from api.history.store import ClickHouseHistory
from api.reports.answer import lines_of
from api.reports.parameters import ReportQuery, parameters_of
from api.reports.registry import REPORTS
from dispatch.rules import DispatchRules
from schemas.settings import Settings
from stream.store import open_store

def rss_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

async def main(url, what):
    rules = DispatchRules()
    history = ClickHouseHistory(partial(open_store, Settings(clickhouse=url)))
    parameters = parameters_of(ReportQuery(1_767_225_600_000, 1_800_000_000_000), rules.lifecycle(), "UTC")
    report = REPORTS["productivity"]
    def lines(wanted):
        if what == "jobs":
            return history.jobs_csv(wanted)
        return lines_of(report, {**parameters, **wanted}, history, rules, 0)
    async for _ in lines({"to_ms": 1_767_225_600_001}):
        pass
    before, count, size = rss_mb(), 0, 0
    async for some in lines({}):
        count += some.count(b"\\n")
        size += len(some)
    await history.close()
    print(count, size, round(rss_mb() - before))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("what", "most_mb"), [("productivity", 30), ("jobs", 60)])
def test_a_million_lines_take_no_more_memory_than_a_few(fresh: Settings, what: str, most_mb: int) -> None:
    command(fresh, MILLION)
    argv = [sys.executable, "-c", MEASURE, fresh.clickhouse, what]
    measured = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert measured.returncode == 0, measured.stderr
    count, size, more_mb = map(int, measured.stdout.split())
    assert count == 1_000_001
    assert size > 1.5 * most_mb * 1024 * 1024
    assert more_mb < most_mb, f"{size} bytes of CSV took {more_mb} MB"


def test_exported_jobs_are_no_formulas(fresh: Settings) -> None:
    title = '=HYPERLINK("http://x")'
    job = msgspec.structs.replace(EXAMPLE, title=title, skills=["+gas", "b"], branch="-north", notes="=1")
    insert(fresh, "jobs", JOBS.batch([job, msgspec.structs.replace(job, job_id="@2", title="a=b")]))

    async def lines() -> list[dict[str, str]]:
        history = ClickHouseHistory(partial(open_store, fresh))
        try:
            text = b"".join([each async for each in history.jobs_csv({"branch": "-north"})]).decode()
        finally:
            await history.close()
        return list(csv.DictReader(io.StringIO(text)))

    first, second = asyncio.run(lines())
    assert (first["job_id"], second["job_id"]) == ("'@2", "j")
    assert (second["title"], first["title"]) == (f"'{title}", "a=b")
    assert (first["skills"], first["branch"]) == ("'+gas b", "'-north")


EXAMPLE_RATING: Final = TrackingRecord(
    job_id="j", updated_at=Instant(NOW_MS), rating=1, comment="x", rated_at=Instant(BEGINS_MS + DAY_MS)
)

EXAMPLE: Final = JobRecord(
    job_id="j", revision=1, created_at=Instant(NOW_MS), updated_at=Instant(NOW_MS), state="created"
)


def test_too_many_rows_for_json(fresh: Settings) -> None:
    command(fresh, MILLION.replace("1000000", "11000"))
    query = ReportQuery(0, BEGINS_MS)

    async def ask() -> AsyncIterator[bytes] | list[list[Any]]:
        history = ClickHouseHistory(partial(open_store, fresh))
        try:
            return await rows_of(REPORTS["productivity"], parameters_of(query, LIFECYCLE, ZONE), history, RULES, NOW_MS)
        finally:
            await history.close()

    with pytest.raises(Problem, match="more than 10000 rows"):
        asyncio.run(ask())


def complaint(job_id: str, site_id: str, *log: tuple[str, int]) -> JobRecord:
    entries = [LogEntry(state, Instant(BEGINS_MS + 3_600_000 * hour), Instant(0), "system", "x") for state, hour in log]
    return msgspec.structs.replace(
        EXAMPLE,
        job_id=job_id,
        created_at=Instant(BEGINS_MS),
        site_id=site_id,
        fault="leak",
        log=entries,
        state=log[-1][0],
    )


def test_what_was_mended_the_first_time(fresh: Settings) -> None:
    every = [
        complaint("mended", "s1", ("on_site", 1), ("completed", 2)),
        complaint("left before", "s2", ("on_site", 1), ("left_incomplete", 2), ("on_site", 5), ("completed", 6)),
        complaint("left later", "s3", ("on_site", 1), ("completed", 2), ("left_incomplete", 3)),
        complaint("not mended", "s4", ("on_site", 1), ("completed", 2)),
        complaint("again", "s4", ("on_site", 20), ("completed", 21)),
        complaint("much later", "s4", ("on_site", 90), ("completed", 91)),
        complaint("called off", "s1", ("cancelled", 4)),
    ]
    insert(fresh, "jobs", JOBS.batch(every))
    query = ReportQuery(BEGINS_MS, BEGINS_MS + SPAN_MS, within_days=1.0)
    rows, _ = asyncio.run(asked(fresh, "first-time-fix", query))
    assert rows == [
        ["2026-03-27", None, "", 4, 2, 0.5],
        ["2026-03-30", None, "", 1, 1, 1.0],
    ]
    require_same(rows, first_time(every, query))
