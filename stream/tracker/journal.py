"""The checkpoint records of one partition: what has changed at each checkpoint, and bases that replace old changes.

A record of *changes* has a number, and its key is one of a ring's: the record that comes ``RING`` later overwrites it.
A *base* holds all there is of a block of devices and has a key of its own; what was written of these devices before
counts no more. Bases are written of the blocks whose changes go back furthest: as many bytes as there were of changes,
and always before the ring comes round to one that is still needed. So what a checkpoint writes follows what has
changed, and what the broker keeps follows what there is.

Records of a partition are written and read in one order, and its state after any prefix of them is one that it had.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from geofence.stretches import Ints
from geofence.tracks import Changes, Tracks
from stream.tracker.packing import pack, read, unpack

RING: Final = 1_024
DEVICES_PER_BASE: Final = 64
FIXES_PER_RECORD: Final = 100_000
"""A record holds no more fixes than this (2 MB)."""

_NEVER: Final = np.iinfo(np.int64).max


class Journal:
    """What has been written of a partition's devices; ``tracks`` and ``late_offset`` (by slot) are the caller's."""

    def __init__(self) -> None:
        self._number = 0
        self._owed_bytes = 0
        self._since = np.zeros(0, np.int64)  # by block: number of the oldest changes that no base has replaced

    def records(self, tracks: Tracks, slots: Ints, late_offset: dict[int, int]) -> Iterator[tuple[str, bytes]]:
        """(name, value) of the records to write, in this order, now that ``slots`` have changed."""
        blocks = -(-len(tracks) // DEVICES_PER_BASE)
        self._since = np.append(self._since, np.full(blocks - len(self._since), _NEVER))
        for some in _portions(slots, tracks.unwritten(slots)):
            while self._oldest() <= self._number + 1 - RING:
                yield from self._base(tracks, late_offset)
            self._number += 1
            value = pack(self._number, tracks.changes(some), late_offset)
            self._note(some)
            self._owed_bytes += len(value)
            yield f"changes:{self._number % RING}", value
        while self._owed_bytes > 0 and self._oldest() < _NEVER:
            yield from self._base(tracks, late_offset)

    def restore(self, values: Iterable[bytes], tracks: Tracks) -> dict[int, int]:
        """Bring back into ``tracks`` what the records say; the late offsets.

        Raises:
            FormatError: Another build has written one of them.
            IncompleteError: There are some missing.
        """
        records = sorted(map(read, values), key=lambda record: (record.number, record.whole))
        written_whole: set[int] = set()
        parts: list[Changes] = []
        for record in reversed(records):
            parts.append(unpack(record, superseded=written_whole))
            if record.whole:
                written_whole.update(parts[-1].slots.tolist())
        parts.reverse()
        tracks.adopt(parts)
        self._since = np.full(-(-len(tracks) // DEVICES_PER_BASE), _NEVER)
        late_offset: dict[int, int] = {}
        for record, part in zip(records, parts, strict=True):
            self._number = record.number
            self._note(part.slots, written_whole=part.whole)
            late_offset.update((slot, offset) for slot, (_, _, offset) in record.late.items())
        return {slot: late_offset[slot] for slot in tracks.late}

    def _oldest(self) -> int:
        return int(self._since.min(initial=_NEVER))

    def _base(self, tracks: Tracks, late_offset: dict[int, int]) -> Iterator[tuple[str, bytes]]:
        """The base of the block whose changes go back furthest.

        Before it, in records of their own, its devices with very many fixes: what an earlier base said of them stays
        until it is said elsewhere.
        """
        block = int(self._since.argmin())
        slots = np.arange(block * DEVICES_PER_BASE, min((block + 1) * DEVICES_PER_BASE, len(tracks)))
        many = tracks.kept(slots) > FIXES_PER_RECORD // DEVICES_PER_BASE
        parts = [(f"device:{slot}", np.array([slot])) for slot in slots[many].tolist()]
        for name, some in (*parts, (f"base:{block}", slots[~many])):
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
