"""What ``tracks`` does slot by slot, compiled: where fixes belong, what is new of the visits, what may be forgotten."""

from typing import Final, NamedTuple, Self

import numba as nb
import numpy as np

from geofence.stretches import Records, Table, empty_table, rows_at, with_slots
from geofence.visits.chain import FORGETTING, UNKNOWN
from geofence.visits.cleaning import DOUBLED_WITHIN_MS
from geofence.visits.derivation import told_spells
from geofence.visits.forgetting import cut_of, told_until_ms
from geofence.visits.log import MINOR_MS, MOMENTS
from geofence.visits.path import extend
from geofence.visits.spells import CLOSED, MARGIN_MS, SETTLED_AFTER_MS, SPELL, UNTOLD
from geofence.visits.tables import Path, PathTables, drop_fixes, path_at

END_OF_TIME_MS: Final = 2**62

NOTHING: Final = 0
STEPS: Final = 1
ENTRIES: Final = 2
SPELLS: Final = 3
"""The tables that may be short of room."""

SOUGHT_EVERY: Final = 16
"""In a long path it is looked after so many steps whether its front may be forgotten: it costs a pass over it."""

LONGEST: Final = 32
"""A path with so many times the fixes that are recent is cut among stays that are final, even where several paths are
possible still."""

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


