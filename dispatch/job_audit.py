"""What goes on record of a job that a person has changed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from schemas import wire
from schemas.audit import Actor, AuditRecord, Change, Way, audit_record
from schemas.job import PUBLIC, JobRecord, LogEntry, job_of
from schemas.job_command import Command, CreateJob, EditJob, MoveJob, Sender
from schemas.times import Instant

_ACTIONS: Final[Mapping[type, str]] = {CreateJob: "created", EditJob: "edited", MoveJob: "moved"}
_PEOPLE: Final = ("technician", "dispatcher")


def audit_of(command: Command, before: JobRecord | None, after: JobRecord, at: Instant) -> AuditRecord | None:
    """Who has made of ``before`` what it is ``after``; None where it was no person."""
    action = _ACTIONS.get(type(command))
    if action is None or command.sender.source not in _PEOPLE:
        return None
    was, now = changed(before, after)
    change = Change(action, "job", after.job_id, after.branch, was, now)
    return audit_record(change, _actor_of(command.sender, command.sender_name), command.sender.role, at)


def _actor_of(sender: Sender, name: str) -> Actor:
    way, _, identity = sender.actor.partition(":")
    return Actor(cast(Way, way), identity, name)


def changed(before: JobRecord | None, after: JobRecord) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What there was and what there is since: of a job that was there what differs, of its log from where it does."""
    if before is None:
        return None, wire.to_builtins(job_of(after))
    fields = zip(PUBLIC, msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=False)
    differ = [each for each in fields if each[1] is not each[2] and each[1] != each[2]]
    was, now = {name: old for name, old, _ in differ}, {name: new for name, _, new in differ}
    if "log" in was:
        since = _alike(before.log, after.log)
        was["log"], now["log"] = before.log[since:], after.log[since:]
    return was, now


def _alike(before: Sequence[LogEntry], after: Sequence[LogEntry]) -> int:
    """How many entries at the beginning are the same."""
    for number, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            return number
    return min(len(before), len(after))
