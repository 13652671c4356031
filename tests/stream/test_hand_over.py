"""Frames handed over together: acknowledged once taken, and left to come again where partitions change hands."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.topics import JOBS
from stream import framed
from stream.framed import FramedApp, PartitionsLostError


@dataclass
class Event:
    value: str
    generation_id: int = 1
    is_acked: bool = False
    message: Any = field(init=False)

    def __post_init__(self) -> None:
        self.message = SimpleNamespace(generation_id=self.generation_id)

    def ack(self) -> None:
        self.is_acked = True


class App(FramedApp):
    """As much of one as handing over asks for."""

    def __init__(self) -> None:
        self.is_active, self.generation = True, 1
        self.reasons: list[Exception] = []
        self.conf = SimpleNamespace(id="app")

    @property
    def flow_control(self) -> Any:
        return SimpleNamespace(is_active=lambda: self.is_active)

    @property
    def consumer_generation_id(self) -> int:
        return self.generation

    async def crash(self, reason: BaseException) -> None:
        self.reasons.append(cast(Exception, reason))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framed, "GATHERED_FOR_S", 0.0)
    monkeypatch.setattr(framed, "REBALANCE_SEEN_AFTER_S", 0.0)


def handed_over(app: App, events: list[Event], lost: str | None = None) -> list[list[str]]:
    """What comes of it where partitions are lost: None, "found out" or "not explained"."""
    taken: list[list[str]] = []

    async def on_frames(frames: Sequence[Any]) -> None:
        taken.append(list(frames))
        if lost == "found out":
            app.generation += 1
        if lost is not None:
            raise PartitionsLostError("gone")

    async def run() -> None:
        await app._hand_over(JOBS, cast(Any, list(events)), on_frames)
        await asyncio.sleep(0)

    asyncio.run(run())
    return taken


def test_all_that_wait_are_taken_together_and_acknowledged() -> None:
    app, events = App(), [Event("a"), Event("b")]
    assert handed_over(app, events) == [["a", "b"]]
    assert [each.is_acked for each in events] == [True, True]
    assert app.reasons == []


@pytest.mark.parametrize("is_active", [True, False])
def test_what_came_before_a_rebalance_is_left_to_come_again(is_active: bool) -> None:
    app, events = App(), [Event("old", 0), Event("new")]
    app.is_active = is_active
    assert handed_over(app, events) == ([["new"]] if is_active else [])
    assert [each.is_acked for each in events] == [False, is_active]


def test_partitions_lost_to_a_rebalance_end_nothing() -> None:
    app, events = App(), [Event("a")]
    assert handed_over(app, events, "found out") == [["a"]]
    assert (events[0].is_acked, app.reasons) == (False, [])


def test_partitions_lost_to_nothing_known_end_the_process() -> None:
    app, events = App(), [Event("a")]
    handed_over(app, events, "not explained")
    assert not events[0].is_acked
    assert [str(each) for each in app.reasons] == ["gone"]
