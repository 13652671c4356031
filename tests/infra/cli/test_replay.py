"""What `onsite replay` plans to send, and when."""

import asyncio
from collections import Counter

import pytest

from infra.cli import replay
from schemas.ping import Ping

PINGS = [Ping("d", 1_772_439_300_000 + i * 1_000, 1.0, 2.0) for i in range(100)]


def test_as_recorded() -> None:
    assert replay._plan(PINGS, None, 0.0) == PINGS


def test_a_seed_gives_the_same_order_again() -> None:
    shuffled = replay._plan(PINGS, 7, 0.0)
    assert shuffled != PINGS
    assert sorted(shuffled, key=lambda ping: ping.ts_ms) == PINGS
    assert replay._plan(PINGS, 7, 0.0) == shuffled
    assert replay._plan(PINGS, 8, 0.0) != shuffled


def test_a_share_is_sent_twice() -> None:
    copies = Counter(ping.ts_ms for ping in replay._plan(PINGS, None, 0.3))
    assert set(copies) == {ping.ts_ms for ping in PINGS}
    assert set(copies.values()) == {1, 2}
    assert 10 < sum(copies.values()) - 100 < 50
    assert len(replay._plan(PINGS, None, 1.0)) == 200


@pytest.mark.parametrize("speed", [0.0, 10.0])
def test_each_ping_is_sent_when_it_is_due(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    now_s = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(replay.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(replay.asyncio, "sleep", sleep)
    sent: list[tuple[float, Ping]] = []

    async def collect() -> None:
        async for batch in replay._paced(PINGS, speed):
            sent.extend((now_s, ping) for ping in batch)

    asyncio.run(collect())
    assert [ping for _, ping in sent] == PINGS
    for at_s, ping in sent:
        due_s = (ping.ts_ms - PINGS[0].ts_ms) / 1000 / speed if speed else 0.0
        assert due_s <= at_s + 1e-9
        assert at_s <= due_s + 2 * replay._TICK_S
