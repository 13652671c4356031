"""Who may do what: the ways of showing who one is, and one table of roles."""

from api.auth.door import allow, authorize, is_still_good
from api.auth.permissions import PERMISSIONS, Permission
from api.auth.principal import Principal

__all__ = ["PERMISSIONS", "Permission", "Principal", "allow", "authorize", "is_still_good"]
