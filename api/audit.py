"""Who wrote what is on record before it is written: there is no write without its record.

A record whose write failed afterwards (``503``) may stay; whoever tries again leaves another.
"""

from collections.abc import Sequence
from typing import Final

from api.auth import Principal
from api.ports import EventLog
from schemas import wire
from schemas.audit import Actor, Change, audit_record
from schemas.times import Instant
from schemas.topics import AUDIT

_APPEND_AT_ONCE: Final = 500


async def put_on_record(log: EventLog, principal: Principal, at: Instant, changes: Sequence[Change]) -> None:
    """Append what somebody is about to change; raises LogUnavailable."""
    actor = Actor(principal.way, principal.identity, principal.name)
    for start in range(0, len(changes), _APPEND_AT_ONCE):
        some = [audit_record(change, actor, principal.role, at) for change in changes[start : start + _APPEND_AT_ONCE]]
        await log.append(AUDIT, [(record.key, wire.encode(record)) for record in some])
