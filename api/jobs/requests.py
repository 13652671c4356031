"""What requests say of jobs, read: plans, changes and moves, pure. Raises Problem 400 that says what is wrong where."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api.http.problems import Problem
from schemas import wire
from schemas.job import FOUND, Job, JobPlan
from schemas.times import Instant

_PLANNED: Final = frozenset(JobPlan.__struct_encode_fields__) - set(FOUND)
_OTHERS: Final = frozenset(Job.__struct_encode_fields__) - _PLANNED

MAX_ID_CHARS: Final = 128


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """Take a job to another state."""

    to: str
    at: Instant | None = None
    reason: str = ""
    lat: float | None = None
    lon: float | None = None


def read_plan(content: object) -> tuple[str | None, JobPlan]:
    """The id that a new job is to have (None: any) and its plan."""
    fields = _object(content)
    job_id = fields.pop("job_id", None)
    if job_id is not None and (not isinstance(job_id, str) or not 0 < len(job_id) <= MAX_ID_CHARS):
        raise Problem(400, "invalid_job", f"$.job_id: text of 1 to {MAX_ID_CHARS} characters")
    _require_planned(fields)
    return job_id, _read(JobPlan, fields)


def read_changes(content: object) -> dict[str, Any]:
    """A merge patch of a plan."""
    changes = _object(content)
    _require_planned(changes)
    return changes


def read_move(content: object) -> Move:
    """A transition."""
    return _read(Move, _object(content))


def job_id_of(key: str, identity: str) -> str:
    """The id of a job that is made under an Idempotency-Key: sent again, it is the same job."""
    return hashlib.sha256(f"{identity}\n{key}".encode()).hexdigest()[:16]


def _object(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise Problem(400, "invalid_request", "$: send a JSON object")
    return dict(content)


def _require_planned(fields: Mapping[str, Any]) -> None:
    for name in fields:
        if name in _OTHERS:
            raise Problem(400, "invalid_job", f"$.{name}: the server writes it")
        if name not in _PLANNED:
            raise Problem(400, "invalid_job", f"$.{name}: a job has no such field")


def _read(kind: type[wire.Record], fields: Mapping[str, Any]) -> wire.Record:
    try:
        return wire.decode(kind, msgspec.json.encode(fields))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Problem(400, "invalid_job", str(error)) from error
