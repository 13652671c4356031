"""What is left of pings, of fixes and of what is kept of devices once a part of it was erased. Pure."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from dispatch.erased import ErasedSpans
from geofence.changes import Changes
from geofence.fixes import Fixes
from stream.columns import PingColumns

NOBODY: Final = "erased/"
"""How the names of slots begin that are nobody's any more; their number follows."""


def kept_of(device_id: str, fixes: Fixes, spans: ErasedSpans) -> npt.NDArray[np.bool_]:
    """Which fixes of a device were not erased."""
    kept = np.ones(len(fixes), np.bool_)
    for span in spans.spans_of(device_id):
        kept &= (fixes.ts_ms < int(span.from_ms)) | (fixes.ts_ms >= int(span.to_ms))
    return kept


def unerased(pings: PingColumns, spans: ErasedSpans) -> PingColumns:
    """The pings of a frame that were not erased: who is erased may have a phone that still sends what it kept."""
    concerned = (
        [number for number, device_id in enumerate(pings.device_ids) if spans.spans_of(device_id)] if spans else []
    )
    if not concerned:
        return pings
    kept, ts_ms = np.ones(len(pings), np.bool_), pings.fixes.ts_ms
    for number in concerned:
        for span in spans.spans_of(pings.device_ids[number]):
            within = (ts_ms >= int(span.from_ms)) & (ts_ms < int(span.to_ms))
            kept &= ~((pings.device == number) & within)
    if kept.all():
        return pings
    device, fixes, record = pings.device[kept], pings.fixes.take(kept), pings.record[kept]
    numbers, device = np.unique(device, return_inverse=True)
    device_ids = [pings.device_ids[number] for number in numbers.tolist()]
    return replace(pings, device_ids=device_ids, device=device.astype(np.int64), fixes=fixes, record=record)


def without(everything: Changes, device_ids: Sequence[str], from_ms: Mapping[int, int], spans: ErasedSpans) -> Changes:
    """All that is kept of the devices of a partition, of some slots only the fixes ``from_ms`` on.

    Of the visits of these what began in a span is gone, and everything by which they go on from what was before. The
    slot of a device of which nothing is left, that nobody held before, is nobody's: not even the name stays.
    """
    slot_of_fix = np.repeat(everything.slots, everything.fresh)
    bound_ms = np.full(len(device_ids), np.iinfo(np.int64).min)
    for slot, moment_ms in from_ms.items():
        bound_ms[slot] = moment_ms
    kept = everything.fixes.ts_ms >= bound_ms[slot_of_fix]
    left = np.bincount(slot_of_fix[kept], minlength=len(device_ids))
    revised = {
        slot: [visit for visit in visits if slot not in from_ms or not spans.covers(visit.device_id, visit.arrived_ms)]
        for slot, visits in everything.revised.items()
    }
    nothing_left = {slot for slot in from_ms if not left[slot] and not revised.get(slot)}
    return replace(
        everything,
        size=left[everything.slots],
        fresh=left[everything.slots],
        fixes=everything.fixes.take(kept),
        names={slot: _name(slot, device_id, nothing_left, spans) for slot, device_id in enumerate(device_ids)},
        revised=revised,
        late={slot: span for slot, span in everything.late.items() if slot not in from_ms},
        beginnings={slot: each for slot, each in everything.beginnings.items() if slot not in from_ms},
    )


def _name(slot: int, device_id: str, nothing_left: Container[int], spans: ErasedSpans) -> str:
    is_all = any(span.from_ms == 0 for span in spans.spans_of(device_id))
    return f"{NOBODY}{slot}" if slot in nothing_left and is_all else device_id
