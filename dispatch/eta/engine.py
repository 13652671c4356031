"""The engine: questions in, ETAs with windows out; trips that have arrived in, better answers from then on."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.eta.correction import Correction, fit
from dispatch.eta.queries import Floats, Ints, Queries
from dispatch.eta.windows import LEVEL, Windows

REMEMBERED_TRIPS: Final = 2_000
ASKED_A_TRIP: Final = 8
"""Of a trip so many questions at most are learnt from."""

REFIT_PART: Final = 0.1
"""The correction is fitted anew when so many of the trips it knows have come since."""

PACE_S: Final = 300.0
"""So long a way on both sides of a comparison: the first minutes say little about the pace of a trip."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Seconds from the moment of asking, float64[n]: the arrival, and the window's ends."""

    eta_s: Floats
    from_s: Floats
    to_s: Floats


@dataclass(frozen=True, eq=False)
class _Asked:
    """Of a trip under way what has been asked, and what was answered."""

    queries: Queries
    delay: Floats
    answers: Answers


class EtaEngine:
    """State of one tenant. What has been asked of a trip is kept until it has arrived, or is forgotten."""

    def __init__(self, level: float = LEVEL) -> None:
        self.windows = Windows(level)
        self.correction = Correction()
        self._begun: dict[int, tuple[float, float]] = {}
        self._asked: dict[int, list[_Asked]] = {}
        self._learnt: list[tuple[Queries, Floats, Floats]] = []
        self._since = 0

    def answer(self, queries: Queries) -> Answers:
        """Answer questions, those of a trip in the order of time."""
        route_s = self.correction.route_s(queries)
        delay = self._delays(queries, route_s)
        eta_s = self.correction.with_pace(route_s, delay)
        answers = Answers(eta_s, *self.windows.around(eta_s, queries.device))
        self._keep(queries, delay, answers)
        return answers

    def arrive(self, trip: int, arrived_s: float) -> None:
        """A trip has arrived (epoch s)."""
        self._begun.pop(trip, None)
        asked = self._asked.pop(trip, None)
        if asked is None:
            return
        queries = Queries.joined([each.queries for each in asked])
        delay = np.concatenate([each.delay for each in asked])
        eta_s, from_s, to_s = (
            np.concatenate([getattr(each.answers, name) for each in asked]) for name in ("eta_s", "from_s", "to_s")
        )
        remaining_s = arrived_s - queries.ts_s
        chosen = _spread_over(len(queries), ASKED_A_TRIP)
        self.windows.learn(int(queries.device[0]), eta_s[chosen], from_s[chosen], to_s[chosen], remaining_s[chosen])
        self._learnt.append((queries[chosen], remaining_s[chosen], delay[chosen]))
        self._since += 1
        if self._since >= REFIT_PART * min(len(self._learnt), REMEMBERED_TRIPS):
            self._fit()

    def forget(self, trip: int) -> None:
        """A trip ended elsewhere: nothing is learnt of it."""
        self._begun.pop(trip, None)
        self._asked.pop(trip, None)

    def _fit(self) -> None:
        self._since = 0
        del self._learnt[:-REMEMBERED_TRIPS]
        counts = [len(queries) for queries, _, _ in self._learnt]
        self.correction = fit(
            Queries.joined([queries for queries, _, _ in self._learnt]),
            np.concatenate([remaining_s for _, remaining_s, _ in self._learnt]),
            np.concatenate([delay for _, _, delay in self._learnt]),
            np.repeat(np.arange(len(counts) - 1, -1, -1.0), counts),
        )

    def _delays(self, queries: Queries, route_s: Floats) -> Floats:
        """How much slower than thought the trips have gone since they were first asked about, in logarithms."""
        found = np.zeros(len(queries))
        for row, (trip, ts_s, way_s) in enumerate(
            zip(queries.trip.tolist(), queries.ts_s.tolist(), route_s.tolist(), strict=True)
        ):
            begun_s, whole_s = self._begun.setdefault(trip, (ts_s, way_s))
            done_s = max(whole_s - way_s, -PACE_S / 2.0)
            found[row] = np.log((ts_s - begun_s + PACE_S) / (done_s + PACE_S))
        return found

    def _keep(self, queries: Queries, delay: Floats, answers: Answers) -> None:
        order = np.argsort(queries.trip, kind="stable")
        trips, starts = np.unique(queries.trip[order], return_index=True)
        for trip, rows in zip(trips.tolist(), np.split(order, starts[1:]), strict=True):
            some = Answers(answers.eta_s[rows], answers.from_s[rows], answers.to_s[rows])
            self._asked.setdefault(trip, []).append(_Asked(queries[rows], delay[rows], some))


def _spread_over(count: int, most: int) -> Ints:
    """At most so many rows, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
