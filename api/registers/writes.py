"""Reading and writing the registers, for the routes that do."""

from collections.abc import Mapping

from api.auth import Principal
from api.auth.scope import Scope
from api.http.problems import unavailable
from api.read_back import Audit, append_and_read_back
from api.registers.entries import content_of, key_of
from api.registers.references import Surroundings
from api.registers.registry import REGISTERS, Entry, Register
from api.services import Services
from schemas.audit import Change


def entries_of(services: Services, register: Register) -> Mapping[str, Entry]:
    """What is in a register; Problem 503 until it has been read."""
    model = services.registers[register.name]
    if not model.is_caught_up:
        raise unavailable(f"the {register.name} are still being read")
    return model.records


def surroundings_of(services: Services, scope: Scope) -> Surroundings:
    """What entries may refer to, and who asks; Problem 503 until it has been read."""
    if not services.fences.is_caught_up:
        raise unavailable("the fences are still being read")
    entries = {name: entries_of(services, register) for name, register in REGISTERS.items()}
    return Surroundings(entries, services.fences.records, services.clock.now_ms(), scope)


async def write_entry(
    services: Services,
    register: Register,
    principal: Principal,
    action: str,
    before: Entry | None,
    after: Entry,
    reason: str = "",
) -> None:
    """Append an entry and who changed it, and wait until this process has read it; raises LogUnavailable.

    A ``reason`` stands in the record, in what there is since.
    """
    key = key_of(register, after)
    was = None if before is None else content_of(before)
    now = None if after.removed_at is not None else content_of(after)
    if now is not None and reason:
        now["reason"] = reason
    change = Change(action, register.kind, key, after.branch, was, now)
    audit = Audit(principal, services.clock.now_ms(), [change])
    await append_and_read_back(services.log, register.topic, services.registers[register.name], {key: after}, audit)
