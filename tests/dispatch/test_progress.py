import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dispatch.lifecycle import BUILT_IN, PATHS
from dispatch.progress import job_log, measured, stays_of
from dispatch.rules import DispatchRules
from schemas.job import Approach, Evidence, JobRecord, Word
from schemas.times import Instant
from tests.dispatch.examples import minute

RULES = DispatchRules(return_within_s=900.0)

spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60), st.booleans()), max_size=4)


def evidence_of(device_id: str, drawn: list[tuple[int, int, bool]]) -> Evidence:
    """Approaches that follow one another: so long on the way, so long there; the last one may still be there."""
    approaches, now = [], 0
    for number, (pause, stay, is_open) in enumerate(drawn):
        left, arrived = now + pause // 2, now + pause
        departed = None if is_open and number == len(drawn) - 1 else arrived + stay
        approaches.append(
            Approach(minute(left), f"{device_id}-{number}", minute(arrived), departed and minute(departed), stay * 60.0)
        )
        now = arrived + stay
    return Evidence(device_id, "amina", approaches, minute(1_000))


@st.composite
def records(draw: st.DrawFn) -> JobRecord:
    """A job with words along the table and the rounds of two devices."""
    words = [Word("created", minute(0), minute(0), "dispatcher", "office", from_state="created")]
    at = 0
    for step in draw(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 90)), max_size=5)):
        at += step[1]
        targets = PATHS[words[-1].state]
        words.append(
            Word(
                targets[step[0] % len(targets)],
                minute(at),
                minute(at),
                "dispatcher",
                "office",
                from_state=words[-1].state,
            )
        )
    rounds = [evidence_of(device_id, draw(spans)) for device_id in ("van-1", "van-2")]
    return JobRecord(
        job_id="job-1",
        revision=1,
        created_at=Instant(0),
        updated_at=Instant(0),
        state="created",
        words=words,
        evidence=rounds,
    )


@given(records())
def test_no_word_is_lost_and_positions_follow_the_table(record: JobRecord) -> None:
    log = job_log(record, BUILT_IN, RULES)
    assert [entry for entry in log if entry.source != "automatic"] == [word.entry() for word in record.words]
    steps = {"en_route": "leaving", "on_site": "arriving", "completed": "departing"}
    for before, entry in itertools.pairwise(log):
        if entry.source == "automatic":
            assert BUILT_IN.follows(before.state, steps[entry.state])  # type: ignore[arg-type]


@given(records())
def test_nothing_moves_on_after_a_word_that_ends_the_job(record: JobRecord) -> None:
    if record.words[-1].state in ("cancelled", "rejected", "completed", "invoiced"):
        assert job_log(record, BUILT_IN, RULES)[-1] == record.words[-1].entry()


@given(records(), st.randoms())
def test_the_order_of_evidence_is_of_no_account(record: JobRecord, random: Any) -> None:
    log = job_log(record, BUILT_IN, RULES)
    evidence = [
        Evidence(
            each.device_id, each.technician_id, random.sample(each.approaches, len(each.approaches)), minute(1_000)
        )
        for each in random.sample(record.evidence, len(record.evidence))
    ]
    shuffled = JobRecord(
        **{name: getattr(record, name) for name in record.__struct_fields__ if name not in ("evidence", "log")},
        evidence=evidence,
        log=log,
    )
    assert job_log(shuffled, BUILT_IN, RULES) == log


@given(spans, spans)
def test_stays_are_the_minutes_in_which_somebody_was_there(one: list[Any], other: list[Any]) -> None:
    """The oracle: minute by minute, gaps of up to a quarter of an hour filled."""
    rounds = [evidence_of("van-1", one), evidence_of("van-2", other)]
    last = 3_000
    there = [False] * last
    for each in itertools.chain(*(evidence.approaches for evidence in rounds)):
        assert each.arrived_ms is not None
        end = last if each.departed_ms is None else each.departed_ms // 60_000
        there[each.arrived_ms // 60_000 : end] = [True] * (end - each.arrived_ms // 60_000)
    runs = [(key, len(list(group))) for key, group in itertools.groupby(there)]
    expected: list[list[int]] = []
    at = 0
    for is_there, length in runs:
        if is_there and expected and at - expected[-1][1] <= 15:
            expected[-1][1] = at + length
        elif is_there:
            expected.append([at, at + length])
        at += length
    found = [
        [stay.arrived_ms // 60_000, last if stay.departed_ms is None else stay.departed_ms // 60_000]
        for stay in stays_of(rounds, RULES.return_within_s)
    ]
    assert found == expected


@given(records())
def test_time_on_site_is_the_minutes_of_any_device(record: JobRecord) -> None:
    found = measured(record)
    minutes: set[int] = set()
    for each in itertools.chain(*(evidence.approaches for evidence in record.evidence)):
        assert each.arrived_ms is not None
        minutes |= set(range(each.arrived_ms // 60_000, round((each.arrived_ms / 1000 + each.on_site_s) / 60)))
    assert (found.on_site_s or 0.0) == 60.0 * len(minutes)
