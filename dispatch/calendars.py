"""Who is on shift among very many: technicians with the same shifts share a calendar, which is asked once for all."""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from dispatch.shifts import shift_spans
from schemas.people import Technician

_AHEAD_MS: Final = 2 * 86_400_000
"""A calendar is looked up so far ahead, unless it changes earlier."""

_ALWAYS: Final = np.iinfo(np.int64)


class Calendars:
    """Calendars by number; each remembers whether it is a time of work, and from when to when that holds.

    A look-up costs one comparison a calendar, and where one has changed since, as much as ``shift_spans``.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._users: list[int] = []
        self._someone: list[Technician] = []
        self._free: list[int] = []
        self._since_ms = np.empty(0, np.int64)
        self._until_ms = np.empty(0, np.int64)
        self._works = np.empty(0, np.bool_)

    def take(self, technician: Technician) -> int:
        """The number of the technician's calendar, until it is given back."""
        key = msgspec.json.encode(technician.shifts)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._new(key, technician)
        self._users[number] += 1
        return number

    def give_back(self, number: int) -> None:
        """One technician fewer has this calendar."""
        self._users[number] -= 1
        if self._users[number] == 0:
            del self._numbers[self._keys[number]]
            self._free.append(number)
            self._since_ms[number], self._until_ms[number] = _ALWAYS.min, _ALWAYS.max  # nothing to look up

    def work_at(self, at_ms: int) -> npt.NDArray[np.bool_]:
        """bool[n] by number: whether those with the calendar work at a moment (epoch ms); not to be kept."""
        for number in np.flatnonzero((at_ms < self._since_ms) | (at_ms >= self._until_ms)):
            spans = shift_spans(self._someone[number], at_ms, at_ms + _AHEAD_MS)
            works = bool(spans) and spans[0].from_ms == at_ms
            changes_ms = [spans[0].to_ms if works else spans[0].from_ms] if spans else []
            self._works[number] = works
            self._since_ms[number], self._until_ms[number] = at_ms, min([at_ms + _AHEAD_MS, *changes_ms])
        return self._works

    def _new(self, key: bytes, technician: Technician) -> int:
        if self._free:
            number = self._free.pop()
            self._keys[number], self._someone[number] = key, technician
        else:
            number = len(self._keys)
            self._keys.append(key)
            self._someone.append(technician)
            self._users.append(0)
            if number == len(self._works):
                room = max(16, 2 * number)
                self._since_ms = np.resize(self._since_ms, room)
                self._until_ms = np.resize(self._until_ms, room)
                self._works = np.resize(self._works, room)
                self._since_ms[number:], self._until_ms[number:] = _ALWAYS.min, _ALWAYS.max
        self._since_ms[number], self._until_ms[number] = _ALWAYS.max, _ALWAYS.min  # to be looked up
        return number
