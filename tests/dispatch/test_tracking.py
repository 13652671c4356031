"""Tracking links: what a token says and that it cannot be made up, and records of which none is lost."""

import base64
import functools
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.lifecycle import BUILT_IN, PATHS, Lifecycle, OwnState
from dispatch.tracking import (
    GOOD_MS,
    TrackingLinks,
    customer_state,
    is_of_nobody,
    merged,
    read_token,
    struck,
    token_of,
    until_ms,
)
from schemas import wire
from schemas.job import JobRecord, LogEntry
from schemas.times import Instant
from schemas.tracking import CustomerMessage, TrackingRecord

KEY: Final = b"k" * 32
NOON_MS: Final = 1_772_452_800_000

job_ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)
generations = st.integers(0, 200_000)
moments_s = st.integers(0, 253_402_300_799)


def job(**fields: object) -> JobRecord:
    plain = JobRecord(
        job_id="job-4711", revision=1, created_at=Instant(NOON_MS), updated_at=Instant(NOON_MS), state="scheduled"
    )
    return msgspec.structs.replace(plain, **fields)


@given(job_ids, generations, moments_s)
def test_a_token_says_what_was_put_into_it(job_id: str, generation: int, until_s: int) -> None:
    token = token_of(job_id, generation, until_s, KEY)
    read = read_token(token, KEY)
    assert (read.job_id, read.is_of(generation), read.is_of(generation + 1)) == (job_id, True, False)
    assert until_s <= read.until_s < until_s + 60
    assert token == token_of(job_id, generation, until_s, KEY), "the same again"


