"""Which moments of which devices were erased, and what of a device's rounds goes with them."""

from dispatch.erased import ErasedSpans
from dispatch.rounds import Candidate, DeviceRounds, Heading, Stop
from dispatch.rules import DispatchRules
from schemas.erasure import ErasedSpan, Erasure, is_telling, mark_of
from schemas.job import Assignment
from schemas.times import Instant
from stream.foreman.patrol import Patrol

MINUTE_MS = 60_000
RULES = DispatchRules()


def erasure(*spans: tuple[str, int, int]) -> Erasure:
    erased = [ErasedSpan(mark_of("device", name), Instant(from_ms), Instant(to_ms)) for name, from_ms, to_ms in spans]
    return Erasure(erasure_id="e", kind="technician", person="x", at=Instant(0), spans=erased)


def spans_of(*spans: tuple[str, int, int]) -> ErasedSpans:
    found = ErasedSpans()
    found.changed("e", erasure(*spans))
    return found


def test_a_span_has_its_beginning_and_not_its_end() -> None:
    spans = spans_of(("van", 10, 20), ("van", 30, 40), ("phone", 0, 5))
    assert [at_ms for at_ms in range(45) if spans.covers("van", at_ms)] == [*range(10, 20), *range(30, 40)]
    assert spans.covers("phone", 4)
    assert not spans.covers("other", 15)


def test_erasures_come_change_and_go() -> None:
    spans = ErasedSpans()
    assert not spans
    spans.changed("e", erasure(("van", 0, 10)))
    spans.changed("f", erasure(("van", 20, 30)))
    assert spans
    assert spans.covers("van", 5)
    assert spans.covers("van", 25)
    spans.changed("e", None)
    assert not spans.covers("van", 5)
    assert spans.covers("van", 25)


def test_what_names_one_person() -> None:
    telling = ["Amina Okafor", "Okafor-Lindqvist", "+44 1", "a@example.com"]
    assert all(is_telling(word) for word in telling)
    assert not any(is_telling(word) for word in ("Amina", "José"))


def stop(visit_id: str, arrived: int, departed: int | None) -> Stop:
    departed_ms = None if departed is None else departed * MINUTE_MS
    return Stop(visit_id, "yard", "closed" if departed else "confirmed", 1, arrived * MINUTE_MS, departed_ms, 600.0)


def candidate(technician_id: str) -> Candidate:
    window = 0, 600 * MINUTE_MS
    whose = (Assignment(technician_id),)
    return Candidate(f"job-{technician_id}", "yard", 53.4, -2.9, *window, "normal", 0, whose)


def news(rounds: DeviceRounds, technician_id: str, minute: int) -> list[tuple[str, int]]:
    told = rounds.news(technician_id, [candidate(technician_id)], RULES, moves=True, now_ms=Instant(minute * MINUTE_MS))
    return [(job_id, len(evidence.approaches)) for job_id, evidence in told]


def driven() -> DeviceRounds:
    """Amina is at her job for an hour, and after her Ben is at his."""
    rounds = DeviceRounds("van", place=(53.4, -2.9))
    rounds.hear(stop("hers", 20, 80))
    assert news(rounds, "amina", 90) == [("job-amina", 1)]
    return rounds


def test_who_takes_a_van_over_takes_nothing_back_of_what_was_told() -> None:
    rounds = driven()
    assert news(rounds, "ben", 100) == [("job-ben", 1)], "the visit fits his job as well; hers keeps it"
    assert news(rounds, "ben", 101) == []
    assert rounds.told["job-amina"].technician_id == "amina"


def test_of_rounds_what_was_erased_goes_and_the_rest_stays() -> None:
    rounds = driven()
    rounds.heading = Heading("job-x", "hers")
    assert not rounds.forget_erased(spans_of(("van", 0, 20 * MINUTE_MS), ("phone", 0, 90 * MINUTE_MS)))
    assert rounds.forget_erased(spans_of(("van", 0, 85 * MINUTE_MS)))
    assert (rounds.stops, rounds.told, rounds.place, rounds.heading) == ({}, {}, None, None)
    assert news(rounds, "ben", 100) == [], "there is nothing to be taken back"
    rounds.hear(stop("bens", 100, None))
    rounds.place = (53.4, -2.9)
    assert news(rounds, "ben", 110) == [("job-ben", 1)]
    assert not rounds.forget_erased(spans_of(("van", 0, 85 * MINUTE_MS)))
    assert rounds.place is not None


def test_a_patrol_writes_what_is_left_and_names_the_devices_of_which_nothing_is() -> None:
    both = driven()
    both.hear(stop("bens", 100, None))
    alone = DeviceRounds("phone", stops={"v": stop("v", 1, 2)})
    other = DeviceRounds("other", stops={"v": stop("v", 1, 2)})
    patrol = Patrol(None, RULES, {"van": both, "phone": alone, "other": other})  # type: ignore[arg-type]
    gone = patrol.forget_erased(spans_of(("van", 0, 85 * MINUTE_MS), ("phone", 0, 85 * MINUTE_MS)))
    assert gone == ["phone"]
    assert [rounds.device_id for rounds in patrol.take_changed()] == ["van"]
    assert set(patrol.rounds) == {"van", "other"}
