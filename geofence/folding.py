"""What ``tracks`` does slot by slot, compiled: where fixes belong, what is new of the visits, what may be forgotten."""

from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.visits.chain import FORGETTING
from geofence.visits.derivation import SETTLED_AFTER_MS, keep_from, told_spells
from geofence.visits.log import MINOR_MS, MOMENTS
from geofence.visits.path import extend
from geofence.visits.spells import CLOSED, MARGIN_MS, SPELL, UNTOLD
from geofence.visits.tables import Ints, drop_entries, drop_fixes, drop_pairs, drop_steps

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


class ToldTable(NamedTuple):
    """What has been told of the spells in each slot's path, in their order (``TOLD``)."""

    begin: Ints
    size: Ints
    room: Ints
    end: Ints
    spell: npt.NDArray[np.void]


class SpellTable(NamedTuple):
    """The spells of each slot's path as they were derived last."""

    begin: Ints
    size: Ints
    room: Ints
    end: Ints
    spell: npt.NDArray[np.void]


class Marks(NamedTuple):
    """Moments of each slot, epoch ms: see ``Track``. ``told_from_ms`` is the beginning of what its path can tell.

    ``noted`` is 1 where ``ToldTable`` has what has been told, 0 where only the visit log knows.
    """

    kept_from_ms: Ints
    restart_ms: Ints
    looked_ms: Ints
    told_from_ms: Ints
    noted: Ints


FOLLOWING: Final = 0
DISORDERED: Final = 1
KNOWN: Final = 2
LATE: Final = 3
"""How a fix stands to those that are kept: after all of them, among them, one of them, or before them."""


@nb.njit(cache=True, nogil=True)
def standing_of(kept, kept_from_ms, slots, ts_ms, lat_e7, lon_e7, accuracy_dm, speed_cm_s):  # type: ignore[no-untyped-def]
    """How each of some fixes, sorted by slot and then as ``Fixes.in_order``, stands to those that are kept: uint8[n].

    Of copies the one with the least accuracy radius, then the least speed, counts.
    """
    standing = np.empty(len(slots), np.uint8)
    for i in range(len(slots)):
        slot = slots[i]
        again = i > 0 and slots[i - 1] == slot and ts_ms[i - 1] == ts_ms[i]
        if again and lat_e7[i - 1] == lat_e7[i] and lon_e7[i - 1] == lon_e7[i]:
            standing[i] = KNOWN
            continue
        if ts_ms[i] < kept_from_ms[slot]:
            standing[i] = LATE
            continue
        low, end = kept.begin[slot], kept.begin[slot] + kept.size[slot]
        standing[i] = FOLLOWING
        if low == end or kept.ts_ms[end - 1] < ts_ms[i]:
            continue
        high = end
        while low < high:
            middle = (low + high) // 2
            if (kept.ts_ms[middle], kept.lat_e7[middle], kept.lon_e7[middle]) < (ts_ms[i], lat_e7[i], lon_e7[i]):
                low = middle + 1
            else:
                high = middle
        if low == end:
            continue
        standing[i] = DISORDERED
        same = kept.ts_ms[low] == ts_ms[i] and kept.lat_e7[low] == lat_e7[i] and kept.lon_e7[low] == lon_e7[i]
        if same and (kept.accuracy_dm[low], kept.speed_cm_s[low]) <= (accuracy_dm[i], speed_cm_s[i]):
            standing[i] = KNOWN
    return standing


@nb.njit(cache=True, nogil=True)
def clear(paths, known, told, marks, slots):  # type: ignore[no-untyped-def]
    """Forget the fixes of slots."""
    for slot in slots:
        marks.noted[slot] = 0
        paths.fixes.size[slot] = paths.pairs.size[slot] = 0
        _leave_path(paths, known, told, slot)
        paths.first[slot] = paths.judged[slot] = 0


@nb.njit(cache=True, nogil=True)
def _leave_path(paths, known, told, slot):  # type: ignore[no-untyped-def]
    paths.steps.size[slot] = paths.entries.size[slot] = paths.fresh[slot] = paths.settled[slot] = 0
    known.size[slot] = told.size[slot] = 0
    paths.previous[slot] = -1


