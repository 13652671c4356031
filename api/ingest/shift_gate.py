"""Privacy by shift: a fix that was taken while who holds its device was off shift is dropped before the log has it.

It is judged by when it was taken, so that a backlog says of the evening no more than live fixes do. A device that
nobody holds is not judged, and who has no shifts always works.
"""

from collections.abc import Sequence
from typing import Final

from api.http.problems import unavailable
from api.ports import ReadModel
from api.registers.registry import Entry
from dispatch.holders import Holders
from dispatch.rules import DispatchRules
from dispatch.shifts import ShiftHours
from schemas.people import Technician
from schemas.ping import Ping

CODE: Final = "off_shift"


class ShiftGate:
    """Of one process. The hours of each technician are worked out once for each stretch of time, not for each fix."""

    def __init__(self, rules: DispatchRules, holders: Holders, technicians: ReadModel[Entry]) -> None:
        self._stores_all = rules.store_off_shift
        self._margin_ms = round(1000 * rules.shift_margin_s)
        self._holders = holders
        self._technicians = technicians
        self._hours: dict[str, ShiftHours] = {}

    def ensure_known(self) -> None:
        """Raise Problem 503 until it is known who holds what: nothing slips in while it is not."""
        if not (self._stores_all or self._technicians.is_caught_up):
            raise unavailable("the technicians are still being read")

    def is_off(self, device_id: str, at_ms: int) -> bool:
        """Whether who holds a device is off shift at a moment (epoch ms), whatever is stored."""
        holder = self._holders.holder_of(device_id)
        return holder is not None and not self._works(holder, at_ms)

    def dropped(self, pings: Sequence[Ping]) -> list[int]:
        """The places, from 0, of those that are not to be kept."""
        if self._stores_all:
            return []
        return [place for place, ping in enumerate(pings) if self.is_off(ping.device_id, ping.ts_ms)]

    def may_keep(self, device_ids: Sequence[str]) -> bool:
        """Whether an item may be kept as it came that nobody could read as a fix: when it was taken is not known.

        ``device_ids`` are the devices that it may be of; none: it may be anybody's.
        """
        if self._stores_all:
            return True
        if not device_ids:
            return not self._holders.any_has_shifts
        return not any(self._has_shifts(device_id) for device_id in device_ids)

    def _has_shifts(self, device_id: str) -> bool:
        holder = self._holders.holder_of(device_id)
        return holder is not None and bool(holder.shifts)

    def _works(self, technician: Technician, at_ms: int) -> bool:
        if not technician.shifts:
            return True
        hours = self._hours.get(technician.technician_id)
        if hours is None or hours.shifts is not technician.shifts:  # the register has another record of them now
            hours = self._hours[technician.technician_id] = ShiftHours(technician.shifts, self._margin_ms)
        return hours.cover(at_ms)
