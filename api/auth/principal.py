"""Who a request comes from, by whichever way they have shown it."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from api.auth.session import Session
from schemas.key import Role

Way = Literal["key", "oidc", "session", "system"]


class Principal(msgspec.Struct, frozen=True):
    """``identity`` is unique among those who come the same ``way``: of a key its id, of a provider's token its subject,
    of a session its account, of Onsite itself the part of it.

    With a ``device_id`` it speaks for that device alone. ``branches`` are those that they see, and those within them;
    None: all. ``technician_id`` is whose jobs a technician sees. ``good_until_s`` is a moment of the machine's clock.
    """

    way: Way
    identity: str
    name: str
    role: Role
    device_id: str | None = None
    good_until_s: float | None = None
    session: Session | None = None
    branches: frozenset[str] | None = None
    technician_id: str | None = None


def branches_of(stated: Iterable[str] | None) -> frozenset[str] | None:
    """As a key or an account states them."""
    return None if stated is None else frozenset(stated)