@nb.njit(cache=True, nogil=True)
def advance(paths, known, told, marks, slots, done, as_of_ms, ground, overlaps, rules, patiently, recent_fixes):  # type: ignore[no-untyped-def]
    """Bring the paths of ``slots[done:]`` up to their fixes as of ``as_of_ms[done:]``.

    Returns how many of all slots are done, in which table the next one needs more room, the slots of which there is
    something to tell, where the spells of each begin (one more than slots), and these spells.
    """
    news = np.empty(len(slots) - done, np.int64)
    begins = np.zeros(len(slots) - done + 1, np.int64)
    spells = np.empty(16, SPELL)
    count = 0
    short_of = NOTHING
    k = done
    while k < len(slots):
        slot = slots[k]
        marks.looked_ms[slot] = as_of_ms[k]
        if paths.steps.size[slot] == 0 and not _comes_near(paths, slot, rules):
            if marks.noted[slot] == 0:
                news[count] = slot
                count += 1
                begins[count] = begins[count - 1]
            k += 1
            continue
        if paths.steps.room[slot] < paths.fixes.size[slot]:
            short_of = STEPS
            break
        enough, path = extend(paths, slot, ground, overlaps, rules, as_of_ms[k])
        if not enough:
            short_of = ENTRIES
            break
        before = known.spell[known.begin[slot] : known.begin[slot] + (known.size[slot] if patiently else 0)]
        derived = told_spells(path, before, ground, overlaps, rules, as_of_ms[k], False)
        if len(derived) > known.room[slot]:
            short_of = SPELLS
            break
        known.spell[known.begin[slot] : known.begin[slot] + len(derived)] = derived
        known.size[slot] = len(derived)
        if marks.noted[slot] == 0 or _is_news(derived, told, slot, patiently):
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
            _rest(paths, known, told, marks, slot, path, derived)
        elif marks.restart_ms[slot] == END_OF_TIME_MS and _is_long(path, recent_fixes):
            keep = keep_from(path, derived)
            if keep > 0:
                marks.restart_ms[slot] = paths.fixes.ts_ms[paths.fixes.begin[slot] + keep]
        k += 1
    return k, short_of, news[:count], begins[: count + 1], spells[: begins[count]]


@nb.njit(cache=True, nogil=True)
def _comes_near(paths, slot, rules):  # type: ignore[no-untyped-def]
    """Whether one of the new fixes of a slot without a path is near a fence: then its path begins well before it."""
    fixes, pairs = paths.fixes, paths.pairs
    base, count = fixes.begin[slot], fixes.size[slot]
    near = paths.judged[slot]
    while near < count and _pairs_end(fixes, pairs, slot, near) == fixes.pair_begin[base + near]:
        near += 1
    paths.judged[slot] = near
    if near == count:
        return False
    start = _start_before(fixes, slot, near, paths.first[slot], rules)
    paths.first[slot] = paths.judged[slot] = start
    return True


@nb.njit(cache=True, nogil=True)
def _pairs_end(fixes, pairs, slot, i):  # type: ignore[no-untyped-def]
    return fixes.pair_begin[fixes.begin[slot] + i + 1] if i + 1 < fixes.size[slot] else pairs.size[slot]


@nb.njit(cache=True, nogil=True)
def _start_before(fixes, slot, near, least, rules):  # type: ignore[no-untyped-def]
    """Where a path that first comes near something with fix ``near`` may begin: a restart point (see ``keep_from``)."""
    base = fixes.begin[slot]
    ts_ms, lat_e7, lon_e7 = fixes.ts_ms, fixes.lat_e7, fixes.lon_e7
    forgotten = 0.0
    beyond = 0
    start = near
    after = near
    while start > least:
        start -= 1
        at = base + start
        moved = start == 0 or lat_e7[at] != lat_e7[at - 1] or lon_e7[at] != lon_e7[at - 1]
        if not moved or (start > 0 and ts_ms[at] - ts_ms[at - 1] <= 1_000):
            continue
        if forgotten >= FORGETTING and ts_ms[base + near] - ts_ms[at] > MARGIN_MS:
            beyond += 1
            if beyond > 3:
                break
        gap_s = (ts_ms[base + after] - ts_ms[at]) / 1000.0
        forgotten += 1.0 - np.exp(-gap_s / 2.0 / rules.correlation_s)
        after = start
    return start


@nb.njit(cache=True, nogil=True)
def _is_news(derived, told, slot, patiently):  # type: ignore[no-untyped-def]
    """Whether what is derived differs from what has been told (see ``visits.log.revise``)."""
    at = told.begin[slot]
    end = at + told.size[slot]
    for spell in derived:
        if spell.state == UNTOLD:
            continue
        if at == end:
            return True
        known = told.spell[at]
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
    return at != end


