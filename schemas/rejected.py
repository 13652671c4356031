"""A ping that was refused, as it travels on ``onsite.pings.rejected``."""

import msgspec

from schemas.times import Instant


class RejectedPing(msgspec.Struct):
    """``code`` is for counting, ``reason`` for people; ``raw`` is what came, as text, so that it can be sent again.

    ``device_id`` is empty where it could not be read; ``protocol`` names the door it came through.
    """

    device_id: str
    code: str
    reason: str
    received_at: Instant
    protocol: str
    raw: str
