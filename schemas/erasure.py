"""That a person was erased: the compacted topic ``onsite.erasures``. It names nobody, once all is done."""

from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from schemas.times import Instant

PersonKind = Literal["technician", "customer", "account"]
StepName = Literal["access", "jobs", "registers", "tracks", "store", "log"]
HonouredBy = Literal["tracker", "foreman"]

STEPS: Final[tuple[StepName, ...]] = ("access", "jobs", "registers", "tracks", "store", "log")
"""What is done, in this order. After ``store`` nothing of the person can be reached through Onsite any more; ``log``
waits until the broker has compacted its topics."""

COMPACTIONS: Final = 3
"""So many times the broker is brought to compact its topics: the old records go, then what deletes them."""

_MARK_BYTES: Final = 12


@lru_cache(maxsize=200_000)
def mark_of(kind: str, thing_id: str) -> str:
    """A hash that stands for an id, so that what was erased is known again without being named."""
    return blake2b(f"{kind}/{thing_id}".encode(), digest_size=_MARK_BYTES).hexdigest()


class ErasedSpan(msgspec.Struct, frozen=True, rename={"from_ms": "from", "to_ms": "to"}):
    """Event time [from, to) in which the person held a device; ``device`` is its mark."""

    device: str
    from_ms: Instant
    to_ms: Instant

    def holds(self, at_ms: int) -> bool:
        """Whether a moment is within it."""
        return self.from_ms <= at_ms < self.to_ms


def is_telling(word: str) -> bool:
    """Whether a word names one person: more than a first name, or a number, or an address."""
    return not word.isalpha()


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is being erased, as long as that goes on: ids, and the words by which texts name them."""

    person_id: str
    device_ids: list[str] = []
    site_ids: list[str] = []
    fence_ids: list[str] = []
    account_names: list[str] = []
    key_ids: list[str] = []
    job_ids: list[str] = []
    place_ids: list[str] = []
    request_ids: list[str] = []
    words: list[str] = []


class Remainder(msgspec.Struct, frozen=True):
    """A topic of which the broker may still hold records about the person, until a moment at the latest."""

    topic: str
    until: Instant


class Erasure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``erasure_id`` stands in the place of the person wherever something has to stay. ``person`` is their mark.

    ``done`` has, for each step that is done, how many things it concerned. ``trouble`` is what the next one waits for.
    ``subject`` goes as soon as it is not needed any more, before the ``log`` step ends.
    """

    erasure_id: str
    kind: PersonKind
    person: str
    at: Instant
    branch: str | None = None
    spans: list[ErasedSpan] = []
    subject: Subject | None = None
    done: dict[StepName, int] = {}
    remains: list[Remainder] = []
    finished_at: Instant | None = None
    trouble: str = ""
    compactions: int = 0
    tended_by: str = ""
    tended_at: Instant | None = None

    @property
    def next_step(self) -> StepName | None:
        """The first step that is not done."""
        return next((step for step in STEPS if step not in self.done), None)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether Onsite itself has nothing of the person any more."""
        return "store" in self.done


class Honoured(msgspec.Struct, frozen=True):
    """A part has forgotten, of one partition, what an erasure covers: ``onsite.erasures.honoured``."""

    erasure_id: str
    by: HonouredBy
    partition: int

    @property
    def key(self) -> str:
        """Of the record."""
        return f"{self.erasure_id}/{self.by}/{self.partition}"


def actors_of(subject: Subject) -> list[str]:
    """What the logs of jobs call them."""
    return [f"session:{name}" for name in subject.account_names] + [f"key:{key_id}" for key_id in subject.key_ids]
