"""Who sees which branch, pure. Who sees a region sees every branch within it."""

from collections.abc import Mapping
from typing import Final

from api.auth.principal import Principal
from schemas.key import Role
from schemas.places import Branch, lies_within

EVERYWHERE: Final[frozenset[Role]] = frozenset({"admin", "operations_manager"})
"""Roles that see all branches, whatever else is said of who has them."""


def sees_all(principal: Principal) -> bool:
    """Whether nothing is kept from them, what has no branch neither."""
    return principal.branches is None or principal.role in EVERYWHERE


def sees(principal: Principal, branch: str | None, branches: Mapping[str, Branch]) -> bool:
    """Whether they see what belongs to a branch; None is what belongs to none."""
    if principal.branches is None or principal.role in EVERYWHERE:
        return True
    return lies_within(branch, principal.branches, branches)


def branches_seen(principal: Principal, branches: Mapping[str, Branch]) -> tuple[str, ...] | None:
    """Every branch that they see, in order; None where that is all."""
    if principal.branches is None or principal.role in EVERYWHERE:
        return None
    within = {branch for branch in branches if lies_within(branch, principal.branches, branches)}
    return tuple(sorted(within | principal.branches))
