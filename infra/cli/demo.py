"""``onsite demo``: a simulated working day through the whole system, faster than life."""

import asyncio
import signal
import tempfile
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from infra.delivery import Delivery
from infra.demo import RunningSystem, Verdict, deliver, judge, running_system
from infra.errors import CommandError
from infra.office import JobNow, all_jobs, judge_office, open_office, plan, windows_held
from schemas.clock import Clock
from schemas.eta import Eta
from schemas.notice import Notice
from schemas.visit import Visit
from simulator.day import Day, DaySpec, build_day
from simulator.job_score import JobScore
from simulator.office import Office, office_of

_HOURS: Final = 8.0
_PLEASANT_RATE: Final = 60.0
_VISITS_SHOWN: Final = 8
_STEPS_SHOWN: Final = 7
_NOTICES_SHOWN: Final = 4
_LOOK_S: Final = 1.0
_LEAD_MS: Final = 1_500
"""Of the machine's time, to plan the jobs in."""
_DIFFERENCES_TOLD: Final = 10

_STEPS: Final = {
    "en_route": ("on the way", "blue"),
    "on_site": ("on site", "green"),
    "completed": ("completed", "yellow"),
}
"""How a job has moved on, for people, and the colour of it."""

_MOVED_MS: Final = 5 * 60_000
"""By so much an ETA has to move before it is told again."""

_WHAT_CHARS: Final = len("sooner: 14:05–14:20")

_EXAMPLE: Final = "Example: onsite demo --seconds 60 --seed 7"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=_EXAMPLE)(demo)


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(min=5.0, help="the day takes about that long, then a summary; default: until Ctrl-C"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="picks the day")] = 1,
    technicians: Annotated[int, typer.Option(min=1, max=500, help="how many technicians, one phone each")] = 12,
    state: Annotated[
        Path | None, typer.Option(help="empty folder to keep the data in; default: a temporary one")
    ] = None,
) -> None:
    """Start the whole system and drive simulated technicians through a working day faster than life.

    Exit code 0 only when every accepted ping is stored once, the live log equals the derived one, and F1 is 0.95.
    """
    rate = _PLEASANT_RATE if seconds is None else _HOURS * 3600.0 / seconds
    console = Console(highlight=False)
    with ExitStack() as stack:
        if state is None:
            state_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="onsite-demo-")))
        else:
            state_dir = state.expanduser().resolve()
            if state_dir.exists() and any(state_dir.iterdir()):
                raise CommandError(f"{state_dir} is not empty; the demo's figures need a system of their own")
        try:
            verdict = asyncio.run(_run(state_dir, rate, DaySpec(technicians, _HOURS, seed), console, stay=not seconds))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("stopped")
            raise typer.Exit(130) from None
    if not verdict.may_be_believed:
        raise typer.Exit(1)


async def _run(state_dir: Path, rate: float, spec: DaySpec, console: Console, *, stay: bool) -> Verdict:
    this_task = asyncio.current_task()
    assert this_task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this_task.cancel)
    # The day ends about now: nothing that is stored lies in the future.
    clock_start_ms = time.time_ns() // 1_000_000 - round(2.0 * spec.hours * 3_600_000)
    with console.status("simulating the day and starting the system") as status:
        simulated = asyncio.create_task(asyncio.to_thread(build_day, spec))
        async with running_system(state_dir, rate, clock_start_ms) as system:
            day = await simulated
            fences = day.fences()
            clock = await system.read_clock(rate, fences["features"][0])
            await system.import_fences(fences)
            status.update("hiring the technicians and planning their jobs")
            await open_office(system, office_of(day))
            day = day.shifted(clock.now_ms() + round(_LEAD_MS * rate) - spec.start_ms)
            office = office_of(day)
            await plan(system, office)
            status.stop()
            console.print(_where(system, day, office))
            delivery = Delivery(system.facts["api"], system.token)
            try:
                await _watch_the_day(system, day, office, clock, delivery, console)
                with console.status("letting the last visits and jobs settle"):
                    verdict = await judge(system, day, clock, delivery)
                    jobs = await judge_office(system, office)
                    windows = await windows_held(system)
            finally:
                await delivery.close()
            console.print(_summary(verdict, jobs, windows))
            for difference in verdict.differences[:_DIFFERENCES_TOLD]:
                console.print(f"[red]✗[/red] {difference}", soft_wrap=True)
            if len(verdict.differences) > _DIFFERENCES_TOLD:
                console.print(f"… and {len(verdict.differences) - _DIFFERENCES_TOLD} more")
            if stay:
                console.print("The system stays up: look around. Ctrl-C stops it.")
                await asyncio.Event().wait()
    return verdict


