"""The solver, in a process of its own: it works for seconds, in which pings have to be answered."""

import asyncio
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor

from api.plans.gathering import DayAhead
from dispatch.assignment import Suggestion, suggest_day
from dispatch.day_plan import Day
from dispatch.suggestions import Move, Offer, best_for, suggest_for
from routing.matrix import straight_line_matrix
from routing.provider import Floats


class Solver:
    """Asks another process, which is started when it is first needed. ``executor`` takes its place."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor

    async def suggest(self, ahead: DayAhead, iterations: int) -> Suggestion:
        """A plan beside today's. Raises ValueError for what cannot be planned."""
        return await asyncio.get_running_loop().run_in_executor(self._pool(), suggest, ahead, iterations)

    async def moves(self, ahead: DayAhead, technician_id: str, limit: int) -> Sequence[Move]:
        """What to give to a technician, or to take away. Raises ValueError."""
        return await asyncio.get_running_loop().run_in_executor(self._pool(), moves, ahead, technician_id, limit)

    async def offers(self, ahead: DayAhead, job_id: str) -> Sequence[Offer]:
        """Who can do a job next. Raises ValueError."""
        return await asyncio.get_running_loop().run_in_executor(self._pool(), offers, ahead, job_id)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _pool(self) -> Executor:
        if self._executor is None:
            # Forked, it would hold the API's connections.
            self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        return self._executor


def suggest(ahead: DayAhead, iterations: int) -> Suggestion:
    """In the other process."""
    return suggest_day(_day(ahead), ahead.current, iterations=iterations)


def moves(ahead: DayAhead, technician_id: str, limit: int) -> list[Move]:
    """In the other process."""
    return suggest_for(_day(ahead), ahead.current, technician_id, limit=limit)


def offers(ahead: DayAhead, job_id: str) -> list[Offer]:
    """In the other process."""
    return best_for(_day(ahead), ahead.current, job_id)


def _day(ahead: DayAhead) -> Day:
    def travel(lat: Floats, lon: Floats) -> Floats:
        return straight_line_matrix(lat, lon) if ahead.travel_s is None else ahead.travel_s

    return Day(ahead.technicians, ahead.jobs, travel)
