"""How far a device's clock is off, from when it says that it sent and when the server received.

What lies between the two is the time on the way, less what the device's clock is ahead. Nobody measures the way back,
so the two cannot be told apart exactly; but a request is never early and mostly soon there. Of a few requests the one
that seems to have been fastest is therefore nearest to the truth, as in NTP's clock filter (RFC 5905, section 10), here
with one way only, as in V. Paxson, "On calibrating measurements of packet transit times" (SIGMETRICS 1998). A request
that took hours, or was posted again later, changes nothing.
"""

from array import array
from typing import Final, NamedTuple

REQUESTS: Final = 8
"""So many are looked at, as in RFC 5905: a clock that was set right is seen to be after as many."""

FEWEST_REQUESTS: Final = 3
LEAST_ERROR_S: Final = 1.0
"""Even the fastest request is some time on its way, and some clients count whole seconds."""


class Skew(NamedTuple):
    """``ahead_s`` of the server's clock, negative where it is behind; give or take ``error_s``."""

    ahead_s: float
    error_s: float


class DeviceClock:
    """What the newest requests of one device say about its clock."""

    __slots__ = ("_taken_ms",)

    def __init__(self) -> None:
        self._taken_ms = array("q")

    def see(self, sent_ms: int, received_ms: int) -> None:
        """Take a request, by the device's clock and by the server's."""
        self._taken_ms.append(received_ms - sent_ms)
        if len(self._taken_ms) > REQUESTS:
            del self._taken_ms[0]

    def skew(self) -> Skew | None:
        """The estimate; None before there are enough requests.

        The error is how much longer the middle one of them took: one late request is no doubt, a clock that has just
        been set is.
        """
        if len(self._taken_ms) < FEWEST_REQUESTS:
            return None
        taken_ms = sorted(self._taken_ms)
        error_s = (taken_ms[len(taken_ms) // 2] - taken_ms[0]) / 1000
        return Skew(-taken_ms[0] / 1000, max(error_s, LEAST_ERROR_S))
