"""What ``tracks`` does slot by slot, compiled: where fixes belong, what is new of the visits, what may be forgotten."""

from typing import Final, NamedTuple, Self

import numba as nb
import numpy as np

from geofence.stretches import Records, Table, empty_table, rows_at, with_slots
from geofence.visits.chain import FORGETTING
from geofence.visits.derivation import SETTLED_AFTER_MS, keep_from, told_spells
from geofence.visits.log import MINOR_MS, MOMENTS
from geofence.visits.path import extend
from geofence.visits.spells import CLOSED, MARGIN_MS, SPELL, UNTOLD
from geofence.visits.tables import PathTables, drop_fixes

END_OF_TIME_MS: Final = 2**62

NOTHING: Final = 0
STEPS: Final = 1
ENTRIES: Final = 2
SPELLS: Final = 3
"""The tables that may be short of room."""

SEEN_TO_EVERY: Final = 16
"""A long path is searched for a restart point after so many steps."""


TOLD: Final = np.dtype(
    [
        ("fence", np.int64),
        ("state", np.int64),
        ("row", np.int64),
        *((name, np.int64) for name in MOMENTS),
        ("fixes", np.int64),
        ("lead_nats", np.float64),
    ]
)
"""What has been told of a spell: fields of ``spells.SPELL``, the edges as they were published."""


MARK: Final = np.dtype(
    [(name, np.int64) for name in ("kept_from_ms", "restart_ms", "looked_ms", "told_from_ms", "noted")]
)
"""Moments of a slot, epoch ms: see ``Track``. ``told_from_ms`` is the beginning of what its path can tell.

``noted`` is 1 where it is noted what has been told of its spells, 0 where only the visit log knows.
"""


class Devices(NamedTuple):
    """What is kept of each slot besides its visit log: its path, the spells of the path as they were derived last
    (``spells.SPELL``), what has been told of them in their order (``TOLD``), and its marks (``MARK``)."""

    paths: PathTables
    known: Table
    told: Table
    marks: Records

    @classmethod
    def of_slots(cls, slots: int) -> Self:
        """Devices of which nothing is known."""
        nobody = cls(PathTables.of_slots(0), empty_table(SPELL), empty_table(TOLD), np.zeros(0, MARK))
        return nobody.with_slots(slots)

    def with_slots(self, slots: int) -> Self:
        """With new devices in all slots up to ``slots``."""
        more = np.zeros(slots - len(self.marks), MARK)
        more["kept_from_ms"] = more["looked_ms"] = more["told_from_ms"] = -END_OF_TIME_MS
        more["restart_ms"], more["noted"] = END_OF_TIME_MS, 1
        return type(self)(
            self.paths.with_slots(slots),
            with_slots(self.known, slots),
            with_slots(self.told, slots),
            np.concatenate((self.marks, more)),
        )


FOLLOWING: Final = 0
DISORDERED: Final = 1
KNOWN: Final = 2
LATE: Final = 3
"""How a fix stands to those that are kept: after all of them, among them, one of them, or before them."""


@nb.njit(cache=True, nogil=True)
def standing_of(devices, slots, ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s):  # type: ignore[no-untyped-def]
    """How each of some fixes, sorted by slot and then as ``Fixes.in_order``, stands to those that are kept: uint8[n].

    Of copies the one with the least accuracy radius, then the least speed, counts.
    """
    fixes, marks = devices.paths.fixes, devices.marks
    standing = np.empty(len(slots), np.uint8)
    for i in range(len(slots)):
        slot = slots[i]
        again = i > 0 and slots[i - 1] == slot and ts_ms[i - 1] == ts_ms[i]
        if again and lat_e7[i - 1] == lat_e7[i] and lon_e7[i - 1] == lon_e7[i]:
            standing[i] = KNOWN
            continue
        if ts_ms[i] < marks[slot].kept_from_ms:
            standing[i] = LATE
            continue
        kept = rows_at(fixes, slot)
        standing[i] = FOLLOWING
        if len(kept) == 0 or kept[-1].ts_ms < ts_ms[i]:
            continue
        low, high = 0, len(kept)
        while low < high:
            middle = (low + high) // 2
            if (kept[middle].ts_ms, kept[middle].lat_e7, kept[middle].lon_e7) < (ts_ms[i], lat_e7[i], lon_e7[i]):
                low = middle + 1
            else:
                high = middle
        if low == len(kept):
            continue
        standing[i] = DISORDERED
        found = kept[low]
        same = found.ts_ms == ts_ms[i] and found.lat_e7 == lat_e7[i] and found.lon_e7 == lon_e7[i]
        if same and (found.accuracy_dm, found.speed_cm_s) <= (accuracy_dm[i], speed_cm_s[i]):
            standing[i] = KNOWN
    return standing