class _View:
    """What is on the screen while the day goes by."""

    def __init__(self, day: Day, office: Office, clock: Clock) -> None:
        self._day = day
        self._clock = clock
        self._places = {site.fence_id: site.name for site in day.town.sites}
        self._names = office.names
        self._width = max(map(len, self._names.values()))
        self._visits: deque[Text] = deque(maxlen=_VISITS_SHOWN)
        self._steps: deque[Text] = deque(maxlen=_STEPS_SHOWN)
        self._notices: deque[Text] = deque(maxlen=_NOTICES_SHOWN)
        self._noticed: set[str] = set()
        self._customers = {each["customer_id"]: each["name"] for each in office.customers}
        self._known: dict[str, Visit] = {}
        self._jobs: dict[str, JobNow] = {}
        self._etas: dict[str, Eta] = {}
        self._told: set[tuple[str, str]] = set()
        self._began_s = time.monotonic()
        self.posted = 0
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
        )
        self._bar = self.progress.add_task("the day", total=day.end_ms - day.spec.start_ms)

    def __rich__(self) -> RenderableType:
        gone_ms = self._clock.now_ms() - self._day.spec.start_ms
        self.progress.update(self._bar, completed=max(0, gone_ms), description=_time_of_day(gone_ms))
        here = sum(visit.departed_ms is None for visit in self._known.values())
        rate = self.posted / max(time.monotonic() - self._began_s, 0.1)
        done = sum(job.state == "completed" for job in self._jobs.values())
        counts = (
            f"{self.posted:,} pings ({rate:,.0f}/s)   {len(self._known)} visits, {here} on site now   "
            f"{done} of {len(self._jobs)} jobs done"
        )
        jobs = [Text("jobs", style="dim"), *self._steps] if self._steps else []
        notices = [Text("customers are told", style="dim"), *self._notices] if self._notices else []
        return Group(Text(counts, style="bold"), *self._visits, *jobs, *notices, self.progress)

    def look_at_jobs(self, jobs: dict[str, JobNow]) -> None:
        """Take in the jobs: what has moved one on by itself, and when who goes there next will be there, becomes a
        line, in the order of what happened."""
        self._jobs = jobs
        lines: list[tuple[int, Text]] = []
        for job in jobs.values():
            for entry in job.log:
                if entry.source == "automatic" and (job.job_id, entry.state) not in self._told:
                    self._told.add((job.job_id, entry.state))
                    what, style = _STEPS.get(entry.state, (entry.state, ""))
                    lines.append((entry.at, self._line(entry.at, entry.actor, what, style, job.title)))
            if job.eta is not None and (what := self._news_of(job.eta)):
                said_ms = job.eta.computed_at
                lines.append((said_ms, self._line(said_ms, job.eta.device_id, what, "cyan", job.title)))
        self._steps.extend(line for _, line in sorted(lines, key=lambda each: each[0]))

    def _news_of(self, eta: Eta) -> str:
        """What is new of an arrival: that it is the next one, or that it has moved by minutes; empty without news."""
        before = self._etas.get(eta.job_id)
        if eta.stops_before or (before is not None and abs(eta.eta - before.eta) < _MOVED_MS):
            return ""
        self._etas[eta.job_id] = eta
        begins, ends = (_time_of_day(ms - self._day.spec.start_ms) for ms in (eta.from_ms, eta.to_ms))
        how = "there" if before is None else "later:" if eta.eta > before.eta else "sooner:"
        return f"{how} {begins}–{ends}"

    def look_at_notices(self, notices: list[Notice]) -> None:
        """Take in what customers were told last, the newest first: what is new becomes a line."""
        for notice in reversed(notices):
            job = self._jobs.get(notice.job_id)
            if notice.notice_id not in self._noticed and job is not None:
                self._noticed.add(notice.notice_id)
                who = self._customers.get(notice.recipient_id or "", "")
                at = notice.sent_at or notice.created_at
                self._notices.append(self._line(at, who, notice.kind.replace("_", " "), "magenta", job.title))

    def look(self, visits: list[Visit]) -> None:
        """Take in the log: what is new becomes a line, in the order of what happened."""
        now = {visit.visit_id: visit for visit in visits}
        lines: list[tuple[int, Text]] = []
        for visit in visits:
            before = self._known.get(visit.visit_id)
            if before is None and visit.departed_ms is None:
                lines.append(self._told_of(visit.arrived_ms, visit, "arrived at", "green"))
            elif visit.departed_ms is not None and (before is None or before.departed_ms is None):
                what = f"left after {visit.on_site_s / 60.0:.0f} min"
                lines.append(self._told_of(visit.departed_ms, visit, what, "yellow"))
        for visit_id in self._known.keys() - now.keys():
            gone = self._known[visit_id]
            lines.append(self._told_of(gone.arrived_ms, gone, "was not at", "red"))
        self._visits.extend(line for _, line in sorted(lines, key=lambda each: each[0]))
        self._known = now

    def _told_of(self, moment_ms: int, visit: Visit, what: str, style: str) -> tuple[int, Text]:
        where = self._places.get(visit.fence_id, visit.fence_id)
        return moment_ms, self._line(moment_ms, visit.device_id, what, style, where)

    def _line(self, moment_ms: int, device_id: str, what: str, style: str, where: str) -> Text:
        moment = _time_of_day(moment_ms - self._day.spec.start_ms)
        who = self._names.get(device_id, device_id).ljust(self._width)
        return Text.assemble(f"{moment}  {who}  ", (what.ljust(_WHAT_CHARS), style), f"  {where}")


