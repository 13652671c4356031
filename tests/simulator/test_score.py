from dataclasses import dataclass

import pytest

from simulator.score import score
from simulator.truth import Span

MINUTE_MS = 60_000
END_MS = 600 * MINUTE_MS


@dataclass
class Logged:
    fence_id: str
    arrived_ms: int
    departed_ms: int | None
    arrived_earliest_ms: int
    arrived_latest_ms: int
    departed_earliest_ms: int | None
    departed_latest_ms: int | None


def logged(from_min: float, to_min: float | None, fence_id: str = "site", width_s: int = 30) -> tuple[str, Logged]:
    arrived_ms = round(from_min * MINUTE_MS)
    departed_ms = None if to_min is None else round(to_min * MINUTE_MS)
    width_ms = width_s * 1000
    return "van", Logged(
        fence_id,
        arrived_ms,
        departed_ms,
        arrived_ms - width_ms,
        arrived_ms + width_ms,
        None if departed_ms is None else departed_ms - width_ms,
        None if departed_ms is None else departed_ms + width_ms,
    )


def span(from_min: float, to_min: float | None, kind: str = "visit", fence_id: str = "site") -> Span:
    departed_ms = None if to_min is None else round(to_min * MINUTE_MS)
    return Span("van", fence_id, kind, round(from_min * MINUTE_MS), departed_ms)


TRUTH = [span(0, 30), span(100, 160), span(300, 302, "pass"), span(400, 402, "disputed"), span(500, None)]
PERFECT = [logged(0, 30), logged(100, 160), logged(500, None)]


def test_a_perfect_log():
    result = score(TRUTH, PERFECT, END_MS)
    assert (result.true, result.found, result.missed, result.invented, result.split) == (3, 3, 0, 0, 0)
    assert result.f1 == 1.0
    assert result.coverage == 1.0
    assert (result.arrival_p50_s, result.departure_p90_s) == (0.0, 0.0)


def test_an_empty_log_misses_everything():
    result = score(TRUTH, [], END_MS)
    assert (result.found, result.missed, result.f1) == (0, 3, 0.0)
    assert result.arrival_p50_s is None
    assert result.coverage is None


def test_a_visit_at_a_pass_is_invented_and_counts_against_the_pass():
    result = score(TRUTH, [*PERFECT, logged(299, 303)], END_MS)
    assert (result.found, result.invented, result.false_per_pass) == (3, 1, 1.0)
    assert result.f1 == pytest.approx(6 / 7)


def test_a_visit_where_nobody_was_is_invented():
    result = score(TRUTH, [*PERFECT, logged(200, 220), logged(0, 30, fence_id="elsewhere")], END_MS)
    assert (result.found, result.invented, result.false_per_pass) == (3, 2, 0.0)


def test_a_stay_in_pieces_is_found_once_and_split():
    result = score(TRUTH, [logged(0, 30), logged(100, 125), logged(127, 160), logged(500, None)], END_MS)
    assert (result.found, result.split, result.invented) == (3, 1, 0)
    assert result.f1 == pytest.approx(6 / 7)


def test_a_disputed_span_counts_neither_way():
    assert score(TRUTH, [*PERFECT, logged(400, 402)], END_MS) == score(TRUTH, PERFECT, END_MS)


def test_a_visit_that_swallows_the_day_finds_nothing_small():
    result = score([span(100, 130)], [logged(0, 590)], END_MS)
    assert (result.found, result.missed, result.split) == (0, 1, 1)


def test_errors_and_coverage_of_the_edges():
    log = [logged(1, 29, width_s=30), logged(100.5, 160, width_s=60), logged(500, None)]
    result = score(TRUTH, log, END_MS)
    assert result.arrival_p50_s == 30.0
    assert result.departure_p50_s == 30.0
    assert result.coverage == pytest.approx(3 / 5)


def test_devices_are_told_apart():
    _, visit = logged(0, 30)
    result = score([span(0, 30)], [("another van", visit)], END_MS)
    assert (result.found, result.missed, result.invented) == (0, 1, 1)
