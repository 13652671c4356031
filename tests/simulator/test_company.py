"""A company's days in process: visits by the engine, told once they are over; every job's log is the truth."""

import json
from collections import defaultdict
from dataclasses import dataclass, field

import msgspec
import pytest

from dispatch.job_book import JobBook
from dispatch.rounds import Candidate, DeviceRounds, Stop, candidate_of
from dispatch.rules import DispatchRules
from geofence.fences import FenceSet, read_collection
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.visits import derive_stays
from geofence.visits.log import Stay
from schemas.job import JobPlan, JobRecord
from schemas.job_command import Command, CreateJob, EditJob, MoveJob, Sender, TellEvidence
from schemas.ping import Ping
from schemas.times import Instant
from simulator.company import MINUTE_MS, Change, Company, CompanySpec, Order, Word, build_company
from simulator.job_score import judge_jobs

TOLD_AFTER_MS = 2 * MINUTE_MS
"""So long after a departure a visit is closed."""


class LoggedStay(msgspec.Struct):
    device_id: str
    fence_id: str
    arrived_ms: int
    arrived_earliest_ms: int
    arrived_latest_ms: int
    departed_ms: int | None
    departed_earliest_ms: int | None
    departed_latest_ms: int | None


@dataclass
class InProcess:
    """The foreman's pure parts without Kafka; commands are carried out at once."""

    company: Company
    rules: DispatchRules = field(default_factory=DispatchRules)
    jobs: dict[str, JobRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book, self.lifecycle = JobBook(self.rules), self.rules.lifecycle()
        self.devices = {each["technician_id"]: each["device_ids"] for each in self.company.technicians}
        self.holders = {device: name for name, devices in self.devices.items() for device in devices}
        self.moves = {each["technician_id"]: each.get("auto_logging", True) for each in self.company.technicians}
        self.rounds = {device: DeviceRounds(device) for device in self.holders}
        self.jobs_of: dict[str, dict[str, Candidate]] = defaultdict(dict)

    def carry_out(self, command: Command, now_ms: int) -> None:
        outcome = self.book.apply(self.jobs.get(command.job_id), command, Instant(now_ms))
        assert outcome.answer.refusal is None, (command, outcome.answer.refusal)
        if outcome.record is None:
            return
        self.jobs[command.job_id] = outcome.record
        candidate = candidate_of(outcome.record, self.lifecycle)
        for each in candidate.assignments:
            self.jobs_of[each.technician_id][command.job_id] = candidate
        if not isinstance(command, TellEvidence):
            for each in candidate.assignments:
                for device in self.devices[each.technician_id]:
                    self.look(device, now_ms)

    def hear(self, device: str, stop: Stop, now_ms: int) -> None:
        self.rounds[device].hear(stop)
        self.look(device, now_ms)

    def look(self, device: str, now_ms: int) -> None:
        name = self.holders[device]
        jobs = list(self.jobs_of[name].values())
        for job_id, evidence in self.rounds[device].news(
            name, jobs, self.rules, moves=self.moves[name], now_ms=Instant(now_ms)
        ):
            sender = Sender("automatic", "foreman")
            told = TellEvidence(job_id=job_id, sender=sender, key="", issued_at=Instant(now_ms), evidence=evidence)
            self.carry_out(told, now_ms)


def command_of(event: Order | Word | Change) -> Command:
    sent = Instant(event.sent_ms)
    office = Sender("dispatcher", "office", "dispatcher")
    if isinstance(event, Order):
        fields = dict(event.fields)
        window = {f"{name}_ms": Instant(fields.pop(name)) for name in ("window_from", "window_to")}
        plan = JobPlan(**fields, **window)
        return CreateJob(job_id=event.job_id, sender=office, key="create", issued_at=sent, plan=plan)
    if isinstance(event, Change):
        changes = {"technician_ids": list(event.technician_ids)}
        return EditJob(job_id=event.job_id, sender=office, key="change", issued_at=sent, changes=changes)
    key, at = f"{event.to}-{event.at_ms}", Instant(event.at_ms)
    sender = Sender(event.by, event.by, event.by)
    return MoveJob(job_id=event.job_id, sender=sender, key=key, issued_at=sent, to=event.to, at=at)


def stays_of(company: Company) -> dict[str, list[Stay]]:
    """By device, what the engine derives from all of its pings."""
    pings: dict[str, list[Ping]] = defaultdict(list)
    for _, delivered in company.deliveries():
        pings[delivered[0].device_id] += delivered
    fences = FenceSet.of(read_collection(json.dumps(company.fences)))
    stays = {}
    for device, own in pings.items():
        derived = derive_stays(device, Fixes.of_pings(own).in_order(), fences, Rules(), company.end_ms).stays
        stays[device] = [stay for stay in derived if stay.state != "open"]
    return stays


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_jobs_log_is_the_truth(seed: int) -> None:
    company = build_company(CompanySpec(technicians=24, days=2, seed=seed))
    office, stays = InProcess(company), stays_of(company)
    happening: list[tuple[int, Order | Word | Change | tuple[str, Stop]]] = [
        (event.sent_ms, event) for event in company.events()
    ]
    for device, own in stays.items():
        for number, stay in enumerate(own):
            departed_ms = None if stay.departed_ms is None else int(stay.departed_ms)
            state = "confirmed" if departed_ms is None else "closed"
            stop = Stop(
                f"{device}/{number}", stay.fence_id, state, 1, int(stay.arrived_ms), departed_ms, stay.on_site_s
            )
            happening.append(((departed_ms or company.end_ms) + TOLD_AFTER_MS, (device, stop)))
    for at_ms, event in sorted(happening, key=lambda each: each[0]):
        if isinstance(event, tuple):
            office.hear(*event, at_ms)
        else:
            office.carry_out(command_of(event), at_ms)
    fields = [name for name in LoggedStay.__struct_fields__ if name != "device_id"]
    visits = [
        LoggedStay(device, *(getattr(stay, name) for name in fields)) for device, own in stays.items() for stay in own
    ]
    score = judge_jobs(company, office.jobs, visits)
    assert score.judged > 200
    assert not score.wrong, "\n".join(score.wrong)
    assert len(score.blind) <= 0.04 * len(company.truths), score.blind
