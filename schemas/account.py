"""A person's account, on the compacted topic ``onsite.accounts``, and ended sessions, on ``onsite.sessions.ended``.

The command line alone writes accounts, the API alone what was ended: neither overwrites what the other has just said.
"""

import re
from typing import Any, Final

import msgspec

from schemas import wire
from schemas.key import Role
from schemas.times import Instant

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


class Account(msgspec.Struct):
    """``password_hash`` is argon2id's, with its parameters. ``totp_secret`` is that of the second factor, in base32.

    ``epoch`` grows with every reset: sessions of an earlier one are over. ``branches`` are those that the person sees,
    None: all; ``technician_id`` is whose jobs a technician sees.
    """

    name: str
    role: Role
    password_hash: str
    created_at: Instant
    epoch: int = 1
    totp_secret: str | None = None
    disabled_at: Instant | None = None
    branches: list[str] | None = None
    technician_id: str | None = None


def public_of(account: Account) -> dict[str, Any]:
    """What may be shown of an account."""
    shown = wire.to_builtins(account)
    del shown["password_hash"]
    del shown["totp_secret"]
    return shown | {"second_factor": account.totp_secret is not None}


class SessionsEnded(msgspec.Struct):
    """A person signed out: of one session or, without its id, of all that had begun by ``ended_at``."""

    account: str
    ended_at: Instant
    session_id: str | None = None

    @property
    def key(self) -> str:
        """Of the record; no name has a slash."""
        return ended_key(self.account, self.session_id)


def ended_key(account: str, session_id: str | None) -> str:
    """The key of the record that would end a session, or all of an account."""
    return f"{account}/{session_id or ''}"


def read_account_name(text: str) -> str:
    """A name as accounts have it, in small letters; raises ValueError for what can be none."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits and . _ @ + -, begins with one of the first two, and 100 at most")
    return name
