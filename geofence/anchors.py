"""Where the path of a device begins once its front is forgotten: taken down in fence ids, and taken up again."""

import numpy as np

from geofence.changes import Anchor, Carried
from geofence.fences import FenceSet
from geofence.folding import Devices
from geofence.rules import Rules
from geofence.stretches import rows_of, with_room
from geofence.visits.arrangement import arrangement_of
from geofence.visits.chain import UNKNOWN
from geofence.visits.path import resumed
from geofence.visits.spells import SPELL


def anchor_of(devices: Devices, slot: int, fences: FenceSet) -> Anchor | None:
    """Where the path of a slot begins, with fences as it knows them; None where it begins with nothing known."""
    label = int(devices.paths.heads["anchor"][slot])
    if label == UNKNOWN:
        return None
    stays = rows_of(devices.known, slot)
    carried = tuple(
        Carried(fences.fence_ids[stay["fence"]], *(stay[name].item() for name in Carried.__struct_fields__[1:]))
        for stay in stays[stays["carried"] > 0]
    )
    step = rows_of(devices.paths.steps, slot)[0]
    row = rows_of(devices.paths.entries, slot)[: step["row_end"]]
    arrangement = arrangement_of(fences)
    return Anchor(
        arrangement.fences_of(label),
        carried,
        tuple(arrangement.fences_of(place + 1) for place in row["place"].tolist()),
        (int(step["out_score"]), int(step["far_score"]), *row["score"].tolist()),
        tuple(row["pace"].tolist()),
        int(devices.marks["told_from_ms"][slot]),
    )


def begun_at(devices: Devices, slot: int, anchor: Anchor, fences: FenceSet, rules: Rules) -> tuple[Devices, bool]:
    """Devices of which the path of a slot begins at an anchor, with the first fix that is kept.

    False where the fences there are no more: then only the store can tell what became of the stays that are carried.
    """
    arrangement, own = arrangement_of(fences), np.array([slot])
    first_ms = int(rows_of(devices.paths.fixes, slot)["ts_ms"][0])
    devices.marks["told_from_ms"][slot] = anchor.told_from_ms
    periods = [arrangement.period_at(stay.fence_id, first_ms) for stay in anchor.carried]
    known = with_room(devices.known, own, np.array([len(periods)]))
    count = 0
    for stay, found in zip(anchor.carried, periods, strict=True):
        if found is not None:
            known.stretch["size"][slot] = count = count + 1
            spell = rows_of(known, slot)[count - 1 :]
            spell[:] = np.zeros(1, SPELL)
            spell["fence"], spell["period"] = found
            spell["last_ms"] = spell["told_ms"] = first_ms
            for name in Carried.__struct_fields__[1:]:
                spell[name] = getattr(stay, name)
    devices = devices._replace(known=known)
    label = arrangement.label_of(anchor.fence_ids)
    if label is None:
        return devices, False
    labels = [(arrangement.label_of(place), pace, score) for place, pace, score in anchor.active()]
    active = [(place - 1, pace, score) for place, pace, score in labels if place is not None]
    return devices._replace(paths=resumed(devices.paths, slot, label, anchor.scores[:2], active, rules)), True
