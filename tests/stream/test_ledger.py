"""The notices of a partition, as they were written and as they are."""

import msgspec

from schemas.times import Instant
from schemas.wire import encode
from stream.notify.ledger import Going, Ledger, going
from stream.notify.outbox import Outbox
from tests.api.test_notices import noticed


def test_what_waits_and_what_is_over() -> None:
    waiting = noticed("j1", 1, status="pending", channel="mail", due_at=Instant(5))
    over = noticed("j1", 2)
    ledger = Ledger({each.notice_id: encode(each) for each in (waiting, over)})
    assert ledger.pending == {waiting.notice_id: waiting}
    assert sorted(each.notice_id for each in ledger.notices_of("j1")) == ["j1-1", "j1-2"]
    assert ledger.notices_of("j2") == []
    assert (ledger.waits_for("j1"), ledger.waits_for("j2")) == (True, False)
    sent = msgspec.structs.replace(waiting, status="sent")
    ledger.keep(sent, encode(sent))
    assert ledger.pending == {}
    assert {each.status for each in ledger.notices_of("j1")} == {"sent"}


def test_a_notice_waits_for_its_channel_once() -> None:
    outbox: Outbox[Going] = Outbox(4, 4)
    waiting = noticed("j1", 1, status="pending", channel="mail", due_at=Instant(5))
    for _ in range(2):
        outbox.put(going(waiting, 3))
    assert (len(outbox), outbox.waiting_for("mail")) == (1, 1)
    assert list(outbox.take(4)) == []
    assert [each.notice_id for each in outbox.take(5)] == [waiting.notice_id]


def test_what_is_folded_stays_known_and_goes_on() -> None:
    told = [noticed("j1", number) for number in range(1, 9)]
    ledger = Ledger({each.notice_id: encode(each) for each in told})
    as_written = sum(len(encode(each)) for each in told)
    ledger.fold("j1")
    ledger.fold("j2")
    assert ledger.open_jobs == []
    assert len(ledger._folded["j1"]) < as_written / 4
    assert ledger.notices_of("j1") == told
    assert ledger.open_jobs == [], "looking does not unfold"
    again = msgspec.structs.replace(told[2], recipient_id=None)
    ledger.keep(again, encode(again))
    assert ledger.notices_of("j1") == [*told[:2], again, *told[3:]]
    ledger.fold("j1")
    assert sorted(ledger.forget("j1")) == [each.notice_id for each in told]
    assert ledger.notices_of("j1") == []
    assert ledger.forget("j1") == []
