import pytest

from benchmarks import accuracy, accuracy_sets, worst_cases
from benchmarks.accuracy_sets import World
from benchmarks.baselines import PlainStay
from simulator.score import Case, compare
from simulator.truth import Span

HOUR_MS = 3_600_000


def found(error_ms: int) -> Case:
    span = Span("van", "site", "visit", 0, HOUR_MS)
    return Case("van", "site", "found", span, PlainStay("site", error_ms, HOUR_MS + 1))


def missed(lasted_ms: int | None) -> Case:
    return Case("van", "site", "missed", Span("van", "site", "visit", 0, lasted_ms), None)


def test_wrong_visits_by_length_then_edges_by_error():
    invented = Case("van", "site", "invented", None, PlainStay("site", 0, 5))
    cases = [found(10), missed(100), found(-400), missed(None), found(30), invented]
    chosen = worst_cases.worst(cases, end_ms=10 * HOUR_MS, count=4)
    assert chosen == [missed(None), invented, found(-400), found(30)]


def test_without_wrong_visits_the_edges_fill_the_count():
    assert worst_cases.worst([found(1), found(3), found(2)], HOUR_MS, count=2) == [found(3), found(2)]


def test_the_error_of_a_case_is_its_worse_edge():
    assert worst_cases.edge_error_ms(found(0)) == 1
    assert worst_cases.edge_error_ms(found(-400)) == 400
    assert worst_cases.edge_error_ms(missed(5)) == 0


def test_pictures_take_the_place_of_older_ones(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib draws them")
    (tmp_path / "99-old.png").write_bytes(b"")
    labelled = accuracy_sets.simulated(World(), seeds=(7,), technicians=1)
    log = accuracy.log_of("point_in_polygon", labelled)
    worst_cases.draw(tmp_path, labelled, log, compare(labelled.truth, log, labelled.end_ms), count=2)
    drawn = sorted(tmp_path.iterdir())
    assert [path.name[:2] for path in drawn] == ["01", "02"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
