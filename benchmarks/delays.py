"""How long after a ping the visit event that it brings about is told.

Which ping brings about which event is derived beforehand (``benchmarks.causes``). Two moments are measured from: that
of the 202 of the ping's request, and that of the request going out. Left out are events that were told before their
ping was posted, as silence is evidence too, and those that were never told as such, because the device's next request
was folded together with theirs; both are counted.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.causes import tipping_pings
from benchmarks.listener import Listener
from benchmarks.load import DEVICES, Load, build_load
from benchmarks.offsets import behind, ends_of
from benchmarks.traffic import Posted
from schemas.topics import PINGS, TRACKER_GROUP

DEVICE_PINGS_PER_S: Final = 0.107
"""About, in the load's own time."""
_LOOK_S: Final = 0.2


@dataclass(frozen=True, eq=False)
class Delays:
    """``since_202_s`` and ``since_post_s`` float64[n] are those of the events measured."""

    since_202_s: npt.NDArray[np.float64]
    since_post_s: npt.NDArray[np.float64]
    told_by_silence: int
    never_told: int
    unaccepted: int
    """Events whose ping was refused to the end."""

    def figures(self) -> dict[str, float]:
        """Milliseconds and counts."""
        told = {"": self.since_202_s, "_from_post": self.since_post_s}
        return {
            f"p{share}{since}_ms": float(np.percentile(seconds, share)) * 1000
            for since, seconds in told.items()
            for share in (50, 99)
        } | {
            "events": len(self.since_202_s),
            "events_told_by_silence": self.told_by_silence,
            "events_never_told": self.never_told,
            "events_of_refused_pings": self.unaccepted,
        }


def load_at(pings_per_s: float, for_s: float, devices: int = DEVICES) -> tuple[Load, float]:
    """A load that lasts about ``for_s`` at a rate, and how many times faster than life that is."""
    load = build_load(devices, minutes=for_s * pings_per_s / (DEVICE_PINGS_PER_S * devices) / 60.0)
    lasts_s = (load.day.end_ms - load.day.spec.start_ms) / 1000.0
    return load, pings_per_s / (len(load) / lasts_s)


def delays_of(load: Load, posted: Posted, listener: Listener, from_s: float, to_s: float = np.inf) -> Delays:
    """Those of the events whose request was due between two moments, seconds from the beginning."""
    begins_s = posted.due_s[0]
    since_202, since_post, by_silence, never, unaccepted = [], [], 0, 0, 0
    for event, row in tipping_pings(load, posted.request, posted.later_ms).items():
        request = posted.request[row]
        heard_s = listener.heard_s.get(event)
        if not from_s <= posted.due_s[request] - begins_s < to_s:
            continue
        if np.isnan(posted.accepted_s[request]):
            unaccepted += 1
        elif heard_s is None:
            never += 1
        elif heard_s < posted.sent_s[request]:
            by_silence += 1
        else:
            since_202.append(heard_s - posted.accepted_s[request])
            since_post.append(heard_s - posted.sent_s[request])
    return Delays(np.array(since_202), np.array(since_post), by_silence, never, unaccepted)


async def until_acknowledged(kafka: str, within_s: float) -> None:
    """Wait until the tracker has acknowledged all pings of now. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        ends = await ends_of(kafka, PINGS)
        while await behind(kafka, TRACKER_GROUP, PINGS, ends):  # noqa: ASYNC110 -- as an operator sees it
            await asyncio.sleep(_LOOK_S)


async def until_told(kafka: str, listener: Listener, within_s: float) -> None:
    """Wait until that, and until what the tracker told of them is heard. Raises TimeoutError."""
    await until_acknowledged(kafka, within_s)
    async with asyncio.timeout(within_s):
        await listener.catch_up(kafka)
