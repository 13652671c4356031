"""How long work at a place takes, against what was estimated: learnt by type of job, from all jobs where it is rare."""

from collections import defaultdict, deque
from typing import Final

import numpy as np

from dispatch.eta.queries import Floats
from dispatch.eta.spread import Spread
from dispatch.eta.windows import LEVEL, PRIOR_ERRORS, PRIOR_TRIPS

JOBS_OF_TYPE: Final = 300
JOBS_OF_ALL: Final = 1_000
"""So many of the last jobs are remembered."""

OTHERS_COUNT: Final = 20.0
"""All jobs together count as so many of the type."""

SHORTEST_S: Final = 60.0

BEYOND: Final = (1.0, 1.25, 2.0)
"""Of the time that work has taken which takes longer than any that is known: what it will have taken in the end."""


class Durations:
    """What the last jobs took. The ratio of actual to estimate is what is learnt, in logarithms."""

    def __init__(self, level: float = LEVEL) -> None:
        self._quantiles = np.array([(1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0])
        self._of_type: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=JOBS_OF_TYPE))
        self._of_all: deque[float] = deque(maxlen=JOBS_OF_ALL)
        self._errors: dict[str, tuple[Floats, Floats]] = {}
        self._ratios: dict[str, tuple[float, float, float]] = {}

    def learn(self, job_type: str, estimate_s: float, actual_s: float) -> None:
        """A job is done."""
        error = float(np.log(max(actual_s, SHORTEST_S) / max(estimate_s, SHORTEST_S)))
        self._of_type[job_type].append(error)
        self._of_all.append(error)
        self._errors, self._ratios = {}, {}

    def expected_s(self, job_type: str, estimate_s: float, done_s: float = 0.0) -> Spread:
        """How long a job of an estimate will take, seconds, of which ``done_s`` are over."""
        estimate_s = max(estimate_s, SHORTEST_S)
        known = job_type if job_type in self._of_type else ""
        if done_s > 0.0:
            return self._expected_in_the_middle_s(known, estimate_s, done_s)
        if known not in self._ratios:
            low, middle, high = np.exp(self._quantiles_of(*self._errors_of(known))).tolist()
            self._ratios[known] = low, middle, high
        return Spread(*(estimate_s * ratio for ratio in self._ratios[known]))

    def _expected_in_the_middle_s(self, job_type: str, estimate_s: float, done_s: float) -> Spread:
        """Of those that took longer than this one has."""
        errors, weights = self._errors_of(job_type)
        left = int(np.searchsorted(errors, np.log(max(done_s, 1.0) / estimate_s), side="right"))
        if left == len(errors):
            return Spread(*(done_s * factor for factor in BEYOND))
        found_s = estimate_s * np.exp(self._quantiles_of(errors[left:], weights[left:]))
        return Spread(*np.maximum(found_s, done_s).tolist())

    def _errors_of(self, job_type: str) -> tuple[Floats, Floats]:
        """What is known, in order, and how much each counts."""
        if job_type not in self._errors:
            own = np.array(self._of_type.get(job_type, ()), np.float64)
            every = np.array(self._of_all, np.float64)
            values = np.concatenate([own, every, PRIOR_ERRORS])
            weights = np.concatenate(
                [np.ones(len(own)), _shared(every, min(OTHERS_COUNT, len(every))), _shared(PRIOR_ERRORS, PRIOR_TRIPS)]
            )
            order = np.argsort(values)
            self._errors[job_type] = values[order], weights[order]
        return self._errors[job_type]

    def _quantiles_of(self, errors: Floats, weights: Floats) -> Floats:
        reached = np.cumsum(weights) - weights / 2.0
        return np.asarray(np.interp(self._quantiles * weights.sum(), reached, errors))


def _shared(values: Floats, total: float) -> Floats:
    return np.full(len(values), total / max(len(values), 1))