MARK: Final = np.dtype([(name, np.int64) for name in ("kept_from_ms", "looked_ms", "told_from_ms", "noted", "written")])
"""Moments of a slot, epoch ms: see ``changes.Changes``. ``told_from_ms`` is the beginning of what its path can tell.

``noted`` is 1 where it is noted what has been told of its spells, 0 where only the visit log knows. ``written`` is how
many of its fixes, from the first on, are in the checkpoints; -1 where these do not know the device.
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
        more["noted"] = 1
        more["written"] = -1
        return type(self)(
            self.paths.with_slots(slots),
            with_slots(self.known, slots),
            with_slots(self.told, slots),
            np.concatenate((self.marks, more)),
        )

    def trimmed(self) -> Self:
        """In less memory, where paths have become shorter for good."""
        return self._replace(paths=self.paths.trimmed())


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
        devices.marks[slot].written = min(devices.marks[slot].written, 0)
        paths.fixes.stretch[slot].size = paths.pairs.stretch[slot].size = 0
        _leave_path(devices, slot)
        paths.heads[slot].first = paths.heads[slot].judged = 0
        paths.heads[slot].anchor = UNKNOWN


@nb.njit(cache=True, nogil=True)
def _leave_path(devices, slot):  # type: ignore[no-untyped-def]
    paths, head = devices.paths, devices.paths.heads[slot]
    paths.steps.stretch[slot].size = paths.entries.stretch[slot].size = 0
    head.fresh = head.settled = head.seek = 0
    head.previous = -1
    devices.known.stretch[slot].size = devices.told.stretch[slot].size = 0


@nb.njit(cache=True, nogil=True)
def advance(devices, slots, done, as_of_ms, ground, overlaps, rules, patiently):  # type: ignore[no-untyped-def]
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
        enough, path, more = extend(paths, slot, ground, overlaps, rules, as_of_ms[k])
        if not enough:
            short_of = ENTRIES
            break
        before = rows_at(devices.known, slot)
        derived = told_spells(path, before, more, ground, overlaps, rules, as_of_ms[k], patiently, False)
        own = devices.known.stretch[slot]
        if len(derived) > own.room:
            short_of = SPELLS
            paths.heads[slot].fresh -= 1  # or the spells that are known would be taken for those of this path
            break
        ended = _has_ended(derived, before)
        own.size = len(derived)
        devices.known.rows[own.begin : own.begin + own.size] = derived
        if mark.noted == 0 or ended or _is_news(derived, rows_at(devices.told, slot), patiently):
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
    head.seek = 0
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
        if start > 0 and fix.lat_e7 == fixes[start - 1].lat_e7 and fix.lon_e7 == fixes[start - 1].lon_e7:
            continue
        # Of two within a moment only one is used, so that these far apart are surely steps, or others near them are.
        if start > 0 and fixes[after].ts_ms - fix.ts_ms < 2 * DOUBLED_WITHIN_MS:
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
def _has_ended(derived, before):  # type: ignore[no-untyped-def]
    """Whether a stay that was carried is final, and was not before: now the store can settle it."""
    for spell in derived:
        if spell.carried > 0 and spell.final and spell.state == CLOSED:
            for known in before:
                if known.fence == spell.fence and known.first == spell.first and not known.final:
                    return True
    return False


@nb.njit(cache=True, nogil=True)
def _is_news(derived, told, patiently):  # type: ignore[no-untyped-def]
    """Whether what is derived differs from what has been told (see ``visits.log.revise``)."""
    at = 0
    for spell in derived:
        if spell.state == UNTOLD or (spell.carried > 0 and spell.final):
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
        counted = known.fixes == spell.carried + spell.last - spell.first + 1 and known.lead_nats == spell.lead_nats
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
    mark.told_from_ms = from_ms
    head.first, head.judged = path.steps[away].fix, len(path.fixes)
    _leave_path(devices, slot)


@nb.njit(cache=True, nogil=True)
def forget(devices, slots, ground, overlaps, rules, recent_ms, recent_fixes):  # type: ignore[no-untyped-def]
    """Drop fixes that are not recent: all of them where there is no path, otherwise those before a cut.

    The paths of ``slots`` are brought up to their fixes. Returns the slots that have a new beginning.
    """
    begun = np.empty(len(slots), np.int64)
    count = 0
    for slot in slots:
        fixes, mark, head = rows_at(devices.paths.fixes, slot), devices.marks[slot], devices.paths.heads[slot]
        if len(fixes) <= recent_fixes:
            continue
        recent = max(len(fixes) - recent_fixes, np.searchsorted(fixes.ts_ms, fixes[-1].ts_ms - recent_ms))
        if devices.paths.steps.stretch[slot].size == 0:
            if recent < head.first or len(fixes) <= max(2 * recent_fixes, head.seek):
                continue
            needed = _start_before(fixes, len(fixes) - 1, head.first, rules)
            head.seek = 2 * (len(fixes) - needed)
            if needed == 0 or recent == 0:
                continue
            head.anchor = UNKNOWN
            _drop(devices, slot, min(recent, needed))
            mark.kept_from_ms = rows_at(devices.paths.fixes, slot)[0].ts_ms
        elif not _cut(devices, slot, fixes[recent].ts_ms, ground, overlaps, rules, recent_fixes):
            continue
        begun[count] = slot
        count += 1
    return begun[:count]


@nb.njit(cache=True, nogil=True)
def _cut(devices, slot, recent_ms, ground, overlaps, rules, recent_fixes):  # type: ignore[no-untyped-def]
    """Let the path of a slot begin as late as it may whatever comes from ``recent_ms`` on; stays there are carried."""
    path, head = path_at(devices.paths, slot), devices.paths.heads[slot]
    steps = path.steps
    if len(steps) <= head.seek:
        return False
    head.seek = len(steps) + SOUGHT_EVERY
    sure = np.searchsorted(steps.ts_ms, recent_ms)
    if sure == 0:
        return False
    front = Path(path.fixes, path.pairs, steps[:sure], path.entries)
    known = rows_at(devices.known, slot)
    cut = cut_of(front, known, ground, overlaps, rules, len(steps) > LONGEST * recent_fixes)
    if cut == 0:
        return False
    mark = devices.marks[slot]
    kept_from_ms, told_until = steps[sure - 1].ts_ms + 1, told_until_ms(front, known, cut, ground, rules)
    head.anchor = steps[cut].best
    kept = 0
    for spell in known:
        if spell.last < cut:
            continue
        spell.carried += max(0, cut - spell.first)
        spell.first, spell.last = max(0, spell.first - cut), spell.last - cut
        known[kept] = spell
        kept += 1
    _drop(devices, slot, steps[cut].fix)
    devices.known.stretch[slot].size = kept
    mark.kept_from_ms, mark.told_from_ms = kept_from_ms, max(mark.told_from_ms, told_until)
    return True


@nb.njit(cache=True, nogil=True)
def _drop(devices, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first so many fixes of a slot, with the part of its path that they make."""
    if count == 0:
        return
    steps = drop_fixes(devices.paths, slot, count)
    mark, head = devices.marks[slot], devices.paths.heads[slot]
    mark.told_from_ms = max(mark.told_from_ms, rows_at(devices.paths.fixes, slot)[0].ts_ms)
    mark.written = max(mark.written - count, min(mark.written, 0))
    head.first = max(0, head.first - count)
    head.judged -= count
    head.previous = max(-1, head.previous - count)
    head.fresh = max(0, head.fresh - steps)
    head.settled = max(0, head.settled - steps)
    head.seek = max(0, head.seek - steps)
    devices.told.stretch[slot].size = mark.noted = 0
