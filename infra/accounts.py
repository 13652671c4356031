"""Accounts of people: made, listed, disabled and reset on the compacted topic ``onsite.accounts``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pyotp

from api.auth.passwords import LONGEST, SHORTEST, Passwords
from infra.audit import put_on_record
from infra.compacted import open_topic
from infra.errors import CommandError
from infra.grants import Grant
from schemas import wire
from schemas.account import Account, public_of, read_account_name
from schemas.audit import Change
from schemas.settings import Settings
from schemas.topics import ACCOUNTS
from stream.kafka import Follower, KafkaLog

_ISSUER = "Onsite"


class AccountBook:
    """The accounts of a system; open it with ``open_account_book``."""

    def __init__(self, settings: Settings, log: KafkaLog, follower: Follower[Account]) -> None:
        self._clock = settings.clock()
        self._log = log
        self._follower = follower
        self._passwords = Passwords()

    def accounts(self) -> list[Account]:
        """All of them, by name."""
        return sorted(self._follower.records.values(), key=lambda account: account.name)

    async def create(self, name: str, granted: Grant, password: str, *, with_totp: bool) -> Account:
        """Make an account. Raises CommandError where there is one of the name, or something is not as it should be."""
        try:
            name = read_account_name(name)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if name in self._follower.records:
            raise CommandError(f"there is an account {name!r} already; `onsite accounts reset` gives it a new password")
        password_hash = self._hash_of(password)
        account = Account(
            name,
            granted.role,
            password_hash,
            self._clock.now_ms(),
            totp_secret=_totp_secret(with_totp),
            branches=granted.branches,
            technician_id=granted.technician_id,
        )
        await self._write("created", account, None)
        return account

    async def disable(self, name: str) -> Account:
        """Let nobody in with it, and end its sessions."""
        account = self._account(name)
        if account.disabled_at is None:
            before, epoch = account, account.epoch + 1
            account = msgspec.structs.replace(account, epoch=epoch, disabled_at=self._clock.now_ms())
            await self._write("disabled", account, before)
        return account

    async def reset(self, name: str, password: str, *, with_totp: bool | None) -> Account:
        """Give it a new password, end its sessions, and let it in again where it was disabled.

        ``with_totp``: a new second factor, none any more, or (None) the one it has.
        """
        before = self._account(name)
        totp_secret = before.totp_secret if with_totp is None else _totp_secret(with_totp)
        account = msgspec.structs.replace(
            before,
            password_hash=self._hash_of(password),
            epoch=before.epoch + 1,
            totp_secret=totp_secret,
            disabled_at=None,
        )
        await self._write("reset", account, before)
        return account

    def _account(self, name: str) -> Account:
        account = self._follower.records.get(name.strip().lower())
        if account is None:
            raise CommandError(f"there is no account {name!r}; `onsite accounts list` shows those there are")
        return account

    def _hash_of(self, password: str) -> str:
        if not SHORTEST <= len(password) <= LONGEST:
            raise CommandError(f"a password has {SHORTEST} to {LONGEST} characters")
        return self._passwords.hash_of(password)

    async def _write(self, action: str, account: Account, before: Account | None) -> None:
        was = None if before is None else public_of(before)
        change = Change(action, "account", account.name, before=was, after=public_of(account))
        await put_on_record(self._log, self._clock.now_ms(), change)
        await self._log.append(ACCOUNTS, [(account.name, wire.encode(account))])


def totp_uri(account: Account) -> str:
    """What an authenticator app reads; "" without a second factor."""
    if account.totp_secret is None:
        return ""
    return pyotp.TOTP(account.totp_secret).provisioning_uri(name=account.name, issuer_name=_ISSUER)


def _totp_secret(wanted: bool) -> str | None:
    return pyotp.random_base32() if wanted else None


@asynccontextmanager
async def open_account_book(settings: Settings) -> AsyncIterator[AccountBook]:
    """Connect to the broker and read the accounts. Raises CommandError when the broker does not answer."""
    async with open_topic(settings, ACCOUNTS, Account) as (log, follower):
        yield AccountBook(settings, log, follower)