@nb.njit(cache=True, nogil=True)
def clear(devices, slots):  # type: ignore[no-untyped-def]
    """Forget the fixes of slots."""
    paths = devices.paths
    for slot in slots:
        devices.marks[slot].noted = 0
        paths.fixes.stretch[slot].size = paths.pairs.stretch[slot].size = 0
        _leave_path(devices, slot)
        paths.heads[slot].first = paths.heads[slot].judged = 0


@nb.njit(cache=True, nogil=True)
def _leave_path(devices, slot):  # type: ignore[no-untyped-def]
    paths, head = devices.paths, devices.paths.heads[slot]
    paths.steps.stretch[slot].size = paths.entries.stretch[slot].size = 0
    head.fresh = head.settled = 0
    head.previous = -1
    devices.known.stretch[slot].size = devices.told.stretch[slot].size = 0


@nb.njit(cache=True, nogil=True)
def advance(devices, slots, done, as_of_ms, ground, overlaps, rules, patiently, recent_fixes):  # type: ignore[no-untyped-def]
    """Bring the paths of ``slots[done:]`` up to their fixes as of ``as_of_ms[done:]``.

    Returns how many of all slots are done, in which table the next one needs more room, the slots of which there is
    something to tell, where the spells of each begin (one more than slots), and these spells.
    """
    paths = devices.paths
    news = np.empty(len(slots) - done, np.int64)
    begins = np.zeros(len(slots) - done + 1, np.int64)
    spells = np.empty(16, SPELL)
    count = 0
    short_of = NOTHING
    k = done
    while k < len(slots):
        slot = slots[k]
        mark = devices.marks[slot]
        mark.looked_ms = as_of_ms[k]
        if paths.steps.stretch[slot].size == 0 and not _comes_near(paths, slot, rules):
            if mark.noted == 0:
                news[count] = slot
                count += 1
                begins[count] = begins[count - 1]
            k += 1
            continue
        if paths.steps.stretch[slot].room < paths.fixes.stretch[slot].size:
            short_of = STEPS
            break
        enough, path = extend(paths, slot, ground, overlaps, rules, as_of_ms[k])
        if not enough:
            short_of = ENTRIES
            break
        before = rows_at(devices.known, slot)
        derived = told_spells(path, before if patiently else before[:0], ground, overlaps, rules, as_of_ms[k], False)
        own = devices.known.stretch[slot]
        if len(derived) > own.room:
            short_of = SPELLS
            break
        own.size = len(derived)
        devices.known.rows[own.begin : own.begin + own.size] = derived
        if mark.noted == 0 or _is_news(derived, rows_at(devices.told, slot), patiently):
            end = begins[count]
            for spell in derived:
                if spell.state != UNTOLD:
                    if end == len(spells):
                        spells = np.concatenate((spells, np.empty_like(spells)))
                    spells[end] = spell
                    end += 1
            news[count] = slot
            count += 1
            begins[count] = end
        elif _is_over(path, derived):
            _rest(devices, slot, path, derived)
        elif mark.restart_ms == END_OF_TIME_MS and _is_long(path, recent_fixes):
            keep = keep_from(path, derived)
            if keep > 0:
                mark.restart_ms = path.fixes[keep].ts_ms
        k += 1
    return k, short_of, news[:count], begins[: count + 1], spells[: begins[count]]


@nb.njit(cache=True, nogil=True)
def _comes_near(paths, slot, rules):  # type: ignore[no-untyped-def]
    """Whether one of the new fixes of a slot without a path is near a fence: then its path begins well before it."""
    head, fixes = paths.heads[slot], rows_at(paths.fixes, slot)
    pairs = paths.pairs.stretch[slot].size
    near = head.judged
    while near < len(fixes) and fixes[near].pair_begin == (
        fixes[near + 1].pair_begin if near + 1 < len(fixes) else pairs
    ):
        near += 1
    head.judged = near
    if near == len(fixes):
        return False
    head.first = head.judged = _start_before(fixes, near, head.first, rules)
    return True


@nb.njit(cache=True, nogil=True)
def _start_before(fixes, near, least, rules):  # type: ignore[no-untyped-def]
    """Where a path that first comes near something with fix ``near`` may begin: a restart point (see ``keep_from``)."""
    forgotten = 0.0
    beyond = 0
    start = near
    after = near
    while start > least:
        start -= 1
        fix = fixes[start]
        if start > 0:
            before = fixes[start - 1]
            moved = fix.lat_e7 != before.lat_e7 or fix.lon_e7 != before.lon_e7
            if not moved or fix.ts_ms - before.ts_ms <= 1_000:
                continue
        if forgotten >= FORGETTING and fixes[near].ts_ms - fix.ts_ms > MARGIN_MS:
            beyond += 1
            if beyond > 3:
                break
        gap_s = (fixes[after].ts_ms - fix.ts_ms) / 1000.0
        forgotten += 1.0 - np.exp(-gap_s / 2.0 / rules.correlation_s)
        after = start
    return start


