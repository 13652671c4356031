"""Requests for plans, and plans as they are answered: moments instead of milliseconds, and what would be changed."""

from typing import Annotated

import msgspec

from api.plans.gathering import DayAhead
from dispatch.assignment import Suggestion
from dispatch.day_plan import Figures, LeftOver, Plan, PlannedStop
from dispatch.suggestions import Move, Offer
from schemas.job import JobRecord
from schemas.times import Instant


class StopAnswer(msgspec.Struct):
    """A job in a plan: set off, there, begun, done; how late it begins, and what of it is after the shift."""

    job_id: str
    leave_at: Instant
    arrive_at: Instant
    start_at: Instant
    depart_at: Instant
    travel_s: float
    late_s: float
    overtime_s: float


class TourAnswer(msgspec.Struct):
    """The jobs of a technician, in order."""

    technician_id: str
    stops: list[StopAnswer]


class PlanAnswer(msgspec.Struct):
    """All tours, the jobs that nobody does and why, and how good it is."""

    tours: list[TourAnswer]
    left_over: list[LeftOver]
    figures: Figures


class ReassignedJob(msgspec.Struct):
    """A job that the plan gives to others than now; as it was read in ``revision``."""

    job_id: str
    revision: int
    from_technician_ids: list[str]
    technician_ids: list[str]


class SuggestionAnswer(msgspec.Struct):
    """A plan beside today's. ``changes`` are what `POST /v1/plans/apply` would make of it; nobody has to.

    ``unplaced`` are jobs of which nobody knows where they are.
    """

    plan: PlanAnswer
    current: PlanAnswer
    saves_travel_s: float
    saves_s: float
    changes: list[ReassignedJob]
    unplaced: list[str]


class MoveAnswer(msgspec.Struct):
    """A job given to a technician, from whoever had it, and what that saves."""

    job_id: str
    from_technician_id: str | None
    technician_id: str
    stop: StopAnswer
    saves_s: float
    saves_travel_s: float
    saves_late_s: float


class DelayAnswer(msgspec.Struct):
    """A job that begins later, by so much."""

    job_id: str
    by_s: float
    late_s: float


class OfferAnswer(msgspec.Struct):
    """What it means that a technician does a job next."""

    technician_id: str
    stop: StopAnswer
    delays: list[DelayAnswer]
    overtime_s: float


class PlanRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"from_ms": "from", "to_ms": "to"}):
    """Of which time, default the day from now on; of which branch; how long is searched."""

    from_ms: Instant | None = None
    to_ms: Instant | None = None
    branch: str | None = None
    iterations: Annotated[int, msgspec.Meta(ge=1, le=30_000)] = 3_000


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """A job for other technicians; only of that revision where one is stated."""

    job_id: str
    technician_ids: list[str]
    revision: int | None = None


class PlanChanges(msgspec.Struct, forbid_unknown_fields=True):
    """What of a suggestion is to be."""

    changes: Annotated[list[Assignment], msgspec.Meta(max_length=1_000)]


class AppliedChange(msgspec.Struct):
    """What became of a change: the job's revision now, or (null) why not; ``problem`` is empty where it is done."""

    job_id: str
    revision: int | None
    problem: str


class AppliedPlan(msgspec.Struct):
    """In the order of the changes."""

    items: list[AppliedChange]


class MovesAnswer(msgspec.Struct):
    """The best first."""

    items: list[MoveAnswer]


class OffersAnswer(msgspec.Struct):
    """The soonest first."""

    items: list[OfferAnswer]


def suggestion_answer(found: Suggestion, ahead: DayAhead, jobs: dict[str, JobRecord]) -> SuggestionAnswer:
    """A suggestion, with what would have to be changed."""
    changes = []
    fixed = {stop.job_id for each in ahead.technicians for stop in each.fixed}
    for technician_id, stops in found.plan.stops.items():
        for stop in stops:
            job = jobs.get(stop.job_id)
            if job is not None and stop.job_id not in fixed and job.technician_ids[:1] != [technician_id]:
                changes.append(ReassignedJob(job.job_id, job.revision, job.technician_ids, [technician_id]))
    return SuggestionAnswer(
        plan_answer(found.plan),
        plan_answer(found.current),
        found.saves_travel_s,
        found.saves_s,
        changes,
        ahead.unplaced,
    )


def plan_answer(plan: Plan) -> PlanAnswer:
    """A plan."""
    tours = [TourAnswer(who, [stop_answer(stop) for stop in stops]) for who, stops in sorted(plan.stops.items())]
    return PlanAnswer(tours, plan.left_over, plan.figures)


def stop_answer(stop: PlannedStop) -> StopAnswer:
    """A stop."""
    return StopAnswer(
        stop.job_id,
        Instant(stop.leave_ms),
        Instant(stop.arrive_ms),
        Instant(stop.start_ms),
        Instant(stop.depart_ms),
        stop.travel_s,
        stop.late_s,
        stop.overtime_s,
    )


def move_answer(move: Move) -> MoveAnswer:
    """A move."""
    return MoveAnswer(
        move.job_id,
        move.from_technician_id,
        move.technician_id,
        stop_answer(move.stop),
        move.saves_s,
        move.saves_travel_s,
        move.saves_late_s,
    )


def offer_answer(offer: Offer) -> OfferAnswer:
    """An offer."""
    delays = [DelayAnswer(each.job_id, each.by_s, each.late_s) for each in offer.delays]
    return OfferAnswer(offer.technician_id, stop_answer(offer.stop), delays, offer.overtime_s)
