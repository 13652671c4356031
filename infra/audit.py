"""What is written on the command line is on record too."""

import getpass

from schemas import wire
from schemas.audit import Actor, Change, audit_record
from schemas.times import Instant
from schemas.topics import AUDIT
from stream.kafka import KafkaLog


async def put_on_record(log: KafkaLog, at: Instant, change: Change) -> None:
    """Append what the user of this machine is about to change; raises LogUnavailable."""
    record = audit_record(change, _user(), None, at)
    await log.append(AUDIT, [(record.key, wire.encode(record))])


def _user() -> Actor:
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        name = ""
    return Actor("cli", name, name)
