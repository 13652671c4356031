"""What a job's one writer is told, on ``onsite.jobs.commands``.

What a command has changed the job itself tells, which names it; ``onsite.jobs.answers`` has the others.
"""

from typing import Any

import msgspec

from schemas import wire
from schemas.erasure import PersonKind
from schemas.job import EtaWindow, Evidence, JobPlan, Source
from schemas.times import Instant


class Sender(msgspec.Struct, frozen=True):
    """Who sends a command: ``source`` is what the log calls them, ``actor`` is unique, ``role`` as in docs/access.md.

    ``technician_id`` is that of a technician, who is allowed their own jobs only.
    """

    source: Source
    actor: str
    role: str = ""
    technician_id: str | None = None


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", omit_defaults=True):
    """``key`` makes it one: sent again, it is answered as the first time and does nothing.

    ``request_id`` is by whom an answer is awaited; ``sender_name`` is what the audit calls the sender.
    """

    job_id: str
    sender: Sender
    key: str
    issued_at: Instant
    request_id: str = ""
    sender_name: str = ""


class CreateJob(_Command, frozen=True, tag="create"):
    """A new job."""

    plan: JobPlan


class EditJob(_Command, frozen=True, tag="edit"):
    """``changes`` are a JSON merge patch (RFC 7396) of the plan; ``if_revision``: only of that state of the job."""

    changes: dict[str, Any]
    if_revision: int | None = None


class MoveJob(_Command, frozen=True, tag="move"):
    """Take the job to another state: ``at`` a moment of event time, None: as it is issued."""

    to: str
    at: Instant | None = None
    reason: str = ""
    lat: float | None = None
    lon: float | None = None


class TellEvidence(_Command, frozen=True, tag="evidence"):
    """What the rounds of a device say of the job now."""

    evidence: Evidence


class TellEta(_Command, frozen=True, tag="eta"):
    """Between which moments somebody will be there, told where that changes the job's risk."""

    eta: EtaWindow


class RedactJob(_Command, frozen=True, tag="redact"):
    """Take a person out of the job, who was erased: ``pseudonym`` stands in their place where something has to.

    ``actors`` are what the log calls them, ``words`` what texts may call them. Of a customer's job the place goes too,
    where it is one of the ``site_ids`` or the job is theirs.
    """

    kind: PersonKind
    person_id: str
    pseudonym: str
    actors: list[str] = []
    words: list[str] = []
    site_ids: list[str] = []


Command = CreateJob | EditJob | MoveJob | TellEvidence | TellEta | RedactJob


def read_command(data: bytes) -> Command:
    """The command of a record; raises msgspec.ValidationError or msgspec.DecodeError."""
    return wire.decode(Command, data)  # type: ignore[arg-type] # a union is no type to mypy


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why not: ``code`` is for programs, ``detail`` for people; ``allowed`` the states that a job may be taken to."""

    status: int
    code: str
    detail: str
    allowed: tuple[str, ...] | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nothing has changed: the command is refused, or was carried out before, which led to the ``revision``."""

    request_id: str
    job_id: str
    revision: int
    refusal: Refusal | None = None
