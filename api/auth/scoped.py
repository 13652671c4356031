"""The scope of a request, as a dependency of its route."""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

from fastapi import Depends

from api.auth import Permission, Principal, allow
from api.auth.scope import Scope
from api.http.problems import unavailable
from api.services import Reach, Services
from schemas.places import Branch


def scoped(permission: Permission) -> Callable[..., Scope]:
    """A dependency that lets a request pass as ``allow`` does, and gives what it may touch."""

    async def check(services: Reach, principal: Annotated[Principal, Depends(allow(permission))]) -> Scope:
        return scope_of(principal, services)

    return check  # type: ignore[return-value]


def scope_of(principal: Principal, services: Services) -> Scope:
    """What somebody may touch; raises Problem 503 while it is unknown."""
    branches = cast(Mapping[str, Branch], services.registers["branches"].records)
    scope = Scope(principal, branches, services.holders, services.fences.records)
    decide = services.registers["branches"], services.registers["technicians"], services.fences
    if not scope.is_whole and not all(model.is_caught_up for model in decide):
        raise unavailable("what belongs to which branch is still being read")
    return scope