@nb.njit(cache=True, nogil=True)
def _is_news(derived, told, patiently):  # type: ignore[no-untyped-def]
    """Whether what is derived differs from what has been told (see ``visits.log.revise``)."""
    at = 0
    for spell in derived:
        if spell.state == UNTOLD:
            continue
        if at == len(told):
            return True
        known = told[at]
        at += 1
        if known.fence != spell.fence or known.state != spell.state or known.row != spell.row:
            return True
        closed = spell.state == CLOSED
        settled = spell.final if closed else spell.last_ms - spell.arrived_ms > SETTLED_AFTER_MS
        moved_ms = max(
            abs(known.arrived_ms - spell.arrived_ms),
            abs(known.arrived_earliest_ms - min(spell.arrived_earliest_ms, spell.arrived_ms)),
            abs(known.arrived_latest_ms - spell.arrived_latest_ms),
        )
        if closed:
            moved_ms = max(
                moved_ms,
                abs(known.departed_ms - spell.departed_ms),
                abs(known.departed_earliest_ms - spell.departed_earliest_ms),
                abs(known.departed_latest_ms - spell.departed_latest_ms),
            )
        exactly = settled or not patiently
        if moved_ms >= (1 if exactly else MINOR_MS):
            return True
        counted = known.fixes == spell.last - spell.first + 1 and known.lead_nats == spell.lead_nats
        if closed and exactly and not counted:
            return True
    return at != len(told)


@nb.njit(cache=True, nogil=True)
def _is_over(path, derived):  # type: ignore[no-untyped-def]
    """Whether nothing that comes in order can change the spells of a path, nor depend on it."""
    for spell in derived:
        if not spell.final:
            return False
    forgotten = 0.0
    for i in range(len(path.steps) - 2, 0, -1):
        if path.steps[i].cells > 0:
            return False
        if forgotten >= FORGETTING:
            return True
        forgotten += path.steps[i].weight
    return False


@nb.njit(cache=True, nogil=True)
def _is_long(path, recent_fixes):  # type: ignore[no-untyped-def]
    """Whether to look for a restart point: now and then, for it costs a pass over the path."""
    steps = len(path.steps)
    return steps > recent_fixes and steps % SEEN_TO_EVERY == 0


@nb.njit(cache=True, nogil=True)
def _rest(devices, slot, path, derived):  # type: ignore[no-untyped-def]
    """Leave a path that is over; one that begins later may begin with the first fix that is far from everything."""
    mark, head = devices.marks[slot], devices.paths.heads[slot]
    away = len(path.steps) - 1
    while away > 0 and path.steps[away - 1].cells == 0:
        away -= 1
    away_ms = path.steps[away].ts_ms
    from_ms = away_ms
    for spell in derived:
        if spell.state != UNTOLD:
            from_ms = max(from_ms, spell.departed_ms)
    if from_ms == away_ms and mark.restart_ms == END_OF_TIME_MS:
        mark.restart_ms = from_ms
    mark.told_from_ms = from_ms
    head.first, head.judged = path.steps[away].fix, len(path.fixes)
    _leave_path(devices, slot)


@nb.njit(cache=True, nogil=True)
def forget(devices, slots, recent_ms, recent_fixes):  # type: ignore[no-untyped-def]
    """Drop fixes before a restart point that is not recent any more; far from everything any one is."""
    for slot in slots:
        fixes, mark = rows_at(devices.paths.fixes, slot), devices.marks[slot]
        count = len(fixes)
        if count <= recent_fixes:
            continue
        recent = max(count - recent_fixes, np.searchsorted(fixes.ts_ms, fixes[-1].ts_ms - recent_ms))
        if mark.restart_ms <= fixes[recent].ts_ms:
            _drop(devices, slot, np.searchsorted(fixes.ts_ms, mark.restart_ms))
            mark.restart_ms = END_OF_TIME_MS
        elif (
            devices.paths.steps.stretch[slot].size == 0
            and recent >= devices.paths.heads[slot].first
            and count > 2 * recent_fixes
        ):
            _drop(devices, slot, recent)
            mark.restart_ms = END_OF_TIME_MS


@nb.njit(cache=True, nogil=True)
def _drop(devices, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first so many fixes of a slot, with the part of its path that they make."""
    if count == 0:
        return
    steps = drop_fixes(devices.paths, slot, count)
    mark, head = devices.marks[slot], devices.paths.heads[slot]
    mark.kept_from_ms = rows_at(devices.paths.fixes, slot)[0].ts_ms
    mark.told_from_ms = max(mark.told_from_ms, mark.kept_from_ms)
    head.first = max(0, head.first - count)
    head.judged -= count
    head.previous = max(-1, head.previous - count)
    head.fresh = max(0, head.fresh - steps)
    head.settled = max(0, head.settled - steps)
    devices.known.stretch[slot].size = devices.told.stretch[slot].size = mark.noted = 0