@given(job_ids, generations, moments_s, st.data())
def test_whatever_bit_is_flipped_it_is_refused(job_id: str, generation: int, until_s: int, data: st.DataObject) -> None:
    token = token_of(job_id, generation, until_s, KEY)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    place = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[place // 8] ^= 1 << place % 8
    with pytest.raises(ValueError, match="not a token"):
        read_token(base64.urlsafe_b64encode(raw).decode().rstrip("="), KEY)


@given(st.data())
def test_whatever_character_is_changed_it_is_refused(data: st.DataObject) -> None:
    token = token_of("job-4711", 3, NOON_MS // 1000, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != token[place]))
    for changed in (token[:place] + other + token[place + 1 :], token[:place] + token[place + 1 :], token + other):
        with pytest.raises(ValueError, match="not a token"):
            read_token(changed, KEY)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_was_not_made_here_is_refused(token: str) -> None:
    for key in (KEY, b""):
        with pytest.raises(ValueError, match="not a token"):
            read_token(token, key)


def test_a_token_of_another_secret_is_refused() -> None:
    made = TrackingLinks(b"a secret").token_of(job(), 0)
    assert TrackingLinks(b"a secret").read(made).job_id == "job-4711"
    with pytest.raises(ValueError, match="not a token"):
        TrackingLinks(b"another").read(made)


def test_a_link_fits_into_a_short_message_and_is_the_same_wherever_it_is_made() -> None:
    one, other = (
        TrackingLinks(b"a secret", url) for url in ("https://track.example.com", "https://track.example.com/")
    )
    planned = job(job_id="5f1c2a9be07d4410", window_to_ms=Instant(NOON_MS))
    link = one.link_of(planned, 0)
    assert link == other.link_of(planned, 0)
    assert link.startswith("https://track.example.com/t/")
    assert len(link) <= 80
    assert TrackingLinks(b"a secret").link_of(planned, 0).startswith("/t/")


def test_it_is_good_until_two_weeks_after_the_window_or_what_happened_later() -> None:
    assert until_ms(job()) == NOON_MS + GOOD_MS
    promised = job(window_to_ms=Instant(NOON_MS + 5_000_000))
    assert until_ms(promised) == NOON_MS + 5_000_000 + GOOD_MS
    entry = LogEntry("on_site", Instant(NOON_MS + 1_000), Instant(NOON_MS), "automatic", "van-1")
    assert until_ms(msgspec.structs.replace(promised, log=[entry])) == until_ms(promised), "the link stays the same"
    late = LogEntry("completed", Instant(NOON_MS + 9_000_000), Instant(NOON_MS), "automatic", "van-1")
    assert until_ms(msgspec.structs.replace(promised, log=[entry, late])) == NOON_MS + 9_000_000 + GOOD_MS


def test_every_state_has_words_for_customers() -> None:
    assert {customer_state(state, BUILT_IN) for state in PATHS} == {
        "received", "scheduled", "on_the_way", "arrived", "unfinished", "completed", "cancelled",
    }  # fmt: skip
    own = Lifecycle.extended_by({"awaiting_parts": OwnState(("on_site",), ("completed",))})
    assert customer_state("awaiting_parts", own) == "arrived"


def test_a_job_of_a_customer_who_was_erased_is_nobodys() -> None:
    assert not is_of_nobody(job(customer_id="hill"))
    assert not is_of_nobody(job(erasures=["erased-1"]))
    assert is_of_nobody(job(customer_id="erased-1", erasures=["erased-0", "erased-1"]))


moments = st.integers(1, 6).map(lambda minute: Instant(NOON_MS + minute))
messages = st.builds(
    lambda text, at: CustomerMessage(f"id of {text}", text, at), st.sampled_from(["a", "b", "c"]), moments
)


@st.composite
def records(draw: st.DrawFn) -> TrackingRecord:
    rating = draw(st.none() | st.integers(1, 5))
    said = {each.message_id: each for each in draw(st.lists(messages, max_size=3))}
    record = TrackingRecord(
        job_id="j",
        updated_at=draw(moments),
        generation=draw(st.integers(0, 2)),
        revoked_at=draw(st.none() | moments),
        rating=rating,
        comment=None if rating is None else draw(st.none() | st.sampled_from(["good", "bad"])),
        rated_at=None if rating is None else draw(moments),
        messages=list(said.values()),
        struck_at=draw(st.none() | moments),
    )
    return merged(record, record)


@given(st.lists(records(), min_size=1, max_size=4), st.randoms())
def test_records_say_the_same_in_whatever_order_and_however_often(each: list[TrackingRecord], order: object) -> None:
    whole = functools.reduce(merged, each)
    again = [*each, *each]
    order.shuffle(again)  # type: ignore[attr-defined]
    assert functools.reduce(merged, again) == whole
    assert merged(whole, each[0]) == whole
    halves = functools.reduce(merged, each[::2]), functools.reduce(merged, each[1::2] or each[:1])
    assert merged(*halves) == whole


@given(st.lists(records(), min_size=1, max_size=4))
def test_nothing_that_was_said_or_revoked_is_lost(each: list[TrackingRecord]) -> None:
    """Against all of it side by side."""
    whole = functools.reduce(merged, each)
    struck_ms = max((record.struck_at or 0 for record in each), default=0)
    assert whole.generation == max(record.generation for record in each)
    texts = {message.text for record in each for message in record.messages if message.at > struck_ms}
    assert {message.text for message in whole.messages} == texts
    rated = [record for record in each if record.rated_at is not None]
    assert (whole.rating is None) == (not rated)
    if rated:
        assert whole.rated_at == max(record.rated_at or 0 for record in rated)
        assert whole.rating in {record.rating for record in rated if record.rated_at == whole.rated_at}
    if whole.rated_at is not None and whole.rated_at <= struck_ms:
        assert whole.comment is None


@given(records(), records())
def test_what_is_struck_does_not_come_back(record: TrackingRecord, later: TrackingRecord) -> None:
    gone = struck(record, Instant(NOON_MS + 60))
    assert (gone.comment, gone.messages) == (None, [])
    assert (gone.rating, gone.generation) == (record.rating, record.generation)
    kept = merged(gone, later)
    assert (kept.comment, kept.messages) == (None, []), "all of it was said before"
    assert merged(gone, record) == gone
    assert wire.decode(TrackingRecord, wire.encode(gone)) == gone
