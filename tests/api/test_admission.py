"""The door for backlogs: when one may come in, when it is told to come again, and that live pings pass it by."""

import asyncio
import gzip
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from api.ingest.admission import BACKLOG_BYTES, IN_WORK, LONGEST_S, WAITS_S, Backlogs, NotItsTurn, Turns
from schemas.topics import PINGS, Topic
from tests.api.conftest import Door
from tests.api.test_pings import GOOD, is_problem, ping
from tests.fakes import token_of

RATE: int = 1_000_000
BODY: int = 100_000


@dataclass
class Time:
    """Stands until somebody sleeps."""

    now_s: float = 1_000.0
    slept_s: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    def backlogs(self, bytes_per_s: int = RATE) -> Backlogs:
        return Backlogs(bytes_per_s, lambda: self.now_s, self.sleep)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def paced(door: Door, time: Time) -> Door:
    """A door that takes half a second's bytes at once, then one body of 100 kB each tenth of a second."""
    return with_backlogs(door, time.backlogs())


@pytest.fixture
def busy(paced: Door) -> Door:
    """The same whose turns are all taken, as far ahead as anybody waits."""
    asyncio.run(paced.app.state.services.backlogs.take_turn(10 * RATE))
    return paced


def with_backlogs(door: Door, backlogs: Backlogs) -> Door:
    door.app.state.services = replace(door.app.state.services, backlogs=backlogs)
    return door


def backlog(size: int = BODY) -> bytes:
    """So many bytes of JSON, a few pings among them."""
    body = json.dumps([ping(), ping(ts=1772439301000)]).encode()
    return body[:-1] + b" " * (size - len(body)) + b"]"


def test_turns_come_at_the_rate_after_a_burst() -> None:
    turns = Turns(RATE, RATE / 2)
    waits = [turns.take(BODY, 5.0, within_s=1.0) for _ in range(17)]
    assert waits[:6] == [0.0] * 6
    assert waits[6:16] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert waits[16] is None


def test_what_is_refused_takes_no_turn() -> None:
    turns = Turns(RATE, 0)
    assert turns.take(2 * RATE, 0.0, within_s=1.0) == 0.0
    assert [turns.take(BODY, 0.0, within_s=1.0) for _ in range(100)] == [None] * 100
    assert turns.take(BODY, 1.5, within_s=1.0) == pytest.approx(0.5)


def test_a_silence_saves_up_no_more_than_the_burst() -> None:
    turns = Turns(RATE, 2 * BODY)
    turns.take(BODY, 0.0, within_s=0.0)
    later = [turns.take(BODY, 3_600.0, within_s=0.0) for _ in range(4)]
    assert later == [0.0, 0.0, 0.0, None]


def test_what_a_body_grew_by_is_charged() -> None:
    turns = Turns(RATE, 0)
    turns.take(BODY, 0.0, within_s=1.0)
    turns.charge(4 * BODY)
    assert turns.take(BODY, 0.0, within_s=1.0) == pytest.approx(0.5)


def test_promises_follow_one_another_by_size() -> None:
    turns = Turns(RATE, 0)
    turns.take(BODY, 0.0, within_s=0.0)
    promised = [turns.promise(size, 0.0, 60.0) for size in (BODY, 3 * BODY, BODY)]
    assert promised == pytest.approx([0.1, 0.2, 0.5])


def test_old_promises_are_forgotten() -> None:
    turns = Turns(RATE, 0)
    for _ in range(100):
        turns.promise(BODY, 0.0, 60.0)
    assert turns.promise(BODY, 8.0, 60.0) == pytest.approx(2.0)
    assert turns.promise(BODY, 100.0, 60.0) == 0.0


def test_promises_past_the_longest_are_spread_over_its_second_half() -> None:
    turns = Turns(RATE, 0)
    promised = [turns.promise(RATE, 0.0, 60.0) for _ in range(200)]
    assert max(promised) <= 60.0
    assert max(Counter(promised).values()) <= 6
    assert promised[61:122] == [30.0, *(30.0 + k for k in range(1, 31)), *(30.0 + k for k in range(30))]


def told_s(backlogs: Backlogs) -> int:
    with pytest.raises(NotItsTurn) as refusal:
        asyncio.run(backlogs.take_turn(BODY))
    return refusal.value.retry_after_s


