"""What to change in today's plan when the day goes otherwise: small moves, found by trying every place in every tour.

The cheapest insertion of a job into tours that stay as they are (Solomon 1987); a plan of the whole day is
``dispatch.assignment``'s. *Now* is each technician's ``free_ms``.
"""

from collections.abc import Iterator, Sequence

import msgspec

from dispatch.day_plan import LEFT_OVER_S, Day, DayTechnician, PlannedStop, Tours, cost_s


class Move(msgspec.Struct, frozen=True):
    """A job given to a technician, as the ``position``-th of the jobs not fixed, from whoever had it (None: nobody).

    ``stop`` is when it would be done. ``saves_s`` is what the plan costs less, in seconds of travel; ``saves_travel_s``
    and ``saves_late_s`` are what of it is travel and lateness, both over all the tours that change.
    """

    job_id: str
    from_technician_id: str | None
    technician_id: str
    position: int
    stop: PlannedStop
    saves_s: float
    saves_travel_s: float
    saves_late_s: float


class Delayed(msgspec.Struct, frozen=True):
    """A job that begins later than planned, by how much, and how late that is after its window."""

    job_id: str
    by_s: float
    late_s: float


class Offer(msgspec.Struct, frozen=True):
    """What it means that a technician does a job next: when it would be done, and what that delays.

    ``overtime_s``: how much more is done after the shift.
    """

    technician_id: str
    stop: PlannedStop
    delays: list[Delayed]
    overtime_s: float


def suggest_for(day: Day, tours: Tours, technician_id: str, *, limit: int = 5) -> list[Move]:
    """Moves that make the plan better by giving the technician a job, or by taking one away; the best first.

    For one who has finished early these are jobs that nobody does, or that others do later or from farther away; for
    one who is late, jobs that others can do in time. None adds overtime. Each job comes once at most. Raises
    ValueError where the technician or the plan is not of this day.
    """
    day.plan(tours)  # raises for what is no plan
    if technician_id not in day.technicians:
        raise ValueError(f"technician {technician_id!r} is not in this day")
    stops = {name: day.stops(one, tours.get(name, ())) for name, one in day.technicians.items()}
    owner = {stop.job_id: name for name, each in stops.items() for stop in each}
    best: dict[str, Move] = {}
    for job_id in day.jobs:
        own = owner.get(job_id)
        takers = [name for name in day.technicians if name != own] if own == technician_id else [technician_id]
        for name in takers:
            if name == own or not day.may_do(day.technicians[name], day.jobs[job_id]):
                continue
            for move in _moves(day, stops, job_id, own, name):
                if job_id not in best or move.saves_s > best[job_id].saves_s:
                    best[job_id] = move
    return sorted(best.values(), key=lambda move: -move.saves_s)[:limit]


def best_for(day: Day, tours: Tours, job_id: str) -> list[Offer]:
    """Who can do a job next, straight after the jobs under way, the soonest first: for an emergency.

    Those whom it would keep after their shift come last. Where it is planned already counts for nothing. Raises
    ValueError where the job or the plan is not of this day.
    """
    day.plan(tours)  # raises for what is no plan
    job = day.jobs.get(job_id)
    if job is None:
        raise ValueError(f"job {job_id!r} is not in this day")
    offers = []
    for name, technician in day.technicians.items():
        if not day.may_do(technician, job):
            continue
        others = [each for each in tours.get(name, ()) if each != job_id]
        before = day.stops(technician, others)
        first, *after = day.stops(technician, [job_id, *others])
        delays = [
            Delayed(new.job_id, (new.start_ms - old.start_ms) / 1000, new.late_s)
            for old, new in zip(before, after, strict=True)
            if new.start_ms > old.start_ms
        ]
        more_s = first.overtime_s + _overtime_s(after) - _overtime_s(before)
        offers.append(Offer(name, first, delays, more_s))
    return sorted(offers, key=lambda offer: (offer.overtime_s > 0.0, offer.stop.start_ms))


def _moves(
    day: Day, stops: dict[str, list[PlannedStop]], job_id: str, own: str | None, technician_id: str
) -> Iterator[Move]:
    """All ways to give a job to a technician that make the plan better without more overtime for that one."""
    technician = day.technicians[technician_id]
    was = [*stops[technician_id], *(stops[own] if own is not None else ())]
    rest = _without(day, day.technicians[own], stops[own], job_id) if own is not None else []
    was_s = sum(map(cost_s, was)) + (0.0 if own is not None else LEFT_OVER_S[day.jobs[job_id].priority])
    tour = [stop.job_id for stop in stops[technician_id]]
    for position in range(len(tour) + 1):
        new = day.stops(technician, [*tour[:position], job_id, *tour[position:]])
        becomes = [*new, *rest]
        saves_s = was_s - sum(map(cost_s, becomes))
        if saves_s > 0.0 and _overtime_s(new) <= _overtime_s(stops[technician_id]):
            yield Move(
                job_id,
                own,
                technician_id,
                position,
                new[position],
                saves_s,
                sum(stop.travel_s for stop in was) - sum(stop.travel_s for stop in becomes),
                sum(stop.late_s for stop in was) - sum(stop.late_s for stop in becomes),
            )


def _without(day: Day, technician: DayTechnician, stops: Sequence[PlannedStop], job_id: str) -> list[PlannedStop]:
    return day.stops(technician, [stop.job_id for stop in stops if stop.job_id != job_id])


def _overtime_s(stops: Sequence[PlannedStop]) -> float:
    return sum(stop.overtime_s for stop in stops)
