"""A customer's tracking link and what it opens, pure: who may see what of a job, and for how long."""

import base64
import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from dispatch.lifecycle import Lifecycle
from schemas.job import JobRecord
from schemas.times import Instant
from schemas.tracking import TrackingRecord

CustomerState = Literal["received", "scheduled", "on_the_way", "arrived", "unfinished", "completed", "cancelled"]

GOOD_MS: Final = 14 * 86_400_000
"""A link is good for so long after the promised window, or after what last happened where that was later."""

_STATES: Final[dict[str, CustomerState]] = {
    "created": "received",
    "scheduled": "scheduled",
    "dispatched": "scheduled",
    "en_route": "on_the_way",
    "on_site": "arrived",
    "in_progress": "arrived",
    "left_incomplete": "unfinished",
    "completed": "completed",
    "invoiced": "completed",
    "rejected": "cancelled",
    "cancelled": "cancelled",
}
"""A job's built-in states in a customer's words."""

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BIH")
"""Version, the minute since 1970 at which it ends, generation."""
_GENERATIONS: Final = 1 << 16
_SIGNATURE_BYTES: Final = 16
_LATEST_MINUTE: Final = (1 << 32) - 1


class _Moment(Protocol):
    @property
    def at(self) -> Instant:
        """When it happened."""


class Followed(Protocol):
    """Of a job what its links follow from."""

    @property
    def job_id(self) -> str:
        """Its id."""

    @property
    def created_at(self) -> Instant:
        """When it became known."""

    @property
    def window_to_ms(self) -> Instant | None:
        """Until when somebody was promised to come."""

    @property
    def log(self) -> Sequence[_Moment]:
        """What has happened."""


class TrackingToken(NamedTuple):
    """What a token says: whose job, of which generation, and until when it is good, epoch seconds."""

    job_id: str
    generation: int
    until_s: int

    def is_of(self, generation: int) -> bool:
        """Whether it is of this generation; they are counted up to 65,535 and then begin again."""
        return self.generation == generation % _GENERATIONS


class TrackingLinks:
    """Makes and reads links. ``secret`` is that of the whole system, ``base_url`` where customers reach it, or empty.

    The same job has the same link, whoever makes it, until something happens after its window.
    """

    def __init__(self, secret: bytes, base_url: str = "") -> None:
        self._key = hmac.digest(secret, b"tracking", hashlib.sha256)
        self._base_url = base_url.rstrip("/")

    def link_of(self, job: Followed, generation: int) -> str:
        """The address of a job's page."""
        return self.url_of(self.token_of(job, generation))

    def token_of(self, job: Followed, generation: int, at_least_until_ms: int = 0) -> str:
        """The token of a job."""
        return token_of(job.job_id, generation, max(until_ms(job), at_least_until_ms) // 1000, self._key)

    def read(self, token: str) -> TrackingToken:
        """What a token says; raises ValueError for one that was not made with this secret."""
        return read_token(token, self._key)

    def url_of(self, token: str) -> str:
        """The address of its page; a path where it is not known where customers reach it."""
        return f"{self._base_url}/t/{token}"


def token_of(job_id: str, generation: int, until_s: int, key: bytes) -> str:
    """A word for an address, 52 characters where the job's id has 16; good until the end of the minute of ``until_s``.

    The same arguments give the same token.
    """
    minute = min(max(-(-until_s // 60), 0), _LATEST_MINUTE)
    content = _HEAD.pack(_VERSION, minute, generation % _GENERATIONS) + job_id.encode()
    return base64.urlsafe_b64encode(content + _signature(content, key)).decode().rstrip("=")


def read_token(token: str, key: bytes) -> TrackingToken:
    """What a token says; raises ValueError for one that was changed, or not made with this key."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        content, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        version, minute, generation = _HEAD.unpack_from(content)
        job_id = content[_HEAD.size :].decode()
    except (struct.error, ValueError) as error:
        raise ValueError("not a token of this system") from error
    is_made_here = hmac.compare_digest(signature, _signature(content, key))
    # Written in one way alone: the last character may have bits that mean nothing.
    if not is_made_here or version != _VERSION or base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        raise ValueError("not a token of this system")
    return TrackingToken(job_id, generation, minute * 60)


def until_ms(job: Followed) -> int:
    """Until when links to a job are good, epoch ms."""
    happened_ms = max((int(entry.at) for entry in job.log), default=int(job.created_at))
    return max(happened_ms, int(job.window_to_ms or 0)) + GOOD_MS


def customer_state(state: str, lifecycle: Lifecycle) -> CustomerState:
    """A job's state as a customer is told it."""
    return _STATES[lifecycle.like(state)]


def is_of_nobody(job: JobRecord) -> bool:
    """Whether the customer of a job was erased: what stands in their place is one of the job's erasures."""
    return job.customer_id in job.erasures


def merged(one: TrackingRecord, other: TrackingRecord) -> TrackingRecord:
    """What two records of a job say together.

    Written at once by two processes, each knows only its own: a revocation holds, the newest rating counts, no message
    is lost. The order does not matter, nor does how often it is done.
    """
    struck_ms = _latest(one.struck_at, other.struck_at)
    newest = max(one, other, key=lambda each: (each.rated_at or 0, each.rating or 0, each.comment or ""))
    is_struck = struck_ms is not None and newest.rated_at is not None and newest.rated_at <= struck_ms
    said = sorted((*one.messages, *other.messages), key=lambda each: (each.at, each.message_id))
    messages = {each.message_id: each for each in said if struck_ms is None or each.at > struck_ms}
    return TrackingRecord(
        job_id=one.job_id,
        updated_at=max(one.updated_at, other.updated_at),
        generation=max(one.generation, other.generation),
        revoked_at=_latest(one.revoked_at, other.revoked_at),
        rating=newest.rating,
        comment=None if is_struck else newest.comment,
        rated_at=newest.rated_at,
        messages=sorted(messages.values(), key=lambda each: (each.at, each.message_id)),
        struck_at=struck_ms,
    )


def struck(record: TrackingRecord, at: Instant) -> TrackingRecord:
    """Without what was said up to a moment; of the rating the stars stay."""
    later = Instant(max(at, record.updated_at + 1))
    return merged(record, msgspec.structs.replace(record, updated_at=later, struck_at=later))


def _latest(one: Instant | None, other: Instant | None) -> Instant | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _signature(content: bytes, key: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)[:_SIGNATURE_BYTES]
