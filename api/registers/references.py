"""What entries of the registers refer to: it has to stand, and some of it has one holder only. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.auth.scope import Scope
from api.http.problems import Problem
from api.read_model import is_gone
from api.registers.entries import key_of
from api.registers.registry import REGISTERS, Entry, Name, Register
from schemas.fence import FenceRecord
from schemas.people import Technician
from schemas.places import Branch
from schemas.times import Instant


@dataclass(frozen=True)
class Surroundings:
    """Everything there is, by register and id, and what of it who asks may know of."""

    entries: Mapping[Name, Mapping[str, Entry]]
    fences: Mapping[str, FenceRecord]
    now_ms: Instant
    scope: Scope

    def stands(self, name: str, key: str) -> bool:
        """Whether there is such an entry, or fence, that was not removed, as far as who asks may know."""
        if name == "fences":
            fence = self.fences.get(key)
            return fence is not None and not is_gone(fence, self.now_ms) and self.scope.sees_fence(fence)
        entry = self.entries[REGISTERS[name].name].get(key)  # type: ignore[index]
        return entry is not None and entry.removed_at is None and self.scope.sees(entry.branch)

    def called(self, register: Register, entry: Entry) -> str:
        """An entry in words, for who asks; what they may not know of has no name."""
        if self.scope.sees(entry.branch):
            return f"the {register.kind} {key_of(register, entry)!r}"
        return f"a {register.kind} of another branch"


def require_references(register: Register, before: Entry | None, after: Entry, around: Surroundings) -> None:
    """Raise Problem where what ``after`` says anew of other things does not hold: 400, or 409 where they are taken."""
    for field, name in register.references.items():
        key = getattr(after, field)
        if key is None or (before is not None and getattr(before, field) == key):
            continue
        if not around.stands(name, key):
            kind = "fence" if name == "fences" else REGISTERS[name].kind  # type: ignore[index]
            raise Problem(400, "unknown_reference", f"$.{field}: there is no {kind} {key!r}")
    if isinstance(after, Technician):
        _require_free_devices(after, around)
    if isinstance(after, Branch):
        _require_no_circle(after, around)


def require_unused(register: Register, entry: Entry, around: Surroundings) -> None:
    """Raise Problem 409 where another entry that stands refers to this one."""
    key = key_of(register, entry)
    for other in REGISTERS.values():
        fields = [field for field, name in other.references.items() if name == register.name]
        for each in around.entries[other.name].values():
            if each.removed_at is None and any(getattr(each, field) == key for field in fields):
                user = around.called(other, each)
                raise Problem(409, "in_use", f"{user} refers to the {register.kind} {key!r}; change it first")


def _require_free_devices(technician: Technician, around: Surroundings) -> None:
    devices = set(technician.device_ids)
    if len(devices) != len(technician.device_ids) or "" in devices:
        raise Problem(400, "invalid_request", "$.device_ids: a device is named once, by its id")
    for other in around.entries["technicians"].values():
        assert isinstance(other, Technician)
        if other.technician_id == technician.technician_id or other.removed_at is not None:
            continue
        for device_id in devices.intersection(other.device_ids):
            holder = around.called(REGISTERS["technicians"], other)
            raise Problem(409, "device_held", f"$.device_ids: {holder} holds {device_id!r}")


def _require_no_circle(branch: Branch, around: Surroundings) -> None:
    seen = {branch.branch}
    region = branch.region
    while region is not None:
        if region in seen:
            raise Problem(409, "circle", f"$.region: the branch {branch.branch!r} would be a part of itself")
        seen.add(region)
        above = around.entries["branches"].get(region)
        region = above.region if isinstance(above, Branch) else None
