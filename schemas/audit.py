"""What was written, by whom: the topic ``onsite.audit``. Nothing here is edited, and no secret is in it."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from schemas import wire
from schemas.times import Instant

MAX_SIDE_BYTES: Final = 400_000
"""Of ``before`` and of ``after``: together they fit into a record. What is larger is told by its size alone."""

_ID_BYTES: Final = 16

Way = Literal["key", "oidc", "session", "cli", "system", "link"]


class Actor(msgspec.Struct, frozen=True):
    """``identity`` is unique among those who come the same ``way``: of a key its id, of a provider's token its subject,
    of a session its account, of the command line the user of the machine, of Onsite itself the part of it, of a
    tracking link its job."""

    way: Way
    identity: str
    name: str


class AuditRecord(msgspec.Struct, frozen=True):
    """``action`` was taken on the ``kind`` (fence, technician, …) of this ``id``, which belongs to ``branch``.

    ``before`` and ``after`` are what there was and is of it, None where there was or is nothing.
    """

    audit_id: str
    at: Instant
    actor: Actor
    role: str | None
    action: str
    kind: str
    id: str
    branch: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def key(self) -> str:
        """Of the record on its topic: what was written."""
        return f"{self.kind}/{self.id}"


class Change(msgspec.Struct, frozen=True):
    """What is done to something; as in ``AuditRecord``."""

    action: str
    kind: str
    id: str
    branch: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def audit_record(change: Change, actor: Actor, role: str | None, at: Instant) -> AuditRecord:
    """The record of a change; the same one, with the same id, for the same change at the same moment."""
    before, after = (None if side is None else dict(side) for side in (change.before, change.after))
    content = (at, actor, role, change.action, change.kind, change.id, change.branch, before, after)
    encoded = wire.encode(content)
    if len(encoded) > MAX_SIDE_BYTES:  # hardly ever: the sides are measured only then
        content = (*content[:-2], _side(before), _side(after))
        encoded = wire.encode(content)
    return AuditRecord(blake2b(encoded, digest_size=_ID_BYTES).hexdigest(), *content)


def _side(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if content is None:
        return None
    size = len(wire.encode(content))
    return dict(content) if size <= MAX_SIDE_BYTES else {"bytes": size}