async def _watch_the_day(
    system: RunningSystem, day: Day, office: Office, clock: Clock, delivery: Delivery, console: Console
) -> None:
    view = _View(day, office, clock)

    def posted(count: int) -> None:
        view.posted += count

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                view.look(await system.visits())
                view.look_at_jobs(await all_jobs(system))
                view.look_at_notices(await system.notices())
            except httpx.HTTPError:
                continue  # the store may be busy; the next look shows it all

    with Live(view, console=console, refresh_per_second=4, transient=True):
        looking = asyncio.create_task(look())
        try:
            await deliver(day, clock, delivery, posted)
        finally:
            looking.cancel()


def _time_of_day(since_start_ms: int) -> str:
    """The simulated working day starts at seven."""
    minutes = 7 * 60 + since_start_ms // 60_000
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _where(system: RunningSystem, day: Day, office: Office) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_row("API docs", f"{system.facts['api']}/docs")
    table.add_row("SQL", system.facts["sql"])
    table.add_row("Admin key", system.facts["admin_key_file"])
    kinds = (
        f"{len(day.devices)} technicians, {len(office.jobs)} jobs, {len(day.town.sites)} fences, "
        f"{len(day.pings):,} pings to come"
    )
    table.add_row("The day", f"seed {day.spec.seed}: {kinds}")
    return table


def _summary(verdict: Verdict, jobs: JobScore, windows: tuple[int, int]) -> RenderableType:
    found, (arrivals, held) = verdict.score, windows
    table = Table(title="The day, as logged and as it was", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("true visits", f"{found.true}"),
        ("found", f"{found.found}"),
        ("missed", f"{found.missed}"),
        ("invented", f"{found.invented + found.split}"),
        ("F1", f"{found.f1:.3f}"),
        ("median arrival error", "–" if found.arrival_p50_s is None else f"{found.arrival_p50_s:.0f} s"),
        ("median departure error", "–" if found.departure_p50_s is None else f"{found.departure_p50_s:.0f} s"),
        ("pings in", f"{verdict.accepted:,} ({verdict.distinct:,} distinct)"),
        ("pings stored", f"{verdict.stored:,}"),
        ("jobs", f"{jobs.judged + len(jobs.blind)}"),
        ("jobs logged right", f"{jobs.right}"),
        ("jobs logged wrong", f"{jobs.judged - jobs.right}"),
        ("jobs whose visit was missed", f"{len(jobs.blind)}"),
        ("windows that held, said 15 min before", f"{held} of {arrivals}" if arrivals else "–"),
    ):
        table.add_row(name, value)
    return table
