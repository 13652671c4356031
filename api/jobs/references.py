"""What a job refers to: its technicians stand, and nothing of it is of a branch that who asks does not see. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.auth.scope import Scope
from api.http.problems import Problem
from api.registers.registry import REGISTERS, Entry, Name
from schemas.fence import FenceRecord

_REGISTER_OF: Final[dict[str, Name]] = {"customer_id": "customers", "site_id": "sites"}


@dataclass(frozen=True)
class JobSurroundings:
    """What there is, by register and id; ``devices`` are all that ever had a fix."""

    entries: Mapping[Name, Mapping[str, Entry]]
    fences: Mapping[str, FenceRecord]
    devices: Collection[str]
    scope: Scope


def require_references(stated: Mapping[str, Any], around: JobSurroundings) -> None:
    """Raise Problem 400 where what is stated of a job names what is not there, as far as who asks may know.

    What is no text is left to whoever reads the job whole.
    """
    technician_ids = stated.get("technician_ids")
    for technician_id in technician_ids if isinstance(technician_ids, list) else ():
        if not _stands(technician_id, around):
            raise _unknown("technician_ids", "technician", technician_id)
    for field, name in _REGISTER_OF.items():
        key = stated.get(field)
        entry = around.entries[name].get(key) if isinstance(key, str) else None
        if entry is not None and not around.scope.sees(entry.branch):
            raise _unknown(field, REGISTERS[name].kind, key)
    fence_id = stated.get("fence_id")
    fence = around.fences.get(fence_id) if isinstance(fence_id, str) else None
    if fence is not None and not around.scope.sees_fence(fence):
        raise _unknown("fence_id", "fence", fence_id)


def require_branch(branch: object, scope: Scope) -> None:
    """Raise Problem where a job would be of another branch than those of who asks, or of none."""
    scope.require_own("a job", branch if isinstance(branch, str) else None)
    if isinstance(branch, str) and not scope.sees(branch):
        raise _unknown("branch", "branch", branch)


def _stands(technician_id: object, around: JobSurroundings) -> bool:
    """In the register, or as a device that stands for a technician of its own name."""
    if not isinstance(technician_id, str):
        return False
    entry = around.entries["technicians"].get(technician_id)
    if entry is None:
        return technician_id in around.devices and around.scope.sees_device(technician_id)
    return entry.removed_at is None and around.scope.sees(entry.branch)


def _unknown(field: str, kind: str, key: object) -> Problem:
    return Problem(400, "unknown_reference", f"$.{field}: there is no {kind} {key!r}")
