"""Nearest available technicians among 50,000, one process, while 1,000 of them move each second.

Moves and questions come at their own times, and one thread serves them in that order, as an event loop does: what a
question waits for moves before it is part of its time. Technicians lie strewn over a country, each with two of 40
skills, 200 different shifts, one in three at a job. Each question asks for the ten nearest who have a skill, are on
shift and free. The anchor is rtree's index of the same points, kept up to date: what its moves alone cost.
"""

import time
from typing import Final

import numpy as np
from rtree.index import Index

from dispatch.nearest import NearestTechnicians
from schemas.people import Shift, Technician

TECHNICIANS: Final = 50_000
MOVES_PER_S: Final = 1_000
QUESTIONS_PER_S: Final = 50
SKILLS: Final = 40
SHIFTS: Final = 200
WEST, SOUTH, SIDE_DEG = 6.0, 47.0, 8.0
NOON_MS: Final = 1_795_694_400_000  # 2026-11-26T12:00Z, a Thursday


def measure(quick: bool) -> dict[str, float]:
    """``nearest_p50_ms``, ``nearest_p99_ms``, ``nearest_cpu_p99_ms`` (what neighbours of the machine do not lengthen),
    and CPU microseconds a move: ``move_us``, ``rtree_move_us``.
    """
    rng = np.random.default_rng(12)
    crowd = strewn(rng)
    seconds = 5 if quick else 30
    moves, questions = seconds * MOVES_PER_S, seconds * QUESTIONS_PER_S
    due_s = np.sort(np.concatenate([rng.uniform(0.0, seconds, moves), rng.uniform(0.0, seconds, questions)]))
    asks = rng.permutation(np.arange(moves + questions) < questions)
    who = rng.integers(0, TECHNICIANS, moves + questions)
    lat, lon = places(rng, moves + questions)
    took_s: list[float] = []
    worked_s: list[float] = []
    start_s = time.perf_counter()
    for k in range(moves + questions):
        time.sleep(max(0.0, due_s[k] - (time.perf_counter() - start_s)))
        if asks[k]:
            wanted = frozenset([f"skill-{who[k] % SKILLS}"])
            asked_s = time.thread_time()
            crowd.nearest(lat[k], lon[k], at_ms=NOON_MS + k, limit=10, skills=wanted, available=True)
            worked_s.append(time.thread_time() - asked_s)
            took_s.append(time.perf_counter() - start_s - due_s[k])
        else:
            crowd.moved(f"d{who[k]}", lat[k], lon[k], NOON_MS + k)
    figures = {
        "nearest_p50_ms": float(np.quantile(took_s, 0.50)) * 1e3,
        "nearest_p99_ms": float(np.quantile(took_s, 0.99)) * 1e3,
        "nearest_cpu_p99_ms": float(np.quantile(worked_s, 0.99)) * 1e3,
    }
    return figures | cost_of_moves(rng, crowd)


def strewn(rng: np.random.Generator) -> NearestTechnicians:
    """The technicians, each where it was last."""
    crowd = NearestTechnicians()
    shifts = [
        Shift(f"{5 + k % 10:02}:{k % 60:02}", f"{14 + k % 10:02}:{k % 60:02}", ["mon", "tue", "wed", "thu"], "UTC")
        for k in range(SHIFTS)
    ]
    lat, lon = places(rng, TECHNICIANS)
    for k in range(TECHNICIANS):
        crowd.put(
            Technician(
                technician_id=f"t{k}",
                name="",
                device_ids=[f"d{k}"],
                skills=[f"skill-{skill}" for skill in rng.choice(SKILLS, 2, replace=False)],
                shifts=[shifts[k % SHIFTS]],
            )
        )
        crowd.moved(f"d{k}", lat[k], lon[k], NOON_MS - 1)
        if k % 3 == 0:
            crowd.starts_job(f"t{k}", f"j{k}", NOON_MS + k * 1_000)
    return crowd


def places(rng: np.random.Generator, count: int) -> tuple[list[float], list[float]]:
    """Latitudes and longitudes within a country."""
    lat = SOUTH + SIDE_DEG * rng.random(count)
    lon = WEST + SIDE_DEG * rng.random(count)
    return lat.tolist(), lon.tolist()


def cost_of_moves(rng: np.random.Generator, crowd: NearestTechnicians) -> dict[str, float]:
    """CPU microseconds that a move takes here and in an rtree of as many points."""
    lat, lon = places(rng, TECHNICIANS)
    index = Index((k, (lon[k], lat[k], lon[k], lat[k]), None) for k in range(TECHNICIANS))
    moved = 2_000
    new_lat, new_lon = places(rng, moved)
    started_s = time.thread_time()
    for k in range(moved):
        index.delete(k, (lon[k], lat[k], lon[k], lat[k]))
        index.insert(k, (new_lon[k], new_lat[k], new_lon[k], new_lat[k]))
    rtree_s = time.thread_time() - started_s
    started_s = time.thread_time()
    for k in range(moved):
        crowd.moved(f"d{k}", new_lat[k], new_lon[k], NOON_MS + 10_000_000)
    own_s = time.thread_time() - started_s
    return {"move_us": own_s / moved * 1e6, "rtree_move_us": rtree_s / moved * 1e6}
