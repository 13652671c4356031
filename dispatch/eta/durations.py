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


class Durations:
    """What the last jobs took. The ratio of actual to estimate is what is learnt, in logarithms."""

    def __init__(self, level: float = LEVEL) -> None:
        self._quantiles = (1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0
        self._of_type: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=JOBS_OF_TYPE))
        self._of_all: deque[float] = deque(maxlen=JOBS_OF_ALL)

    def learn(self, job_type: str, estimate_s: float, actual_s: float) -> None:
        """A job is done."""
        error = float(np.log(max(actual_s, SHORTEST_S) / max(estimate_s, SHORTEST_S)))
        self._of_type[job_type].append(error)
        self._of_all.append(error)

    def expected_s(self, job_type: str, estimate_s: float) -> Spread:
        """How long a job of an estimate will take, seconds."""
        own = np.array(self._of_type.get(job_type, ()), np.float64)
        every = np.array(self._of_all, np.float64)
        values = np.concatenate([own, every, PRIOR_ERRORS])
        weights = np.concatenate(
            [np.ones(len(own)), _shared(every, min(OTHERS_COUNT, len(every))), _shared(PRIOR_ERRORS, PRIOR_TRIPS)]
        )
        order = np.argsort(values)
        reached = np.cumsum(weights[order]) - weights[order] / 2.0
        low, middle, high = np.interp(np.array(self._quantiles) * weights.sum(), reached, values[order])
        return Spread(*(max(estimate_s, SHORTEST_S) * float(np.exp(each)) for each in (low, middle, high)))


def _shared(values: Floats, total: float) -> Floats:
    return np.full(len(values), total / max(len(values), 1))
