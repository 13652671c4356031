"""The keys of checkpoints, and what becomes of one that cannot be read."""

from collections.abc import Mapping
from typing import Final

import structlog

from geofence.changes import IncompleteError
from stream.tracker.packing import FormatError
from stream.tracker.partition import FORGETFUL, PartitionTracks

TOLD: Final = "told"
"""Names the offset up to which a checkpoint knows ``onsite.visits``."""

log = structlog.get_logger()


def key_of(partition: int, name: str) -> bytes:
    """The table's key of a record of a partition."""
    return f"{partition}:{name}".encode()


def by_name(records: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """The records of a partition's table by their names."""
    return {key.decode().partition(":")[2]: value for key, value in records.items()}


def restored(number: int, records: Mapping[str, bytes], since_ms: int, acknowledged: int = 0) -> PartitionTracks:
    """A partition as its checkpoint says; without its devices where no sense can be made of it, or where it is lost.

    So many of its pings were ``acknowledged``: there was a checkpoint, if there were any.
    """
    if acknowledged > 0 and not records:
        log.warning("checkpoint lost, devices begin anew", partition=number)
        return PartitionTracks(since_ms, forgetful=True, discarding=())
    journal = {name: value for name, value in records.items() if name not in (TOLD, FORGETFUL)}
    partition = PartitionTracks(since_ms, forgetful=FORGETFUL in records)
    try:
        partition.restore(journal)
    except (FormatError, IncompleteError) as error:
        log.warning("checkpoint set aside, devices begin anew", partition=number, records=len(journal), why=str(error))
        partition = PartitionTracks(since_ms, forgetful=True, discarding=journal)
    return partition
