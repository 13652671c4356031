"""What every command of somebody for a job says: who sends it, when, and by what it is known again."""

import itertools
import secrets
from typing import Final, TypedDict

from api.auth import Principal
from schemas.clock import Clock
from schemas.job import Source
from schemas.job_command import Sender
from schemas.times import Instant

_process: Final = secrets.token_hex(8)
_requests: Final = itertools.count()


class Head(TypedDict):
    """As in ``schemas.job_command``."""

    sender: Sender
    sender_name: str
    key: str
    issued_at: Instant
    request_id: str


def head_of(principal: Principal, clock: Clock, key: str | None = None) -> Head:
    """Of a command that is sent now; without a ``key`` it is unlike any other."""
    return {
        "sender": sender_of(principal),
        "sender_name": principal.name,
        "key": key or new_request_id(),
        "issued_at": clock.now_ms(),
        "request_id": new_request_id(),
    }


def sender_of(principal: Principal) -> Sender:
    """Who a principal is to a job's log."""
    source: Source = "technician" if principal.role == "technician" else "dispatcher"
    technician_id = principal.technician_id if principal.role == "technician" else None
    return Sender(source, f"{principal.way}:{principal.identity}", principal.role, technician_id)


def new_request_id() -> str:
    """By which an answer is known, unlike any other's."""
    return f"{_process}{next(_requests):x}"
