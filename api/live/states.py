"""The live states as they are shown: ``off_shift`` where who holds the device is off shift now.

The tracker knows nothing of shifts; and a device of which no fix is taken in has no new state that could say so.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from api.ingest.shift_gate import ShiftGate
from api.ports import ReadModel
from schemas.clock import Clock
from schemas.live import LiveState


class LiveStates(Mapping[str, LiveState]):
    """A read model over that of the tracker's word. Each state is looked at when it is asked for."""

    def __init__(self, told: ReadModel[LiveState], shift_gate: ShiftGate, clock: Clock) -> None:
        self._told = told
        self._shift_gate = shift_gate
        self._clock = clock

    @property
    def records(self) -> Mapping[str, LiveState]:
        """As in the port."""
        return self

    @property
    def is_caught_up(self) -> bool:
        """As in the port."""
        return self._told.is_caught_up

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """As in the port."""
        return await self._told.until(condition, timeout_s)

    def __getitem__(self, device_id: str) -> LiveState:
        live = self._told.records[device_id]
        if self._shift_gate.is_off(device_id, self._clock.now_ms()):
            return msgspec.structs.replace(live, state="off_shift")
        return live

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._told.records

    def __iter__(self) -> Iterator[str]:
        return iter(self._told.records)

    def __len__(self) -> int:
        return len(self._told.records)