@nb.njit(cache=True, nogil=True)
def _is_over(path, derived):  # type: ignore[no-untyped-def]
    """Whether nothing that comes in order can change the spells of a path, nor depend on it."""
    for spell in derived:
        if not spell.final:
            return False
    forgotten = 0.0
    for i in range(len(path.used) - 2, 0, -1):
        if path.cells[i] > 0:
            return False
        if forgotten >= FORGETTING:
            return True
        forgotten += path.weight[i]
    return False


@nb.njit(cache=True, nogil=True)
def _is_long(path, recent_fixes):  # type: ignore[no-untyped-def]
    """Whether to look for a restart point: now and then, for it costs a pass over the path."""
    steps = len(path.used)
    return steps > recent_fixes and steps % SEEN_TO_EVERY == 0


@nb.njit(cache=True, nogil=True)
def _rest(paths, known, told, marks, slot, path, derived):  # type: ignore[no-untyped-def]
    """Leave a path that is over; one that begins later may begin with the first fix that is far from everything."""
    away = len(path.used) - 1
    while away > 0 and path.cells[away - 1] == 0:
        away -= 1
    from_ms = path.ts_ms[away]
    for spell in derived:
        if spell.state != UNTOLD:
            from_ms = max(from_ms, spell.departed_ms)
    if from_ms == path.ts_ms[away] and marks.restart_ms[slot] == END_OF_TIME_MS:
        marks.restart_ms[slot] = from_ms
    marks.told_from_ms[slot] = from_ms
    paths.first[slot] = path.used[away]
    paths.judged[slot] = paths.fixes.size[slot]
    _leave_path(paths, known, told, slot)


@nb.njit(cache=True, nogil=True)
def forget(paths, known, told, marks, slots, recent_ms, recent_fixes):  # type: ignore[no-untyped-def]
    """Drop fixes before a restart point that is not recent any more; far from everything any one is."""
    for slot in slots:
        base, count = paths.fixes.begin[slot], paths.fixes.size[slot]
        if count <= recent_fixes:
            continue
        ts_ms = paths.fixes.ts_ms[base : base + count]
        recent = max(count - recent_fixes, np.searchsorted(ts_ms, ts_ms[-1] - recent_ms))
        if marks.restart_ms[slot] <= ts_ms[recent]:
            _drop(paths, known, told, marks, slot, np.searchsorted(ts_ms, marks.restart_ms[slot]))
            marks.restart_ms[slot] = END_OF_TIME_MS
        elif paths.steps.size[slot] == 0 and recent >= paths.first[slot] and count > 2 * recent_fixes:
            _drop(paths, known, told, marks, slot, recent)
            marks.restart_ms[slot] = END_OF_TIME_MS


@nb.njit(cache=True, nogil=True)
def _drop(paths, known, told, marks, slot, count):  # type: ignore[no-untyped-def]
    """Drop the first so many fixes of a slot, with the part of its path that they make."""
    if count == 0:
        return
    fixes, pairs, steps, entries = paths.fixes, paths.pairs, paths.steps, paths.entries
    pair_count = fixes.pair_begin[fixes.begin[slot] + count]
    step_count = np.searchsorted(steps.fix[steps.begin[slot] : steps.begin[slot] + steps.size[slot]], count)
    entry_count = 0
    if 0 < step_count < steps.size[slot]:
        entry_count = steps.row_begin[steps.begin[slot] + step_count]
    drop_entries(entries, slot, entry_count)
    drop_steps(steps, slot, step_count, count, pair_count, entry_count)
    drop_pairs(pairs, slot, pair_count)
    drop_fixes(fixes, slot, count, pair_count)
    marks.kept_from_ms[slot] = fixes.ts_ms[fixes.begin[slot]]
    marks.told_from_ms[slot] = max(marks.told_from_ms[slot], marks.kept_from_ms[slot])
    paths.first[slot] = max(0, paths.first[slot] - count)
    paths.judged[slot] -= count
    paths.previous[slot] = max(-1, paths.previous[slot] - count)
    paths.fresh[slot] = max(0, paths.fresh[slot] - step_count)
    paths.settled[slot] = max(0, paths.settled[slot] - step_count)
    known.size[slot] = told.size[slot] = marks.noted[slot] = 0
