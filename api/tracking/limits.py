"""How often tracking links are asked, of one job and from one address. Each process counts for itself."""

import math
import time
from collections.abc import Callable
from typing import Final

from api.http.networks import network_of
from api.http.problems import Problem
from api.http.rates import Allowance

_OF_A_JOB_PER_S: Final = 1.0
_FROM_AN_ADDRESS_PER_S: Final = 20.0
"""A page asks once in 20 s; many phones may come from one address."""
_BURST_S: Final = 30.0


class TrackingLimits:
    """Time is injected, seconds of any clock that only goes forward."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._of_jobs = Allowance(_OF_A_JOB_PER_S, _BURST_S)
        self._from_addresses = Allowance(_FROM_AN_ADDRESS_PER_S, _BURST_S)

    def come_from(self, address: str) -> None:
        """Count a request before its token is looked at; raises Problem 429 for one too many."""
        self._count(self._from_addresses, network_of(address))

    def ask_of(self, job_id: str) -> None:
        """Count a request whose token is good; raises Problem 429 for one too many."""
        self._count(self._of_jobs, job_id)

    def _count(self, allowance: Allowance, who: str) -> None:
        now_s = self._now_s()
        debt_s = allowance.debt_s(who, now_s)
        if debt_s:
            wait_s = math.ceil(debt_s)
            raise Problem(429, "too_many", f"too many requests; try again in {wait_s} s", {"Retry-After": str(wait_s)})
        allowance.take(who, 1, now_s)
