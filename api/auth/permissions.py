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
    "jobs:read",
    "jobs:write",
    "jobs:move",
    "jobs:invoice",
    "requests:post",
    "requests:read",
    "requests:decide",
    "stock:read",
    "stock:write",
    "notices:read",
    "reports:read",
    "audit:read",
    "personal:read",
    "personal:erase",
    "webhooks:read",
    "webhooks:write",
]

_ALL: Final[frozenset[Permission]] = frozenset(get_args(Permission))
_MAP: Final[frozenset[Permission]] = frozenset(
    {"devices:read", "fences:read", "visits:read", "branches:read", "jobs:read"}
)
_REQUESTS: Final[frozenset[Permission]] = frozenset({"requests:post", "requests:read", "requests:decide"})
_STOCK: Final[frozenset[Permission]] = frozenset({"stock:read", "stock:write"})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "admin": _ALL,
    "operations_manager": _ALL - {"pings:write"},
    "branch_manager": _ALL - {"pings:write", "branches:write", "personal:read", "personal:erase"},
    "dispatcher": _MAP
    | _REQUESTS
    | _STOCK
    | {"fences:write", "people:read", "customers:read", "customers:write", "jobs:write", "jobs:move", "notices:read"},
    "technician": frozenset({"jobs:read", "jobs:move", "stock:read"}),
    "accountant": frozenset(
        {
            "visits:read",
            "people:read",
            "customers:read",
            "branches:read",
            "jobs:read",
            "jobs:invoice",
            "stock:read",
            "reports:read",
        }
    ),
    "support": _MAP
    | {"rejected:read", "devices:enrol", "people:read", "customers:read", "requests:read", "notices:read"},
    "viewer": _MAP,
    "portal": frozenset({"requests:post"}),
    "device": frozenset({"pings:write"}),
}
"""The one table of roles and what they may do; docs/access.md shows it. Where they may do it: ``sight``."""
