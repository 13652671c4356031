"""Roles and what they may do."""

from typing import Final, Literal

from schemas.key import Role

Permission = Literal["pings:write", "devices:read", "fences:read", "fences:write", "visits:read", "devices:enrol"]

_READ: Final[frozenset[Permission]] = frozenset({"devices:read", "fences:read", "visits:read"})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "admin": _READ | {"pings:write", "fences:write", "devices:enrol"},
    "viewer": _READ,
    "device": frozenset({"pings:write"}),
}
"""The one table of roles and what they may do."""