def test_a_near_turn_is_waited_for(time: Time) -> None:
    backlogs = time.backlogs()
    asyncio.run(backlogs.take_turn(3 * RATE // 2))
    asyncio.run(backlogs.take_turn(BODY))
    assert time.slept_s == pytest.approx([WAITS_S])


def test_a_thousand_who_are_refused_come_back_one_after_another(time: Time) -> None:
    backlogs = time.backlogs()
    asyncio.run(backlogs.take_turn(10 * RATE))
    told = [told_s(backlogs) for _ in range(1_000)]
    assert told[:400] == sorted(told[:400])
    assert told[0] == 10
    assert max(told) == LONGEST_S
    # Ten bodies a second are let in; of those who were told less than the longest no more come in any second.
    assert max(Counter(told[:490]).values()) <= RATE // BODY + 1


def test_zero_is_no_limit(time: Time) -> None:
    backlogs = time.backlogs(bytes_per_s=0)
    for _ in range(1_000):
        asyncio.run(backlogs.take_turn(RATE))
    assert not time.slept_s


def test_one_backlog_is_in_work_and_a_few_wait(time: Time) -> None:
    backlogs = time.backlogs()

    async def use() -> None:
        working = most = 0

        async def work() -> None:
            nonlocal working, most
            async with backlogs.work():
                working += 1
                most = max(most, working)
                await asyncio.sleep(0)
                working -= 1

        waiting = [asyncio.create_task(work()) for _ in range(IN_WORK)]
        await asyncio.sleep(0)
        with pytest.raises(NotItsTurn) as refusal:
            await backlogs.take_turn(BODY)
        assert refusal.value.reason == "work"
        assert refusal.value.retry_after_s >= 1
        await asyncio.gather(*waiting)
        assert most == 1
        await backlogs.take_turn(BODY)

    asyncio.run(use())


# Over HTTP.


async def answer_of(
    door: Door, headers: dict[str, str], body: AsyncIterator[bytes] | None
) -> tuple[int, dict[str, str]]:
    """The status and headers of the answer to a post whose body is not there to be read (None), or comes in chunks."""

    async def receive() -> dict[str, Any]:
        assert body is not None, "the body was read"
        chunk = await anext(body, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    all_headers = {"authorization": f"Bearer {token_of('device')}", "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/pings",
        "raw_path": b"/v1/pings",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in all_headers.items()],
    }
    await door.app(scope, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


async def chunks(body: bytes, size: int = 16 * 1024) -> AsyncIterator[bytes]:
    for first in range(0, len(body), size):
        yield body[first : first + size]


def refused(door: Door) -> dict[str, float]:
    """By reason."""
    lines = [
        line for line in door.get("/metrics").text.splitlines() if line.startswith("onsite_backlogs_refused_total{")
    ]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def test_a_backlog_is_refused_before_its_body_is_read(busy: Door) -> None:
    status, headers = asyncio.run(answer_of(busy, {"content-length": str(BODY)}, None))
    assert (status, headers["retry-after"]) == (429, "10")
    assert "connection" not in headers
    assert refused(busy) == {"rate": 1.0}


def test_a_client_that_asks_first_is_told_that_the_connection_ends(busy: Door) -> None:
    asks = {"content-length": str(BODY), "expect": "100-continue"}
    status, headers = asyncio.run(answer_of(busy, asks, None))
    assert (status, headers["connection"]) == (429, "close")


def test_the_answer_is_a_problem(busy: Door) -> None:
    answer = busy.post("/v1/pings", content=backlog())
    assert is_problem(answer, 429, "not_its_turn")
    assert answer.json()["detail"].endswith("in 10 s")
    assert not busy.log.records


def test_live_pings_pass_whatever_waits(busy: Door, time: Time) -> None:
    for _ in range(20):
        assert busy.post("/v1/pings", content=backlog()).status_code == 429
        assert busy.post("/v1/pings", json=[GOOD] * 50).status_code == 202
        assert busy.post("/v1/pings", content=backlog(BACKLOG_BYTES)).status_code == 202
    assert not time.slept_s


def test_backlogs_wait_for_a_near_turn_and_are_let_in(paced: Door, time: Time) -> None:
    began_s = time.now_s
    for _ in range(26):
        assert paced.post("/v1/pings", content=backlog()).json() == {"accepted": 2, "rejected": []}
    assert time.now_s - began_s == pytest.approx(2.0)
    assert refused(paced) == {}


def test_without_a_length_a_body_counts_once_it_has_grown(busy: Door) -> None:
    read = 0

    async def counted(body: bytes) -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in chunks(body):
            read += len(chunk)
            yield chunk

    status, headers = asyncio.run(answer_of(busy, {"transfer-encoding": "chunked"}, counted(backlog(10 * BODY))))
    assert (status, headers["retry-after"]) == (429, "10")
    assert read <= BACKLOG_BYTES + 16 * 1024
    status, _ = asyncio.run(answer_of(busy, {"transfer-encoding": "chunked"}, counted(backlog(BACKLOG_BYTES))))
    assert status == 202


def test_gzip_counts_as_what_it_unpacks_to(paced: Door, time: Time) -> None:
    packed = gzip.compress(backlog(10 * BODY))
    assert len(packed) < BACKLOG_BYTES
    headers = {"Content-Encoding": "gzip"}
    assert paced.post("/v1/pings", content=packed, headers=headers).status_code == 202
    assert paced.post("/v1/pings", content=packed, headers=headers).status_code == 202
    assert time.slept_s == pytest.approx([0.5])
    paced.app.state.services.backlogs.charge(RATE)
    assert is_problem(paced.post("/v1/pings", content=packed, headers=headers), 429, "not_its_turn")


def test_a_large_gzip_body_is_charged_for_what_it_unpacks_to(paced: Door, time: Time) -> None:
    noise = random.Random(5).randbytes(BODY).hex()
    body = json.dumps([ping(note=noise)]).encode()
    packed = gzip.compress(body + b" " * (10 * BODY - len(body)))
    assert BODY < len(packed) < 2 * BODY
    assert paced.post("/v1/pings", content=packed, headers={"Content-Encoding": "gzip"}).status_code == 202
    assert paced.post("/v1/pings", content=backlog()).status_code == 202
    assert time.slept_s == pytest.approx([0.5])


def test_a_body_said_to_be_huge_is_charged_as_the_largest(paced: Door) -> None:
    asyncio.run(answer_of(paced, {"content-length": str(10**12)}, chunks(b"[]")))
    status, headers = asyncio.run(answer_of(paced, {"content-length": str(BODY)}, None))
    assert (status, headers["retry-after"]) == (429, "2")


def test_a_log_without_room_refuses_unread(paced: Door) -> None:
    paced.log.full = True
    status, headers = asyncio.run(answer_of(paced, {"content-length": str(BODY)}, None))
    assert (status, headers["retry-after"]) == (503, "2")
    assert refused(paced) == {"log": 1.0}


def test_without_a_limit_all_come_in(door: Door, time: Time) -> None:
    with_backlogs(door, time.backlogs(bytes_per_s=0))
    for _ in range(30):
        assert door.post("/v1/pings", content=backlog(10 * BODY)).status_code == 202
    assert not time.slept_s


def test_live_pings_come_between_the_slices_of_a_backlog(paced: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []
    append, began = paced.log.append, asyncio.Event()

    async def noted(topic: Topic, records: Sequence[tuple[str, bytes | None]]) -> None:
        order.append(len(records))
        began.set()
        await asyncio.sleep(0)
        await append(topic, records)

    monkeypatch.setattr(paced.log, "append", noted)
    services = paced.app.state.services
    generous = services.settings.model_copy(update={"max_batch_pings": 5_000})
    paced.app.state.services = replace(services, settings=generous)
    many, one = json.dumps([GOOD] * 5_000).encode(), json.dumps(GOOD).encode()

    async def use() -> None:
        large = asyncio.create_task(answer_of(paced, {"content-length": str(len(many))}, chunks(many)))
        await began.wait()
        for _ in range(3):
            assert (await answer_of(paced, {"content-length": str(len(one))}, chunks(one)))[0] == 202
        assert not large.done()
        assert (await large)[0] == 202

    asyncio.run(use())
    assert order.count(1) == 3
    assert order[-1] == max(order) == 500
    assert len(paced.log.records[PINGS.name]) == 5_003
