"""What is kept of many devices between two looks, and how new fixes turn into revisions of their visits.

Pure: ``fold(device ids, fixes, fences, rules) -> revisions``. Of each device its fixes since a restart point are kept,
and the path that they make (``visits.path``), which only grows: a frame costs its own fixes, not those before. What is
derived is what deriving from all fixes would give. Fixes older than what is kept are *late*: the caller re-derives the
span they touch from the store with ``rederive``.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from geofence.anchors import anchor_of, begun_at
from geofence.changes import Anchor, Beginning, Changes, IncompleteError, LateSpan
from geofence.fences import FenceSet, SomeFences
from geofence.fixes import Fixes
from geofence.folding import (
    DISORDERED,
    END_OF_TIME_MS,
    ENTRIES,
    FOLLOWING,
    LATE,
    NOTHING,
    STEPS,
    Devices,
    advance,
    clear,
    forget,
    standing_of,
)
from geofence.gathering import last_fixes, last_of_each
from geofence.kernel import near
from geofence.rules import Rules
from geofence.settling import start_of
from geofence.stretches import Ints, rows_of, runs_of, with_room
from geofence.visit_log import VisitLog
from geofence.visits.arrangement import Edited, arrangement_of
from geofence.visits.derivation import derive_stays, stay_of
from geofence.visits.evidence import REACH_M
from geofence.visits.log import Stay, overlap_ms, revise, revised
from geofence.visits.path import surroundings_of
from geofence.visits.spells import CLOSED, Spell
from geofence.visits.tables import Surroundings, append, have_row, nowhere, usual_entries, with_entries, with_steps
from schemas.visit import Visit

RECENT_MS: Final = 2 * 3_600_000
RECENT_FIXES: Final = 256
"""Fixes this new, and this many at most, stay in memory even where a restart point would let them go: late fixes
among them need no look-up in the store."""

RECENT_LOG_MS: Final = 7 * 86_400_000
"""Visits that were over for this long when the fixes begin that are kept are left to the store."""

LEAST_SLOTS: Final = 16

UNSEEN: Final = -1
"""The edition of the fences of which nothing has been looked up yet."""


class Tracks:
    """The devices of one worker, a slot each.

    ``slots`` maps a device id to its slot, ``device_ids`` back. ``log`` has the visits as they were published last,
    those that were over long before the fixes only where they are known; ``late`` are late spans by slot.
    ``newly_late`` are the slots whose late span has begun or grown since the caller emptied it.
    """

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.device_ids: list[str] = []
        self.log = VisitLog()
        self.late: dict[int, LateSpan] = {}
        self.newly_late: set[int] = set()
        self._anchors: dict[int, Anchor] = {}
        self._ended: dict[int, set[tuple[str, int]]] = {}
        self._begun: set[int] = set()
        self._disturbed: set[int] = set()
        self._told_as: dict[int, list[str]] = {}
        self._fences: FenceSet | None = None
        self._devices = Devices.of_slots(0)
        self._edition = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.device_ids)

    def slot_of(self, device_id: str) -> int:
        """The slot of a device, a new one where it has none."""
        slot = self.slots.get(device_id)
        if slot is None:
            slot = self.slots[device_id] = len(self.device_ids)
            self.device_ids.append(device_id)
            self.log.add_slot()
            if slot == len(self._edition):
                self._devices = self._devices.with_slots(max(LEAST_SLOTS, 2 * slot))
                self._edition = np.append(self._edition, np.full(len(self._devices.marks) - slot, UNSEEN))
        return slot

    def slots_of(self, device_ids: Sequence[str]) -> Ints:
        """The slot of each of some devices."""
        for device_id in dict.fromkeys(device_ids):
            self.slot_of(device_id)
        return np.fromiter(map(self.slots.__getitem__, device_ids), np.int64, len(device_ids))

    def newest_ms(self, slots: Any = slice(None)) -> Any:
        """Event time of the newest fix of some slots (default: all); there must be one."""
        stretch, _, rows = self._devices.paths.fixes
        return rows["ts_ms"][(stretch["begin"] + stretch["size"] - 1)[: len(self)][slots]]

    def watched(self) -> Ints:
        """Slots whose visits silence may change: those with a fix near a fence that still counts.

        And those of which it has not been looked up yet, as after a restart.
        """
        paths = self._devices.paths
        unknown = (self._edition == UNSEEN) & (paths.fixes.stretch["size"] > 0)
        return np.flatnonzero((unknown | (paths.steps.stretch["size"] > 0))[: len(self)])

    def looked_ms(self, slots: Ints) -> Ints:
        """The moment that the visits were last derived as of."""
        moments: Ints = self._devices.marks["looked_ms"][slots]
        return moments

    def present(self, slot: int) -> list[Visit]:
        """Visits of a device that are open or confirmed and not departed."""
        return [visit for visit in self.log.newest[slot].values() if visit.state in ("open", "confirmed")]

    def fixes_of(self, slot: int) -> Fixes:
        """The fixes that are kept of a device."""
        rows = rows_of(self._devices.paths.fixes, slot)
        return Fixes(*(rows[name].copy() for name in Fixes.__dataclass_fields__))

    def kept(self, slots: Ints) -> Ints:
        """How many fixes are kept of slots."""
        size: Ints = self._devices.paths.fixes.stretch["size"][slots]
        return size

    def unwritten(self, slots: Ints) -> Ints:
        """How many of them ``changes`` has not told yet."""
        fresh: Ints = self.kept(slots) - np.maximum(self._devices.marks["written"][slots], 0)
        return fresh

    def trim(self) -> None:
        """Give memory back that was needed once and is no more. A pass over all slots: call it now and then."""
        self._devices = self._devices.trimmed()

    def changes(self, slots: Ints, *, whole: bool = False) -> Changes:
        """What has changed of slots since they were last asked for, or all of them."""
        marks, size = self._devices.marks, self.kept(slots)
        fresh = size if whole else self.unwritten(slots)
        named = slots if whole else slots[marks["written"][slots] < 0]
        marks["written"][slots] = size
        wanted = set(slots.tolist())
        if whole:
            revised, gone = self.log.whole(wanted), dict[int, list[str]]()
            begun = wanted & (self._anchors.keys() | self._ended.keys())
        else:
            revised, gone = self.log.news(wanted)
            begun = self._begun & wanted
        self._begun -= wanted
        return Changes(
            whole,
            slots,
            size,
            fresh,
            marks["kept_from_ms"][slots],
            marks["looked_ms"][slots],
            last_fixes(self._devices.paths.fixes, slots, fresh),
            {slot: self.device_ids[slot] for slot in named.tolist()},
            revised,
            gone,
            {slot: self.late[slot] for slot in self.late.keys() & wanted},
            {slot: Beginning(self._anchors.get(slot), tuple(sorted(self._ended.get(slot, ())))) for slot in begun},
        )

    def adopt(self, parts: Sequence[Changes]) -> None:
        """Go on from what ``changes`` said, from the first time on, in order; no device may be here yet.

        Raises:
            IncompleteError: A part is missing.
        """
        names: dict[int, str] = {}
        for part in parts:
            if any(names.setdefault(slot, name) != name for slot, name in part.names.items()):
                raise IncompleteError("two devices in a slot")
        for slot in range(1 + max((part.slots.max(initial=-1) for part in parts), default=-1)):
            if slot not in names or self.slot_of(names[slot]) != slot:
                raise IncompleteError("a device without a name, or in two slots")
        size, newest, marks = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64), self._devices.marks
        for number, part in enumerate(parts):
            newest[part.slots], size[part.slots] = number, part.size
            marks["kept_from_ms"][part.slots] = marks["told_from_ms"][part.slots] = part.kept_from_ms
            marks["looked_ms"][part.slots] = part.looked_ms
            self._adopt_log(part)
        for number, part in enumerate(parts):
            self.late.update((slot, span) for slot, span in part.late.items() if newest[slot] == number)
        self._disturbed.update(self.late)
        told, counts = (np.concatenate([np.zeros(0, np.int64), *each]) for each in _columns(parts, "slots", "fresh"))
        rows, enough = last_of_each(told, counts, size)
        if not enough:
            raise IncompleteError("fixes are missing")
        fixes = Fixes.concat(part.fixes for part in parts).take(rows)
        self._extend(np.repeat(np.arange(len(names)), size), fixes, nowhere(len(fixes)))
        self._devices.marks["written"][: len(names)] = size
        self._edition[: len(names)] = UNSEEN

    def _adopt_log(self, part: Changes) -> None:
        """Take over what a part says of visits and beginnings."""
        whole = part.slots.tolist() if part.whole else []
        self.log.adopt(whole, part.revised, part.gone)
        for slot in whole:
            self._anchors.pop(slot, None)
            self._ended.pop(slot, None)
        for slot, beginning in part.beginnings.items():
            self._begin_at(slot, beginning.anchor)
            if beginning.ended:
                self._ended[slot] = set(beginning.ended)
        self._begun.clear()

    def learn(self, visit: Visit) -> int | None:
        """Take note of a revision that others have told; the slot of its device where it was news."""
        slot = self.slot_of(visit.device_id)
        known = self.log.newest[slot].get(visit.visit_id)
        if known is not None and known.revision >= visit.revision:
            return None
        self.log.note(slot, [visit])
        self._devices.marks["noted"][slot] = 0
        return slot

    def begin_amid(self, slots: Ints, ts_ms: Ints) -> None:
        """Let devices begin with their fixes from a moment on; there were others, which only the store has."""
        marks = self._devices.marks
        marks["kept_from_ms"][slots] = marks["told_from_ms"][slots] = ts_ms
        self._note_late(slots, ts_ms)

    def fold(self, slots: Ints, arrived: Fixes, fences: FenceSet, rules: Rules, *, looking: bool = True) -> list[Visit]:
        """Fold fixes in, one slot a fix; returns the revisions to publish, none when not ``looking``.

        The moment of looking is that of a device's newest fix: silence counts only once somebody looks (``look``). A
        device that stays far from all fences costs the look-up. Fixes older than what is kept widen ``late`` and change
        nothing yet.
        """
        order = arrived.order_by(slots)
        slots, arrived = slots[order], arrived.take(order)
        in_order, _ = runs_of(slots)
        self._bring_up_to_date(in_order, fences, rules)
        standing = standing_of(self._devices, slots, *vars(arrived).values())
        disordered = slots[:0]
        if (standing != FOLLOWING).any():
            self._note_late(slots[standing == LATE], arrived.ts_ms[standing == LATE])
            disordered, _ = runs_of(slots[standing == DISORDERED])
            among = np.isin(slots, disordered)
            self._sort_in(
                slots[among & (standing <= DISORDERED)], arrived.take(among & (standing <= DISORDERED)), fences, rules
            )
            following = (standing == FOLLOWING) & ~among
            slots, arrived = slots[following], arrived.take(following)
            in_order, _ = runs_of(slots)
        if len(slots):
            self._append(slots, arrived, fences)
        if not looking:
            return []
        revisions = self._derive(in_order, self.newest_ms(in_order), fences, rules, "", patiently=True)
        revisions += self._derive(disordered, self.newest_ms(disordered), fences, rules, "late_data", patiently=True)
        self._forget(np.concatenate((in_order, disordered)), fences, rules)
        return revisions

    def look(
        self, slots: Ints, fences: FenceSet, rules: Rules, as_of_ms: int | None = None, reason: str = ""
    ) -> list[Visit]:
        """Derive the visits of some slots as of a moment; returns the revisions to publish.

        The default is the moment of each one's newest fix. As long as fixes come, minor corrections wait until a stay
        has settled; a look at a moment of its own tells everything.
        """
        slots = slots[self._devices.paths.fixes.stretch["size"][slots] > 0]
        self._bring_up_to_date(slots, fences, rules)
        newest_ms = self.newest_ms(slots)
        moments = newest_ms if as_of_ms is None else np.maximum(newest_ms, as_of_ms)
        revisions = self._derive(slots, moments, fences, rules, reason, patiently=as_of_ms is None)
        self._forget(slots, fences, rules)
        return revisions

    def look_at_changed(self, slots: Ints, fences: FenceSet, rules: Rules, changed: SomeFences) -> list[Visit]:
        """Derive those of some slots anew, after fences have changed, that have to do with one of them."""
        slots = slots[self._devices.paths.fixes.stretch["size"][slots] > 0]
        self._bring_up_to_date(slots, fences, rules)
        concerned = slots[self._concern(slots, changed)]
        self._settle_again(concerned)
        moments = np.maximum(self.newest_ms(concerned), self.looked_ms(concerned))
        return self._derive(concerned, moments, fences, rules, "fence_changed", patiently=False)

    def rederive(
        self, slot: int, stored: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, *, complete: bool
    ) -> list[Visit] | None:
        """Settle what is ``late`` in a slot with the fixes the store holds around it; returns the revisions to publish.

        ``stored`` are the device's fixes from some moment well before the late span on; ``complete`` says that there
        are none before. Returns None when older fixes could still matter: fetch more. Visits of that time that are not
        kept any more must have been ``learn``-ed again before.
        """
        late = self.late.get(slot)
        if late is None:
            return []
        device_id = self.device_ids[slot]
        everything = Fixes.concat([stored, self.fixes_of(slot)]).in_order()
        if not len(everything):
            del self.late[slot]
            return []
        from_ms = -END_OF_TIME_MS
        if not complete:
            before = everything.take(everything.ts_ms < late.from_ms)
            start = start_of(device_id, before, fences, rules, late.from_ms) if len(before) else None
            if start is None:
                return None
            from_ms = int(everything.ts_ms[start.told_from])
            if start.first < start.told_from and self._lasts_over(slot, from_ms):
                return None  # what was told is not what divides: the two have to meet farther back
            everything = everything.take(slice(start.first, None))
        del self.late[slot]
        self._devices.marks["noted"][slot] = 0
        derived = derive_stays(device_id, everything, fences, rules, max(as_of_ms, int(everything.ts_ms[-1])))
        revisions = self._publish(slot, derived.stays, "late_data", from_ms, patiently=False)
        if self._has_forgotten(slot) and slot in self._disturbed:
            # Where the device was when its path begins may look different with the fixes that were late.
            self._begin_at(slot, None)
            self._devices.marks["kept_from_ms"][slot] = from_ms
            self._reload(np.array([slot]), np.array([len(everything)]), everything, fences, rules)
        self._disturbed.discard(slot)
        return revisions

    def _lasts_over(self, slot: int, at_ms: int) -> bool:
        """Whether a visit that was told began before a moment and lasts until after it."""
        return any(
            visit.state != "retracted" and visit.arrived_ms < at_ms and (visit.departed_ms or END_OF_TIME_MS) > at_ms
            for visit in self.log.newest[slot].values()
        )

    def _append(self, slots: Ints, fixes: Fixes, fences: FenceSet) -> None:
        self._extend(slots, fixes, surroundings_of(lambda i: self.device_ids[slots[i]], fixes, fences))

    def _extend(self, slots: Ints, fixes: Fixes, surroundings: Surroundings) -> None:
        self._devices = self._devices._replace(paths=append(self._devices.paths, slots, fixes, surroundings))

    def _bring_up_to_date(self, slots: Ints, fences: FenceSet, rules: Rules) -> None:
        """Look up again what is near the fixes of slots where fences have been edited since it was looked up."""
        arrangement = arrangement_of(fences, after=self._fences)
        if fences is not self._fences:
            if self._fences is None or arrangement.lineage is not arrangement_of(self._fences).lineage:
                self._edition[:] = UNSEEN
            self._fences = fences
        slots = slots[self._edition[slots] < fences.edition]
        if not len(slots):
            return
        seen = self._edition[slots]
        self._edition[slots] = fences.edition
        outdated = seen == UNSEEN
        if not outdated.all():
            edited = arrangement.edited_since(int(seen[~outdated].min()))
            outdated[~outdated] = self._near_edited(slots[~outdated], edited)
        size = self.kept(slots)
        outdated &= size > 0
        if outdated.any():
            slots, size = slots[outdated], size[outdated]
            written = self._devices.marks["written"][slots]
            self._reload(slots, size, last_fixes(self._devices.paths.fixes, slots, size), fences, rules)
            self._devices.marks["written"][slots] = written  # the fixes are what they were

    def _near_edited(self, slots: Ints, edited: Edited) -> npt.NDArray[np.bool_]:
        """Which of some slots have a fix near what was edited, as it was or as it is."""
        touched: npt.NDArray[np.bool_] = have_row(self._devices.paths.pairs, slots, edited.rows)
        others = slots[~touched]
        size = self.kept(others)
        fixes = last_fixes(self._devices.paths.fixes, others, size)
        found = near(edited.where, fixes.lat, fixes.lon, REACH_M)
        touched[~touched] = np.isin(others, np.repeat(others, size)[found.point])
        return touched

    def _sort_in(self, slots: Ints, arrived: Fixes, fences: FenceSet, rules: Rules) -> None:
        """Put fixes among those that are kept."""
        if not len(slots):
            return
        self._settle_again(slots)
        distinct, first = runs_of(slots)
        spans = zip(distinct.tolist(), first.tolist(), [*first[1:].tolist(), len(slots)], strict=True)
        fixes = [Fixes.concat([self.fixes_of(slot), arrived.take(slice(a, z))]).in_order() for slot, a, z in spans]
        self._reload(distinct, np.array(list(map(len, fixes))), Fixes.concat(fixes), fences, rules)

    def _reload(self, slots: Ints, counts: Ints, fixes: Fixes, fences: FenceSet, rules: Rules) -> None:
        """Begin the paths of some slots anew with these fixes, so many of each."""
        clear(self._devices, slots)
        marks = self._devices.marks
        marks["told_from_ms"][slots] = marks["kept_from_ms"][slots]
        self._append(np.repeat(slots, counts), fixes, fences)
        for slot in self._anchors.keys() & set(slots.tolist()):
            self._resume(slot, self._anchors[slot], fences, rules)

    def _begin_at(self, slot: int, anchor: Anchor | None) -> None:
        """Take note of a new beginning."""
        self._ended.pop(slot, None)
        self._begun.add(slot)
        if anchor is None:
            self._anchors.pop(slot, None)
        else:
            self._anchors[slot] = anchor

    def _resume(self, slot: int, anchor: Anchor, fences: FenceSet, rules: Rules) -> None:
        """Let the path of a slot begin where the device is known to have been."""
        self._devices, is_there = begun_at(self._devices, slot, anchor, fences, rules)
        if not is_there:
            first_ms = int(rows_of(self._devices.paths.fixes, slot)["ts_ms"][0])
            self._doubt(slot, min(stay.arrived_ms for stay in anchor.carried), first_ms)

    def _has_forgotten(self, slot: int) -> bool:
        """Whether a device was there before what is kept of it."""
        return bool(self._devices.marks["kept_from_ms"][slot] > -END_OF_TIME_MS)

    def _note_late(self, slots: Ints, ts_ms: Ints) -> None:
        for slot, at_ms in zip(slots.tolist(), ts_ms.tolist(), strict=True):
            self._doubt(slot, at_ms, at_ms)
        self._disturbed.update(slots.tolist())

    def _doubt(self, slot: int, from_ms: int, to_ms: int) -> None:
        """Let the store settle a span of a slot."""
        self.late[slot] = LateSpan(from_ms, to_ms).join(self.late.get(slot))
        self.newly_late.add(slot)

    def _concern(self, slots: Ints, changed: SomeFences) -> npt.NDArray[np.bool_]:
        """Which of some slots have fixes near one of the changed fences, or visits at it."""
        concerned: npt.NDArray[np.bool_] = have_row(self._devices.paths.pairs, slots, changed.rows)
        for k in np.flatnonzero(~concerned):
            concerned[k] = any(visit.fence_id in changed.ids for visit in self.log.standing(slots[k]))
        return concerned

    def _derive(
        self, slots: Ints, as_of_ms: Ints, fences: FenceSet, rules: Rules, reason: str, *, patiently: bool
    ) -> list[Visit]:
        """Bring the paths of slots up to their fixes and tell what is new of their visits."""
        arrangement = arrangement_of(fences)
        context = (arrangement.ground, arrangement.overlaps, rules, patiently)
        revisions: list[Visit] = []
        done = 0
        while done < len(slots):
            done, short_of, told, begins, spells = advance(self._devices, slots, done, as_of_ms, *context)
            rows = list(map(Spell._make, spells.tolist()))
            for slot, begin, end in zip(told.tolist(), begins[:-1].tolist(), begins[1:].tolist(), strict=True):
                revisions += self._tell(slot, rows[begin:end], fences, reason, patiently)
            if short_of != NOTHING:
                self._devices = self._with_room(short_of, slots[done:])
        return revisions

    def _with_room(self, short_of: int, slots: Ints) -> Devices:
        """With more room in a table for the first of some slots, and for those of the others that soon lack it."""
        paths, known, told, _ = self._devices
        if short_of == STEPS:
            size, room = paths.fixes.stretch["size"][slots], paths.steps.stretch["room"][slots]
            soon = (paths.pairs.stretch["size"][slots] > 0) & (room < size)
        elif short_of == ENTRIES:
            near = paths.pairs.stretch["size"][slots] > 0
            soon = near & (paths.entries.stretch["room"][slots] < usual_entries(paths, slots))
        else:
            soon = (known.stretch["room"][slots] == 0) & (paths.pairs.stretch["size"][slots] > 0)
        soon[0] = True
        slots = slots[soon]
        if short_of == STEPS:
            return self._devices._replace(paths=with_steps(paths, slots))
        if short_of == ENTRIES:
            return self._devices._replace(paths=with_entries(paths, slots))
        spells = 2 * known.stretch["room"][slots] + 1
        return self._devices._replace(known=with_room(known, slots, spells), told=with_room(told, slots, spells))

    def _tell(self, slot: int, spells: Sequence[Spell], fences: FenceSet, reason: str, patiently: bool) -> list[Visit]:
        """The revisions that spells of a slot's path call for; takes note of what has been told of each."""
        for spell in spells:
            if spell.carried and spell.state == CLOSED:
                self._doubt_ended(slot, spell, fences)
        spells = [spell for spell in spells if not (spell.carried and spell.final)]
        stays = [self._stay_of(slot, spell, fences) for spell in spells]
        corrections = self._corrections(slot, spells, stays, patiently)
        if corrections is not None:
            return corrections
        from_ms = int(self._devices.marks["told_from_ms"][slot])
        revisions = self._publish(slot, stays, reason, from_ms, patiently)
        if self._devices.told.stretch["room"][slot] < len(stays):
            told = with_room(self._devices.told, np.array([slot]), np.array([len(stays)]))
            self._devices = self._devices._replace(told=told)
        self._devices.told.stretch["size"][slot] = len(stays)
        rows = rows_of(self._devices.told, slot)
        standing = self.log.standing(slot)
        self._told_as[slot] = []
        for k, (stay, spell) in enumerate(zip(stays, spells, strict=True)):
            alike = [visit for visit in standing if visit.fence_id == stay.fence_id]
            visit = alike[0] if len(alike) == 1 else max(alike, key=partial(overlap_ms, stay), default=None)
            rows[k] = _told(spell, stay, stay if visit is None else visit)
            self._told_as[slot].append("" if visit is None else visit.visit_id)
        self._devices.marks["noted"][slot] = 1
        return revisions

    def _stay_of(self, slot: int, spell: Spell, fences: FenceSet) -> Stay:
        """A spell as a stay.

        How well the fence explains one that was carried cannot be told by the fixes that are kept: once it is closed,
        what its visit says stands, until the store settles it.
        """
        stay = stay_of(spell, fences)
        if spell.carried and spell.state == CLOSED:
            told = (stay.fence_id, "closed", stay.arrived_ms, stay.fixes)
            for visit in self.log.newest[slot].values():
                if (visit.fence_id, visit.state, visit.arrived_ms, visit.fixes) == told:
                    return msgspec.structs.replace(stay, confidence=visit.confidence)
        return stay

    def _corrections(
        self, slot: int, spells: Sequence[Spell], stays: Sequence[Stay], patiently: bool
    ) -> list[Visit] | None:
        """The revisions where each spell has been told as a visit, at a fence of its own; None where it is not so."""
        rows = rows_of(self._devices.told, slot)
        ids, occupied = rows["fence"].tolist(), [spell.fence for spell in spells]
        if not self._devices.marks["noted"][slot] or ids != occupied or len(set(occupied)) < len(occupied):
            return None
        from_ms = int(self._devices.marks["told_from_ms"][slot])
        corrected: list[tuple[int, Any, Visit | None]] = []
        told_before = zip(spells, stays, rows.tolist(), self._told_as[slot], strict=True)
        for k, (spell, stay, known, visit_id) in enumerate(told_before):
            if spell.state == CLOSED and spell.departed_ms <= from_ms:
                continue
            visit = self.log.newest[slot].get(visit_id)
            if visit is None or visit.state == "retracted" or overlap_ms(stay, visit) < 0:
                return None
            revision = revised(visit, stay, patiently=patiently)
            told = _told(spell, stay, revision or visit)
            if told != known:
                corrected.append((k, told, revision))
        for k, told, _ in corrected:
            rows[k] = told
        revisions = [revision for *_, revision in corrected if revision is not None]
        self.log.note(slot, revisions)
        return revisions

    def _publish(self, slot: int, stays: Sequence[Stay], reason: str, from_ms: int, patiently: bool) -> list[Visit]:
        has_forgotten, newest = self._has_forgotten(slot), self.log.newest[slot].values()
        known = self._told_since(slot, from_ms, stays) if has_forgotten else newest
        revisions = revise(self.device_ids[slot], known, stays, reason, from_ms, END_OF_TIME_MS, patiently=patiently)
        self.log.note(slot, revisions)
        return revisions

    def _told_since(self, slot: int, from_ms: int, stays: Sequence[Stay]) -> list[Visit]:
        """The visits of a slot without those that began before and are not among the stays: the store has them."""
        carried = {stay.fence_id for stay in stays if stay.arrived_ms < from_ms}
        return [
            visit
            for visit in self.log.newest[slot].values()
            if visit.arrived_ms >= from_ms or visit.fence_id in carried
        ]

    def _doubt_ended(self, slot: int, spell: Spell, fences: FenceSet) -> None:
        """Let the store settle a stay that was carried to its end, as it has its beginning: once when it is closed, and
        once when that is final."""
        stay = (fences.fence_ids[spell.fence], spell.arrived_ms if spell.final else spell.last_ms)
        if stay not in self._ended.setdefault(slot, set()):
            self._ended[slot].add(stay)
            self._begun.add(slot)
            self._doubt(slot, spell.arrived_ms, spell.last_ms)

    def _settle_again(self, slots: Ints) -> None:
        """Let the store settle anew what it has settled of slots: something has changed among what is kept of them."""
        for slot in self._ended.keys() & set(slots.tolist()):
            del self._ended[slot]
            self._begun.add(slot)

    def _forget(self, slots: Ints, fences: FenceSet, rules: Rules) -> None:
        """Let go of fixes that are neither recent nor needed, and of visits that were over long before them."""
        if self.late:
            # What memory lets go must be in the store by the time the late span is settled.
            slots = slots[~np.isin(slots, list(self.late))]
        arrangement = arrangement_of(fences)
        context = (arrangement.ground, arrangement.overlaps, rules)
        for slot in forget(self._devices, slots, *context, RECENT_MS, RECENT_FIXES).tolist():
            self._begin_at(slot, anchor_of(self._devices, slot, fences))
            since_ms = int(rows_of(self._devices.paths.fixes, slot)["ts_ms"][0]) - RECENT_LOG_MS
            self.log.let_go(slot, since_ms)


def _columns(parts: Sequence[Changes], *names: str) -> Iterator[list[Ints]]:
    """A column of all parts for each name."""
    return ([getattr(part, name) for part in parts] for name in names)


def _told(spell: Spell, stay: Stay, visit: Visit | Stay) -> tuple[Any, ...]:
    """What is noted (``folding.TOLD``) of a spell, whose stay has been told as a visit."""
    lead_nats = spell.lead_nats if visit.confidence == stay.confidence else np.nan
    edges = (visit.departed_ms or 0, visit.departed_earliest_ms or 0, visit.departed_latest_ms or 0)
    arrival = (visit.arrived_ms, visit.arrived_earliest_ms, visit.arrived_latest_ms)
    return (spell.fence, spell.state, spell.row, *arrival, *edges, visit.fixes, lead_nats)
