"""Which deliveries go out next: those that are due, within limits, and receivers that hang are in nobody's way."""

from dispatch.events import test_event as event_for
from schemas.times import Instant
from stream.notify.outbox import Outbox, Pending


def pending(webhook_id: str, nonce: int, due_ms: int = 0) -> Pending:
    return Pending(webhook_id, event_for(webhook_id, None, str(nonce), Instant(0)), due_ms, 0)


def names(found: list[Pending]) -> list[str]:
    return [each.webhook_id for each in found]


def test_what_is_due_goes_out_in_turn_and_within_limits() -> None:
    outbox = Outbox(parallel=5, parallel_each=2)
    for number in range(4):
        outbox.put(pending("a", number))
    outbox.put(pending("b", 0))
    outbox.put(pending("c", 0, due_ms=100))
    first = list(outbox.take(0))
    assert names(first) == ["a", "b", "a"]
    assert list(outbox.take(0)) == []
    assert outbox.back(first[0], failed=False)
    outbox.remove(first[0])
    assert sorted(names(list(outbox.take(100)))) == ["a", "c"]
    assert len(outbox) == 5


def test_to_a_receiver_that_fails_one_at_a_time_and_half_of_all_at_most() -> None:
    outbox = Outbox(parallel=4, parallel_each=4)
    for name in "abcd":
        outbox.put(pending(name, 0))
    for each in list(outbox.take(0)):
        assert outbox.back(each, failed=True)
        outbox.put(pending(each.webhook_id, 0, due_ms=10_000))
    for name in "abcd":
        for number in range(1, 3):
            outbox.put(pending(name, number))
    outbox.put(pending("well", 0))
    outbox.put(pending("well", 1))
    assert names(list(outbox.take(0))) == ["a", "b", "well", "well"]


def test_a_delivery_that_is_replaced_while_under_way_goes_out_again() -> None:
    outbox = Outbox(4, 4)
    outbox.put(pending("a", 0))
    [first] = outbox.take(0)
    again = pending("a", 0)
    outbox.put(again)
    assert list(outbox.take(0)) == []
    assert not outbox.has(first)
    assert not outbox.back(first, failed=False)
    assert list(outbox.take(0)) == [again]
    assert outbox.back(again, failed=False)
    outbox.remove(again)
    assert (len(outbox), list(outbox.take(0))) == (0, [])


def test_one_that_is_tried_again_waits_until_then() -> None:
    outbox = Outbox(4, 4)
    outbox.put(pending("a", 0))
    [first] = outbox.take(0)
    assert outbox.back(first, failed=True)
    outbox.put(pending("a", 0, due_ms=50))
    assert list(outbox.take(49)) == []
    assert len(list(outbox.take(50))) == 1
    assert first.key in outbox
    assert outbox.waiting_for("a") == 1


def test_nobody_waits_while_others_have_their_turn_again() -> None:
    outbox = Outbox(parallel=1, parallel_each=1)
    for name in "abc":
        for number in range(3):
            outbox.put(pending(name, number))
    order = []
    for _ in range(9):
        [each] = outbox.take(0)
        order.append(each.webhook_id)
        assert outbox.back(each, failed=False)
        outbox.remove(each)
    assert order == ["a", "b", "c"] * 3
