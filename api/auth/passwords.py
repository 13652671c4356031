"""Passwords: kept as argon2id, compared in threads, a few at a time, as each comparison takes 64 MiB and all cores."""

import asyncio
import unicodedata
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST: Final = 12
LONGEST: Final = 200
AT_ONCE: Final = 2
MOST_WAITING: Final = 16


class TooManyWaiting(Exception):  # noqa: N818 -- a condition of the process
    """More passwords wait to be compared than will be."""


class Passwords:
    """Hashes and compares."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    def hash_of(self, password: str) -> str:
        """What is kept of a password. Takes a while."""
        return self._hasher.hash(_normal(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; of an unknown account (None) it never is, and that takes as long.

        Raises TooManyWaiting.
        """
        if self._waiting >= MOST_WAITING:
            raise TooManyWaiting
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(self._compare, stored, password)
        finally:
            self._waiting -= 1

    def _compare(self, stored: str | None, password: str) -> bool:
        nobodys = self._nobodys
        try:
            return self._hasher.verify(stored or nobodys, _normal(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    @cached_property
    def _nobodys(self) -> str:
        return self.hash_of("the password of nobody")


def _normal(password: str) -> str:
    """The same for all the ways in which keyboards write a letter."""
    return unicodedata.normalize("NFC", password)
