"""Where an address is, as a person has corrected it: the compacted topic ``onsite.places``, keyed by ``place_id``."""

import hashlib
from collections.abc import Sequence

import msgspec

from schemas.times import Instant


class RememberedPlace(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``words`` are those of the ``address``, folded. ``job_id`` is the job with which it was corrected.

    With a ``fence_id`` it is that fence, otherwise the point.
    """

    place_id: str
    address: str
    words: list[str]
    lat: float
    lon: float
    job_id: str
    updated_at: Instant
    branch: str | None = None
    customer_id: str | None = None
    fence_id: str | None = None


def place_id_of(branch: str | None, customer_id: str | None, words: Sequence[str]) -> str:
    """An address of a customer, in a branch, has one place."""
    whose = f"{branch or ''}\n{customer_id or ''}\n{' '.join(words)}"
    return hashlib.sha256(whose.encode()).hexdigest()[:16]
