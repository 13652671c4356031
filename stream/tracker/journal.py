"""The checkpoint records of one partition: what has changed at each checkpoint, and bases that replace old changes.

A record of *changes* has a number. A *base* holds all there is of a block of devices and has a key of its own; what was
written of these devices before counts no more. Bases are written of the blocks whose changes go back furthest, as many
bytes as there were of changes; changes all of whose devices have newer bases leave their key to others. So what a
checkpoint writes follows what has changed, and what the broker keeps follows what there is.

Records of a partition are written and read in one order, and its state after any prefix of them is one that it had.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from geofence.changes import Changes
from geofence.stretches import Ints
from geofence.tracks import Tracks
from stream.tracker.packing import pack, read, unpack

MOST_CHANGES: Final = 1_024
"""So many records of changes are needed at most: before there are more, the oldest are replaced by bases."""

DEVICES_PER_BASE: Final = 64
FIXES_PER_RECORD: Final = 100_000
"""A record holds no more fixes than this (2 MB)."""

_CHANGES: Final = "changes:"
_BASE: Final = "base:"
_DEVICE: Final = "device:"
"""How the names of records begin; a number follows."""

_NEVER: Final = np.iinfo(np.int64).max


class Journal:
    """What has been written of a partition's devices; ``tracks`` and ``late_offset`` (by slot) are the caller's."""

    def __init__(self) -> None:
        self._number = 0
        self._owed_bytes = 0
        self._since = np.zeros(0, np.int64)  # by block: number of the oldest changes that no base has replaced
        self._needed: deque[tuple[int, int]] = deque()  # number and key of changes, oldest first
        self._free: list[int] = []  # keys

    def records(self, tracks: Tracks, slots: Ints, late_offset: dict[int, int]) -> Iterator[tuple[str, bytes]]:
        """(name, value) of the records to write, in this order, now that ``slots`` have changed."""
        blocks = -(-len(tracks) // DEVICES_PER_BASE)
        self._since = np.append(self._since, np.full(blocks - len(self._since), _NEVER))
        for some in _portions(slots, tracks.unwritten(slots)):
            self._release()
            while len(self._needed) >= MOST_CHANGES:
                yield from self._base(tracks, late_offset)
                self._release()
            self._number += 1
            key = self._free.pop() if self._free else len(self._needed)
            self._needed.append((self._number, key))
            value = pack(self._number, tracks.changes(some), late_offset)
            self._note(some)
            self._owed_bytes += len(value)
            yield f"{_CHANGES}{key}", value
        while self._owed_bytes > 0 and self._oldest() < _NEVER:
            yield from self._base(tracks, late_offset)

    def rewritten(
        self, tracks: Tracks, late_offset: dict[int, int], edited: Ints
    ) -> Iterator[tuple[str, bytes | None]]:
        """(name, value) of bases of all devices, for what is left of ``edited`` slots may be in no older record.

        Then what those records said goes: their names without a value.
        """
        self._since = np.full(-(-len(tracks) // DEVICES_PER_BASE), self._number)
        written: set[str] = set()
        while self._oldest() < _NEVER:
            for name, value in self._base(tracks, late_offset):
                written.add(name)
                yield name, value
        yield from ((f"{_CHANGES}{key}", None) for key in sorted({*(key for _, key in self._needed), *self._free}))
        yield from ((f"{_DEVICE}{slot}", None) for slot in edited.tolist() if f"{_DEVICE}{slot}" not in written)
        self._needed.clear()
        self._free.clear()
        self._owed_bytes = 0

    def restore(self, values: Mapping[str, bytes], tracks: Tracks) -> dict[int, int]:
        """Bring back into ``tracks`` what the records say, by name; the late offsets.

        Raises:
            FormatError: Another build has written one of them.
            IncompleteError: There are some missing.
        """
        named = sorted(
            ((name, read(value)) for name, value in values.items()), key=lambda each: (each[1].number, each[1].whole)
        )
        written_whole: set[int] = set()
        parts: list[Changes] = []
        for _, record in reversed(named):
            parts.append(unpack(record, superseded=written_whole))
            if record.whole:
                written_whole.update(parts[-1].slots.tolist())
        parts.reverse()
        tracks.adopt(parts)
        self._since = np.full(-(-len(tracks) // DEVICES_PER_BASE), _NEVER)
        late_offset: dict[int, int] = {}
        for (name, record), part in zip(named, parts, strict=True):
            self._number = record.number
            if name.startswith(_CHANGES):
                self._needed.append((record.number, int(name.removeprefix(_CHANGES))))
                self._note(part.slots)
            elif name.startswith(_BASE):
                self._note(part.slots, written_whole=True)
            late_offset.update((slot, offset) for slot, (_, _, offset) in record.late.items())
        taken = {key for _, key in self._needed}
        self._free = sorted(set(range(max(taken, default=0))) - taken)
        return {slot: late_offset[slot] for slot in tracks.late}

    def _oldest(self) -> int:
        return int(self._since.min(initial=_NEVER))

    def _release(self) -> None:
        """Free the keys of changes that bases have replaced."""
        oldest = self._oldest()
        while self._needed and self._needed[0][0] < oldest:
            self._free.append(self._needed.popleft()[1])

    def _base(self, tracks: Tracks, late_offset: dict[int, int]) -> Iterator[tuple[str, bytes]]:
        """The base of the block whose changes go back furthest.

        Before it, in records of their own, its devices with very many fixes: what an earlier base said of them stays
        until it is said elsewhere.
        """
        self._number += 1
        block = int(self._since.argmin())
        slots = np.arange(block * DEVICES_PER_BASE, min((block + 1) * DEVICES_PER_BASE, len(tracks)))
        many = tracks.kept(slots) > FIXES_PER_RECORD // DEVICES_PER_BASE
        parts = [(f"{_DEVICE}{slot}", np.array([slot])) for slot in slots[many].tolist()]
        for name, some in (*parts, (f"{_BASE}{block}", slots[~many])):
            value = pack(self._number, tracks.changes(some, whole=True), late_offset)
            self._owed_bytes -= len(value)
            yield name, value
        self._note(slots, written_whole=True)

    def _note(self, slots: Ints, *, written_whole: bool = False) -> None:
        blocks = slots // DEVICES_PER_BASE
        self._since[blocks] = _NEVER if written_whole else np.minimum(self._since[blocks], self._number)


def _portions(slots: Ints, fixes: Ints) -> Iterator[Ints]:
    """Slots in portions of ``FIXES_PER_RECORD``; so many ``fixes`` of each."""
    portion = np.cumsum(fixes + 1) // FIXES_PER_RECORD
    yield from np.split(slots, np.flatnonzero(np.diff(portion)) + 1) if len(slots) else ()
