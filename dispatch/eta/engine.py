"""The engine: questions in, ETAs with windows out; trips that have arrived in, better answers from then on."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
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

_QUERIED: Final = len(fields(Queries))
_TS_S: Final = 2
"""Of a kept row: where its moment stands, and where what was asked ends."""

TRIM_STEP: Final = 0.01
"""By so much of what a trip was told too early, or too late, the next ones are told later, or sooner."""

PACE_S: Final = 300.0
"""So long a way on both sides of a comparison: the first minutes say little about the pace of a trip."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Seconds from the moment of asking, float64[n]: the arrival, and the window's ends."""

    eta_s: Floats
    from_s: Floats
    to_s: Floats


@dataclass(frozen=True, eq=False)
class Lesson:
    """Of a trip that is over: what was asked on its way and answered, and how long it took from there.

    ``delay`` float64[n] is how much slower than thought it had gone (logarithms), ``remaining_s`` float64[n] seconds.
    """

    queries: Queries
    delay: Floats
    answers: Answers
    remaining_s: Floats


class EtaEngine:
    """State of one tenant. What has been asked of a trip is kept until it has arrived, or is forgotten."""

    def __init__(self, level: float = LEVEL) -> None:
        self.windows = Windows(level)
        self.correction = Correction()
        self._trim = 1.0
        self._begun: dict[int, tuple[float, float]] = {}
        self._asked: dict[int, list[tuple[float, ...]]] = {}
        self._learnt: list[Lesson] = []
        self._since = 0

    def answer(self, queries: Queries) -> Answers:
        """Answer questions, those of a trip in the order of time."""
        route_s = self.correction.route_s(queries)
        delay = self._delays(queries, route_s)
        answers = self._answered(queries, route_s, delay)
        self._keep(queries, delay, answers)
        return answers

    def foresee(self, queries: Queries) -> Answers:
        """Answer questions about ways that nobody is on yet: of these nothing is kept, whatever their ``trip``."""
        return self._answered(queries, self.correction.route_s(queries), np.zeros(len(queries)))

    def _answered(self, queries: Queries, route_s: Floats, delay: Floats) -> Answers:
        eta_s = self._trim * self.correction.with_pace(route_s, delay)
        return Answers(eta_s, *self.windows.around(eta_s, queries.device))

    def arrive(self, trip: int, arrived_s: float) -> None:
        """A trip has arrived (epoch s)."""
        lesson = self.finish(trip, arrived_s)
        if lesson is not None:
            self.learn(lesson)

    def finish(self, trip: int, arrived_s: float) -> Lesson | None:
        """What there is to learn of a trip that has arrived (epoch s); None where nothing was asked before."""
        self._begun.pop(trip, None)
        rows = [row for row in self._asked.pop(trip, ()) if row[_TS_S] <= arrived_s]
        if not rows:
            return None
        chosen = np.array(rows)[_spread_over(len(rows), ASKED_A_TRIP)]
        columns = np.ascontiguousarray(chosen.T)
        queries = Queries(*columns[:_TS_S].astype(np.int64), *columns[_TS_S:_QUERIED])
        delay, *answers = columns[_QUERIED:]
        return Lesson(queries, delay, Answers(*answers), arrived_s - queries.ts_s)

    def learn(self, lesson: Lesson) -> None:
        """Know better from now on."""
        answers, device = lesson.answers, int(lesson.queries.device[0])
        self.windows.learn(device, answers.eta_s, answers.from_s, answers.to_s, lesson.remaining_s)
        late = float(lesson.remaining_s.sum() / answers.eta_s.sum()) - 1.0
        self._trim *= 1.0 + TRIM_STEP * min(max(late, -0.5), 1.0)
        self._learnt.append(lesson)
        self._since += 1
        if self._since >= REFIT_PART * min(len(self._learnt), REMEMBERED_TRIPS):
            self._fit()

    def relearn(self, lessons: Iterable[Lesson]) -> None:
        """Know what these say and nothing else; trips under way go on."""
        self.windows = Windows(self.windows.level)
        self.correction, self._trim = Correction(), 1.0
        self._learnt, self._since = [], 0
        for lesson in lessons:
            self.learn(lesson)

    def forget(self, trip: int) -> None:
        """A trip ended elsewhere: nothing is learnt of it."""
        self._begun.pop(trip, None)
        self._asked.pop(trip, None)

    def _fit(self) -> None:
        self._since = 0
        del self._learnt[:-REMEMBERED_TRIPS]
        counts = [len(lesson.queries) for lesson in self._learnt]
        self.correction = fit(
            Queries.joined([lesson.queries for lesson in self._learnt]),
            np.concatenate([lesson.remaining_s for lesson in self._learnt]),
            np.concatenate([lesson.delay for lesson in self._learnt]),
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
        asked = [getattr(queries, each.name) for each in fields(Queries)]
        columns = (*asked, delay, answers.eta_s, answers.from_s, answers.to_s)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for trip, row in zip(queries.trip.tolist(), rows, strict=True):
            self._asked.setdefault(trip, []).append(row)


def _spread_over(count: int, most: int) -> Ints:
    """At most so many rows, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
