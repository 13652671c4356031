"""Delivery: retries what may work later, gives up on what never will, and counts."""

import asyncio
from collections.abc import Callable

import httpx
import msgspec
import pytest

from infra import delivery
from infra.delivery import Delivery, Tally
from infra.errors import CommandError
from schemas.ping import Ping

PINGS = [Ping("d", 1_772_439_300_000 + i, 1.0, 2.0) for i in range(3)]
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time here."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(delivery.asyncio, "sleep", sleep)
    return waited


def post(answers: list[httpx.Response | Exception]) -> Tally:
    """The tally after one batch was posted to a system that answers so, the last answer for ever."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer t"
        assert msgspec.json.Decoder(Ping).decode_lines(request.content) == PINGS
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> Tally:
        sender = Delivery("http://onsite", "t", httpx.MockTransport(handle))
        try:
            await sender.post(PINGS)
        finally:
            await sender.close()
        return sender.tally

    return asyncio.run(run())


def accepted(count: int, *reasons: str) -> httpx.Response:
    rejected = [{"index": i, "reason": reason} for i, reason in enumerate(reasons)]
    return httpx.Response(202, json={"accepted": count, "rejected": rejected})


def test_what_is_accepted_and_rejected_is_counted() -> None:
    tally = post([accepted(1, "bad_time: x", "bad_time: y")])
    assert (tally.accepted, dict(tally.rejected), tally.undelivered) == (1, {"bad_time": 2}, 0)


@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.Response(429), httpx.ConnectError("refused")])
def test_what_may_work_later_is_tried_again(failure: httpx.Response | Exception) -> None:
    tally = post([failure, failure, accepted(3)])
    assert (tally.accepted, tally.undelivered, tally.repeated) == (3, 0, 2)


def test_retry_after_is_honoured_within_bounds(waits: list[float]) -> None:
    slow = httpx.Response(503, headers={"Retry-After": "7"})
    for_ever = httpx.Response(503, headers={"Retry-After": "86400"})
    someday = httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    post([slow, for_ever, someday, accepted(3)])
    assert 7 <= waits[1] <= 8
    assert 60 <= waits[2] <= 61
    assert waits[3] < 7


def test_what_never_works_is_given_up_and_counted() -> None:
    tally = post([httpx.Response(503, json={"detail": "the broker does not answer"})])
    assert (tally.accepted, tally.undelivered) == (0, 3)
    assert tally.last_failure == "503 Service Unavailable: the broker does not answer"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_will_never_be_taken_is_told_at_once(status: int, waits: list[float]) -> None:
    with pytest.raises(CommandError, match=f"{status} .*: why"):
        post([httpx.Response(status, json={"detail": "why"})])
    assert len(waits) == 1
