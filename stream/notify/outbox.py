"""The deliveries that wait, by receiver, and which of them go out next. In memory; the table has the same."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from schemas.event import Event


class Waiting(Protocol):
    """Of a delivery what matters here: ``key`` begins with the ``lane`` and a slash."""

    @property
    def lane(self) -> str:
        """To whom it goes."""

    @property
    def key(self) -> str:
        """What tells it from others."""

    @property
    def due_ms(self) -> int:
        """When it goes out."""


T = TypeVar("T", bound=Waiting)


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A delivery that waits: ``attempt`` were made, the next is due at ``due_ms`` of the machine's clock (epoch ms)."""

    webhook_id: str
    event: Event
    due_ms: int
    partition: int
    attempt: int = 0

    @property
    def lane(self) -> str:
        """Its webhook."""
        return self.webhook_id

    @property
    def key(self) -> str:
        """Of the delivery: an event waits for a webhook once."""
        return key_of(self.webhook_id, self.event.id)


def key_of(webhook_id: str, event_id: str) -> str:
    """The key of a delivery."""
    return f"{webhook_id}/{event_id}"


@dataclass
class _Lane(Generic[T]):
    """A receiver's deliveries: those that wait, those under way, and whether the last one failed."""

    waiting: dict[str, T] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    is_failing: bool = False

    def due(self, now_ms: int) -> T | None:
        """The delivery that is due first, None where none is; what is no longer so in ``order`` is passed over."""
        while self.order and self.order[0][0] <= now_ms:
            due_ms, key = self.order[0]
            pending = self.waiting.get(key)
            if pending is not None and pending.due_ms == due_ms and key not in self.under_way:
                return pending
            heapq.heappop(self.order)
        return None


class Outbox(Generic[T]):
    """At most ``parallel`` deliveries are under way, ``parallel_each`` of them to one receiver.

    To a receiver whose last delivery failed one at a time, and to all such together half of them at most: receivers
    that hang are in nobody's way.
    """

    def __init__(self, parallel: int, parallel_each: int) -> None:
        self._parallel: Final = parallel
        self._parallel_each: Final = parallel_each
        self._lanes: dict[str, _Lane[T]] = {}
        self._under_way = 0

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def __contains__(self, key: str) -> bool:
        lane = self._lanes.get(key.partition("/")[0])
        return lane is not None and key in lane.waiting

    def has(self, pending: T) -> bool:
        """Whether this very delivery waits, and no other has taken its place."""
        lane = self._lanes.get(pending.lane)
        return lane is not None and lane.waiting.get(pending.key) is pending

    def waiting_for(self, name: str) -> int:
        """How many deliveries wait for a receiver, those under way too."""
        lane = self._lanes.get(name)
        return 0 if lane is None else len(lane.waiting)

    def put(self, pending: T) -> None:
        """Let a delivery wait; one of the same key is replaced."""
        lane = self._lanes.setdefault(pending.lane, _Lane[T]())
        lane.waiting[pending.key] = pending
        heapq.heappush(lane.order, (pending.due_ms, pending.key))

    def take(self, now_ms: int) -> Iterator[T]:
        """Deliveries that are due and may go out, one of each receiver in turn; they are under way then."""
        found = True
        while found:
            found = False
            for name, lane in list(self._lanes.items()):
                pending = lane.due(now_ms) if self._may_send(lane) else None
                if pending is not None:
                    found = True
                    self._lanes[name] = self._lanes.pop(name)  # the others come first next time
                    lane.under_way.add(pending.key)
                    self._under_way += 1
                    yield pending

    def back(self, pending: T, *, failed: bool | None) -> bool:
        """A delivery is not under way any more (``failed`` None: it was not tried); False where another replaced it."""
        lane = self._lanes[pending.lane]
        lane.under_way.discard(pending.key)
        self._under_way -= 1
        if failed is not None:
            lane.is_failing = failed
        current = lane.waiting.get(pending.key)
        if current is not None:
            heapq.heappush(lane.order, (current.due_ms, current.key))
        return current is pending

    def remove(self, pending: T) -> None:
        """A delivery waits no longer."""
        lane = self._lanes[pending.lane]
        lane.waiting.pop(pending.key, None)
        if not lane.waiting and not lane.under_way:
            del self._lanes[pending.lane]

    def _may_send(self, lane: _Lane[T]) -> bool:
        if self._under_way >= self._parallel:
            return False
        if not lane.is_failing:
            return len(lane.under_way) < self._parallel_each
        failing = sum(len(each.under_way) for each in self._lanes.values() if each.is_failing)
        return not lane.under_way and failing < max(1, self._parallel // 2)
