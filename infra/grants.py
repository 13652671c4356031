"""What goes with a role when somebody is given it: which branches they see, and whose jobs a technician sees."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.auth.sight import EVERYWHERE
from infra.errors import CommandError
from schemas.key import Role


@dataclass(frozen=True)
class Grant:
    """A role and what goes with it; ``branches`` None: all."""

    role: Role
    branches: list[str] | None = None
    technician_id: str | None = None


def grant(role: Role, branches: Sequence[str] = (), technician_id: str = "") -> Grant:
    """Raises CommandError for what does not go together: nobody is to believe in a limit that there is not."""
    if branches and (role in EVERYWHERE or role in ("device", "technician")):
        raise CommandError(f"the role {role} has no branches: leave out --branch")
    if not all(branch.strip() for branch in branches):
        raise CommandError("a branch has a name (--branch)")
    if (role == "technician") != bool(technician_id):
        raise CommandError("the role technician, and no other, says whose jobs it sees (--technician)")
    return Grant(role, sorted(set(branches)) or None, technician_id or None)
