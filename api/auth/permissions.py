"""Roles and what they may do."""

from typing import Final, Literal, get_args

from schemas.key import Role

Permission = Literal[
    "pings:write",
    "rejected:read",
    "devices:read",
    "devices:enrol",
    "fences:read",
    "fences:write",
    "visits:read",
    "people:read",
    "people:write",
    "customers:read",
    "customers:write",
    "branches:read",
    "branches:write",
]

_READ: Final[frozenset[Permission]] = frozenset({"devices:read", "fences:read", "visits:read"})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "admin": frozenset(get_args(Permission)),
    "viewer": _READ,
    "device": frozenset({"pings:write"}),
}
"""The one table of roles and what they may do."""
