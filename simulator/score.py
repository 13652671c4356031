"""How right a visit log is, against the truth of a simulated day."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from simulator.truth import Span

MIN_OVERLAP: Final = 0.2
"""A logged visit is the true one when what they share is at least this part of what they cover together."""


class LoggedStay(Protocol):
    """What is judged of a visit or a stay; ``departed_*`` None while the device is there."""

    @property
    def fence_id(self) -> str: ...  # noqa: D102
    @property
    def arrived_ms(self) -> int: ...  # noqa: D102
    @property
    def arrived_earliest_ms(self) -> int: ...  # noqa: D102
    @property
    def arrived_latest_ms(self) -> int: ...  # noqa: D102
    @property
    def departed_ms(self) -> int | None: ...  # noqa: D102
    @property
    def departed_earliest_ms(self) -> int | None: ...  # noqa: D102
    @property
    def departed_latest_ms(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True)
class Score:
    """Counts of visits and errors of their edges (seconds; None where nothing was found).

    ``found`` true visits have a logged one of their own, ``missed`` ones have none. Of the logged visits that are
    nobody's, ``split`` lie in a true visit that is found by another, the rest is ``invented``; those in a disputed span
    count neither way. ``false_per_pass`` are the invented ones that meet a pass, a pass. ``coverage`` is the share of
    true arrivals and departures inside their earliest–latest intervals.
    """

    true: int
    found: int
    missed: int
    invented: int
    split: int
    f1: float
    passes: int
    false_per_pass: float
    arrival_p50_s: float | None
    arrival_p90_s: float | None
    departure_p50_s: float | None
    departure_p90_s: float | None
    coverage: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """What became of one true visit (``span``) or of one logged stay that is nobody's, as ``Score`` counts them.

    A ``found`` visit has both; an ``invented`` or ``split`` stay has none, a ``missed`` visit has no stay.
    """

    device_id: str
    fence_id: str
    verdict: Literal["found", "missed", "invented", "split"]
    span: Span | None
    stay: LoggedStay | None
    meets_pass: bool = False


def score(truth: Iterable[Span], log: Iterable[tuple[str, LoggedStay]], end_ms: int) -> Score:
    """Compare ``log``, pairs of (device_id, confirmed or closed visit), with the truth up to ``end_ms``."""
    spans = list(truth)
    return score_cases(compare(spans, log, end_ms), passes=sum(span.kind == "pass" for span in spans))


def compare(truth: Iterable[Span], log: Iterable[tuple[str, LoggedStay]], end_ms: int) -> Iterator[Case]:
    """Every true visit and every logged stay but the disputed ones, device by device and fence by fence."""
    spans: dict[tuple[str, str], list[Span]] = defaultdict(list)
    stays: dict[tuple[str, str], list[LoggedStay]] = defaultdict(list)
    for span in truth:
        spans[span.device_id, span.fence_id].append(span)
    for device_id, stay in log:
        stays[device_id, stay.fence_id].append(stay)
    for key in sorted(spans.keys() | stays.keys()):
        here = spans.get(key, [])
        visits = [span for span in here if span.kind == "visit"]
        logged = stays.get(key, [])
        pairs = dict(_matches(visits, logged, end_ms))
        for row, visit in enumerate(visits):
            if row in pairs:
                yield Case(*key, "found", visit, logged[pairs[row]])
            else:
                yield Case(*key, "missed", visit, None)
        for column in sorted(set(range(len(logged))) - set(pairs.values())):
            met = {span.kind for span in here if span.overlap_ms(*_bounds(logged[column], end_ms), end_ms) > 0}
            if "visit" in met:
                yield Case(*key, "split", None, logged[column])
            elif "disputed" not in met:
                yield Case(*key, "invented", None, logged[column], meets_pass="pass" in met)


def score_cases(cases: Iterable[Case], passes: int) -> Score:
    """The counts and errors of ``cases``; ``passes`` is how many passes the truth has."""
    judged = list(cases)
    count = Counter(case.verdict for case in judged)
    arrivals: list[float] = []
    departures: list[float] = []
    covered: list[bool] = []
    for case in judged:
        if case.span is not None and case.stay is not None:
            _measure(case.span, case.stay, arrivals, departures, covered)
    weight = 2 * count["found"] + count["missed"] + count["invented"] + count["split"]
    return Score(
        true=count["found"] + count["missed"],
        found=count["found"],
        missed=count["missed"],
        invented=count["invented"],
        split=count["split"],
        f1=2.0 * count["found"] / weight if weight else 1.0,
        passes=passes,
        false_per_pass=sum(case.meets_pass for case in judged) / passes if passes else 0.0,
        arrival_p50_s=_quantile(arrivals, 0.5),
        arrival_p90_s=_quantile(arrivals, 0.9),
        departure_p50_s=_quantile(departures, 0.5),
        departure_p90_s=_quantile(departures, 0.9),
        coverage=sum(covered) / len(covered) if covered else None,
    )


def _bounds(stay: LoggedStay, end_ms: int) -> tuple[int, int]:
    return stay.arrived_ms, end_ms if stay.departed_ms is None else stay.departed_ms


def _matches(visits: Sequence[Span], logged: Sequence[LoggedStay], end_ms: int) -> list[tuple[int, int]]:
    """One to one, the largest overlap first."""
    candidates = []
    for row, visit in enumerate(visits):
        true_end_ms = end_ms if visit.departed_ms is None else visit.departed_ms
        for column, stay in enumerate(logged):
            from_ms, to_ms = _bounds(stay, end_ms)
            shared_ms = visit.overlap_ms(from_ms, to_ms, end_ms)
            together_ms = max(true_end_ms, to_ms) - min(visit.arrived_ms, from_ms)
            if shared_ms > 0 and shared_ms >= MIN_OVERLAP * together_ms:
                candidates.append((-shared_ms, row, column))
    rows: set[int] = set()
    columns: set[int] = set()
    pairs = []
    for _, row, column in sorted(candidates):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
    return pairs


def _measure(
    visit: Span, stay: LoggedStay, arrivals: list[float], departures: list[float], covered: list[bool]
) -> None:
    arrivals.append(abs(stay.arrived_ms - visit.arrived_ms) / 1000.0)
    covered.append(stay.arrived_earliest_ms <= visit.arrived_ms <= stay.arrived_latest_ms)
    if visit.departed_ms is not None and stay.departed_ms is not None:
        departures.append(abs(stay.departed_ms - visit.departed_ms) / 1000.0)
        earliest_ms, latest_ms = stay.departed_earliest_ms, stay.departed_latest_ms
        covered.append(
            earliest_ms is not None and latest_ms is not None and earliest_ms <= visit.departed_ms <= latest_ms
        )


def _quantile(values: Sequence[float], share: float) -> float | None:
    return round(float(np.quantile(values, share)), 1) if values else None
