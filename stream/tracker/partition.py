"""The devices of one Kafka partition: their tracks, what changed since the last checkpoint, what awaits the store."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from dispatch.erased import ErasedSpans
from geofence.fence_book import FenceBook
from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.rules import Rules
from geofence.tracks import Tracks
from geofence.visits.arrangement import arrangement_of
from schemas.fence import FenceRecord, FenceVersion
from schemas.ping import OLDEST_TS_MS, Ping
from schemas.times import Instant
from schemas.visit import Visit
from schemas.wire import encode
from stream.columns import PingColumns, read_columns
from stream.tracker.erased import NOBODY, kept_of, without
from stream.tracker.journal import Journal
from stream.values import Values

LOOK_LASTS: Final = 1 / 16
"""Of the silence that was seen."""

FORGETFUL: Final = "forgetful"
"""The name of the record that is there where devices have been lost."""

_CENTRE: Final = {"type": "Point", "coordinates": [9.0, 47.0]}
_CORNERS: Final = ((8.999, 46.999), (9.001, 46.999), (9.001, 47.001), (8.999, 47.001), (8.999, 46.999))
_SQUARE: Final = {"type": "Polygon", "coordinates": [[list(corner) for corner in _CORNERS]]}


class PartitionTracks:
    """State of one partition.

    ``late_offset`` maps a slot to the offset up to which the recorder must have come. Below ``catch_up_offset`` frames
    are only gathered: a tracker that died may have told what they say, and to tell it again frame by frame would reopen
    what is closed. A ``forgetful`` one has lost devices: any that it meets may have been there before.
    One that has just lost them has to write that down, and the records called ``discarding`` are to be deleted.
    """

    def __init__(self, since_ms: int = 0, *, forgetful: bool = False, discarding: Iterable[str] | None = None) -> None:
        self.tracks = Tracks()
        self.late_offset: dict[int, int] = {}
        self.catch_up_offset = 0
        self._forgetful = forgetful
        self._discarding = discarding
        self._since_ms = since_ms
        self._last_offset = -1
        self._gathered: set[int] = set()
        self._heard_ms = np.zeros(0, np.int64)
        self._changed = np.zeros(0, np.bool_)
        self._journal = Journal()
        self._rewriting: npt.NDArray[np.int64] | None = None

    def restore(self, records: Mapping[str, bytes]) -> None:
        """Take over the devices of a checkpoint; what it raises says why it cannot be read (``Journal.restore``)."""
        self.late_offset = self._journal.restore(records, self.tracks)
        self._meet()
        self._changed[:] = False

    def learn(self, visit: Visit) -> None:
        """Take note of a revision that was told after the checkpoint."""
        slot = self.tracks.learn(visit)
        self._meet()
        if slot is not None:
            self.touch(np.array([slot]))

    def without(self, spans: ErasedSpans) -> "PartitionTracks":
        """The partition without what was erased; the very same one where there is nothing of that.

        Of a device the fixes after its last span are kept, and the visits of others; what it did before in other hands
        the store knows. Its checkpoint is written anew.
        """
        erased = {
            slot: max(int(span.to_ms) for span in spans.spans_of(device_id))
            for device_id, slot in self.tracks.slots.items()
            if spans.spans_of(device_id)
        }
        concerned = {slot: from_ms for slot, from_ms in erased.items() if self._has(slot, spans)}
        if not concerned:
            return self
        after = PartitionTracks(self._since_ms, forgetful=self._forgetful, discarding=self._discarding)
        everything = self.tracks.changes(np.arange(len(self.tracks)), whole=True)
        after.tracks.adopt([without(everything, self.tracks.device_ids, concerned, spans)])
        slots = np.array(sorted(concerned))
        goes_on = [slot for slot in sorted(concerned) if not after.tracks.device_ids[slot].startswith(NOBODY)]
        after.tracks.begin_amid(np.array(goes_on, np.int64), np.array([concerned[slot] for slot in goes_on], np.int64))
        after._journal, after._rewriting = self._journal, slots
        after.late_offset = {slot: offset for slot, offset in self.late_offset.items() if slot in after.tracks.late}
        after.catch_up_offset, after._last_offset = self.catch_up_offset, self._last_offset
        after._gathered = self._gathered - concerned.keys()
        after._heard_ms, after._changed = self._heard_ms, np.zeros(len(self._changed), np.bool_)
        after.note_late()
        return after

    def _has(self, slot: int, spans: ErasedSpans) -> bool:
        device_id = self.tracks.device_ids[slot]
        visits = self.tracks.log.newest[slot].values()
        kept = kept_of(device_id, self.tracks.fixes_of(slot), spans)
        return not kept.all() or any(spans.covers(device_id, visit.arrived_ms) for visit in visits)

    def fold(
        self, pings: PingColumns, last_offset: int, fences: FenceSet, rules: Rules, now_ms: int = 0
    ) -> list[Visit]:
        """Fold a frame's pings into the tracks of their devices; returns the revisions to publish.

        ``now_ms`` is when they came in.
        """
        caught_up = last_offset + 1 >= self.catch_up_offset
        devices, fixes = self.tracks.slots_of(pings.device_ids), pings.fixes
        slots, touched = devices[pings.device], np.unique(devices)
        self._meet()
        if self._forgetful:
            self._begin_amid(slots, fixes)
        revisions = self.tracks.fold(slots, fixes, fences, rules, looking=caught_up)
        self._heard_ms[touched] = now_ms
        self.touch(touched)
        self._last_offset = last_offset
        if not caught_up:
            self._gathered.update(touched.tolist())
        elif self._gathered:
            revisions += self.tracks.look(np.array(sorted(self._gathered)), fences, rules)
            self._gathered.clear()
        self.note_late()
        return revisions

    def note_late(self) -> None:
        """Let what is newly late wait until the store has all that has been folded."""
        for slot in self.tracks.newly_late:
            self.late_offset[slot] = self._last_offset
        self.tracks.newly_late.clear()

    def silent(self, now_ms: int, after_ms: int, settled_after_ms: float) -> npt.NDArray[np.int64]:
        """Slots not heard of for ``after_ms`` whose silence has not yet said all it can: ``settled_after_ms``.

        The longer the silence was when it was looked at last, the longer that look lasts: what silence says changes
        with its length in proportion.
        """
        slots = self.tracks.watched()
        newest_ms = self.tracks.newest_ms(slots)
        heard_ms = np.maximum(newest_ms, self._heard_ms[slots])
        looked_ms = self.tracks.looked_ms(slots)
        seen_ms = looked_ms - newest_ms
        due = (seen_ms <= settled_after_ms) & (now_ms - looked_ms >= LOOK_LASTS * seen_ms)
        silent: npt.NDArray[np.int64] = slots[due & (now_ms - heard_ms >= after_ms)]
        return silent

    def touch(self, slots: npt.NDArray[np.int64]) -> None:
        """Mark devices as changed since the last checkpoint."""
        self._changed[slots] = True

    def take_changed(self) -> Iterator[tuple[str, bytes | None]]:
        """(name, value) of the records that bring the checkpoint up to date, in the order in which to write them.

        Those without a value are to be deleted.
        """
        if self._discarding is not None:
            yield FORGETFUL, b"1"
            yield from ((name, None) for name in self._discarding)
            self._discarding = None
        if self._rewriting is not None:
            yield from self._journal.rewritten(self.tracks, self.late_offset, self._rewriting)
            self._rewriting = None
            self._changed[:] = False
        changed = np.flatnonzero(self._changed)
        self._changed[:] = False
        self.tracks.trim()  # a pass over all slots, which each checkpoint is seldom enough for
        yield from self._journal.records(self.tracks, changed, self.late_offset)

    def _begin_amid(self, slots: npt.NDArray[np.int64], fixes: Fixes) -> None:
        """Let the store tell what was before the first fixes of devices that are met."""
        unmet = self.tracks.kept(slots) == 0
        order = np.lexsort((fixes.ts_ms[unmet], slots[unmet]))
        met, first = np.unique(slots[unmet][order], return_index=True)
        self.tracks.begin_amid(met, fixes.ts_ms[unmet][order][first])

    def _meet(self) -> None:
        """Make room for devices that are new."""
        new = len(self.tracks) - len(self._changed)
        self._changed = np.append(self._changed, np.ones(new, np.bool_))
        self._heard_ms = np.append(self._heard_ms, np.full(new, self._since_ms))


def warm_up(rules: Rules) -> None:
    """Drive an invented device to invented fences, so that every compiled function is ready before real pings.

    It stays until its arrival is forgotten; then a fence is edited, and what is known of it is restored and derived
    anew, as after a restart and for late fixes.
    """
    circle = FenceVersion(1, _CENTRE, radius_m=50.0)
    book = FenceBook([_drawn("circle", circle), _drawn("square", FenceVersion(1, _SQUARE))])
    tracks, fences = PartitionTracks(), book.snapshot()
    for minute in range(55):
        pings = _invented_pings(minute)
        pings.newest_records()
        tracks.fold(pings, minute, fences, rules)
        if minute == 45:
            book.put(_drawn("another", circle))
            edited = book.snapshot()
            arrangement_of(edited, after=fences)
            tracks.tracks.look_at_changed(np.arange(1), edited, rules, edited.some({"another"}))
            fences = edited
    PartitionTracks().restore({name: value for name, value in tracks.take_changed() if value})
    tracks.tracks.begin_amid(np.arange(1), np.array([OLDEST_TS_MS]))
    tracks.tracks.rederive(0, tracks.tracks.fixes_of(0), fences, rules, tracks.tracks.newest_ms(0), complete=True)


def _invented_pings(minute: int) -> PingColumns:
    """A fix each three seconds of a minute: on the way for the first and the last five, at the fences between."""
    away = max(0, 5 - minute, minute - 49)
    moments_ms = [OLDEST_TS_MS + minute * 60_000 + second * 1000 for second in range(0, 60, 3)]
    pings = [
        Ping("warm-up", at_ms, 47.0 + 0.001 * away, 9.0 + 1e-10 * (at_ms % 1009), 8.0, 10.0 if away else 0.0)
        for at_ms in moments_ms
    ]
    return read_columns(Values.of([encode(ping) for ping in pings]), np.array(moments_ms))


def _drawn(fence_id: str, version: FenceVersion) -> FenceRecord:
    return FenceRecord(fence_id, [version], Instant(0))
