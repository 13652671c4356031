"""A ping that was refused, as it travels on ``onsite.pings.rejected`` and stands in the table ``rejected``."""

from hashlib import blake2b
from typing import Final

import msgspec

from schemas.times import Instant

MAX_RAW_BYTES: Final = 64 * 1024
"""What is kept of one item at most."""

_ID_BYTES: Final = 8
_NO_TEXT: Final = "\ufffd"


class RejectedPing(msgspec.Struct):
    """``code`` is for counting, ``reason`` for people; ``raw`` is what came, as text, so that it can be sent again.

    ``device_id`` is empty where it could not be read, ``raw`` where it may say of where somebody was off shift;
    ``protocol`` names the door it came through.
    """

    device_id: str
    code: str
    reason: str
    received_at: Instant
    protocol: str
    raw: str

    def content_id(self) -> str:
        """The same for the same item, whenever it came: what a record is called among those of its moment."""
        parts = (self.device_id, self.code, self.protocol, self.raw)
        return blake2b("\0".join(parts).encode(), digest_size=_ID_BYTES).hexdigest()

    def is_whole(self) -> bool:
        """Whether ``raw`` is what came to the last byte: not left out, nor cut off, nor anything but UTF-8."""
        return 0 < len(self.raw.encode()) < MAX_RAW_BYTES and _NO_TEXT not in self.raw


def text_of(raw: bytes) -> str:
    """What is kept of an item."""
    return raw[:MAX_RAW_BYTES].decode(errors="replace")
