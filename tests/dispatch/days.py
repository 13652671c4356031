"""Small days to be planned, on a map of whole seconds: places are points of a grid."""

from itertools import permutations, product

import numpy as np
from hypothesis import strategies as st

from dispatch.day_plan import LEFT_OVER_S, Day, DayJob, DayTechnician
from dispatch.spans import Span

HOUR_MS = 3_600_000
SKILLS = ("gas", "water")


def grid_travel(lat, lon):
    """600 seconds for each step of the grid (a tenth of a degree), 60 to get going."""
    steps = np.abs(lat[:, None] - lat) + np.abs(lon[:, None] - lon)
    found = np.round(steps * 10.0) * 600.0 + 60.0
    np.fill_diagonal(found, 0.0)
    return found


points = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: (p[0] / 10, p[1] / 10))
skill_sets = st.sets(st.sampled_from(SKILLS)).map(frozenset)


@st.composite
def technicians(draw, name, most_spans=2):
    lat, lon = draw(points)
    first = draw(st.integers(7, 9)) * HOUR_MS
    span = Span(first, first + draw(st.integers(2, 6)) * HOUR_MS)
    spans = [span]
    if most_spans == 2 and draw(st.booleans()):
        spans.append(Span(span.to_ms + HOUR_MS, span.to_ms + 4 * HOUR_MS))
    return DayTechnician(
        technician_id=name,
        lat=lat,
        lon=lon,
        free_ms=draw(st.integers(6, 10)) * HOUR_MS,
        spans=draw(st.sampled_from([spans, spans, spans, []])),
        skills=draw(skill_sets),
    )


@st.composite
def jobs(draw, name, people):
    lat, lon = draw(points)
    from_ms, to_ms = None, None
    if draw(st.booleans()):
        from_ms = draw(st.integers(6, 14)) * HOUR_MS
        to_ms = from_ms + draw(st.sampled_from([1_800_000, 7_200_000]))
    return DayJob(
        job_id=name,
        lat=lat,
        lon=lon,
        duration_s=draw(st.sampled_from([600.0, 3600.0, 7200.0])),
        from_ms=from_ms,
        to_ms=to_ms,
        priority=draw(st.sampled_from(["emergency", "high", "normal", "low"])),
        skills=draw(st.one_of(st.just(frozenset()), skill_sets)),
        technician_ids=draw(st.one_of(st.just(frozenset()), st.sets(st.sampled_from(people)).map(frozenset))),
    )


@st.composite
def days(draw, most_technicians=3, most_jobs=5, most_spans=2):
    names = ["ann", "bob", "cid"][: draw(st.integers(1, most_technicians))]
    people = [draw(technicians(name, most_spans)) for name in names]
    work = [draw(jobs(f"j{k}", names)) for k in range(draw(st.integers(0, most_jobs)))]
    return Day(people, work, grid_travel)


@st.composite
def tours_of(draw, day):
    """Any plan of a day, however bad."""
    tours = {name: [] for name in day.technicians}
    for job_id in draw(st.permutations(sorted(day.jobs))):
        name = draw(st.sampled_from([None, *day.technicians]))
        if name is not None:
            tours[name].append(job_id)
    return tours


def least_cost_s(day):
    """The oracle: of all plans without lateness and overtime, the cost of the best one."""
    best_s = float("inf")
    names = list(day.technicians)
    for owners in product([None, *names], repeat=len(day.jobs)):
        left_s = sum(LEFT_OVER_S[day.jobs[j].priority] for j, who in zip(day.jobs, owners, strict=True) if who is None)
        cost_s = left_s + sum(
            _least_travel_s(day, name, [j for j, who in zip(day.jobs, owners, strict=True) if who == name])
            for name in names
        )
        best_s = min(best_s, cost_s)
    return best_s


def _least_travel_s(day, name, job_ids):
    technician = day.technicians[name]
    if not all(day.may_do(technician, day.jobs[job_id]) for job_id in job_ids):
        return float("inf")
    ways = (day.stops(technician, order) for order in permutations(job_ids))
    on_time = (stops for stops in ways if all(stop.late_s == stop.overtime_s == 0.0 for stop in stops))
    return min((sum(stop.travel_s for stop in stops) for stops in on_time), default=float("inf"))
