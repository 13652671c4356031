"""Roles and what they may do."""

from typing import Final, Literal

from schemas.key import Role

Permission = Literal[
    "pings:write",
    "rejected:read",
    "devices:read",
    "devices:enrol",
    "fences:read",
    "fences:write",
    "visits:read",
]

_READ: Final[frozenset[Permission]] = frozenset({"devices:read", "fences:read", "visits:read"})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "admin": _READ | {"pings:write", "rejected:read", "devices:enrol", "fences:write"},
    "viewer": _READ,
    "device": frozenset({"pings:write"}),
}
"""The one table of roles and what they may do."""
