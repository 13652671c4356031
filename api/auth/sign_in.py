"""Signing in with a name, a password and, where there is a second factor, a code.

Whatever is wrong, the answer and its time are the same: nobody learns which accounts there are.
"""

import math
import time
from collections.abc import Callable
from typing import Final

import pyotp
from pyotp.exceptions import OTPVerificationError

from api.auth.attempts import Attempts
from api.auth.passwords import Passwords, TooManyWaiting
from api.http.networks import network_of
from api.ports import ReadModel
from schemas.account import Account, read_account_name

FREE_OF_AN_ACCOUNT: Final = 5
FREE_OF_AN_ADDRESS: Final = 20
"""Many people may come from one."""

LONGEST_WAIT_S: Final = 300.0
_STEPS_APART: Final = 1
"""A code of the half minute before or after is good too: phones' clocks are not exact."""


class NotSignedIn(Exception):  # noqa: N818 -- not an error
    """The name, the password or the code is wrong."""


class TooSoon(Exception):  # noqa: N818 -- not an error
    """Too many attempts failed."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many attempts failed; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class SignIn:
    """The door for people, and who tried it."""

    def __init__(
        self, accounts: ReadModel[Account], passwords: Passwords, now_s: Callable[[], float] = time.time
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._now_s = now_s
        self._by_account = Attempts(FREE_OF_AN_ACCOUNT, LONGEST_WAIT_S)
        self._by_address = Attempts(FREE_OF_AN_ADDRESS, LONGEST_WAIT_S)
        self._steps_used: dict[str, int] = {}

    async def account_of(self, name: str, password: str, code: str, address: str) -> Account:
        """Whose they are; raises NotSignedIn, TooSoon, or TooManyWaiting."""
        who, where = _canonical(name), network_of(address)
        self._begin(who, where)
        account = self._accounts.records.get(who)
        if account is not None and account.disabled_at is not None:
            account = None
        try:
            matches = await self._passwords.matches(None if account is None else account.password_hash, password)
        except TooManyWaiting:
            self._by_account.forgive(who)
            self._by_address.forgive(where)
            raise
        if account is None or not matches or not self._takes_code(account, code):
            raise NotSignedIn("the name, the password or the code is wrong")
        self._by_account.forget(who)
        self._by_address.forgive(where)
        return account

    def _begin(self, who: str, where: str) -> None:
        now_s = self._now_s()
        wait_s = max(self._by_account.wait_s(who, now_s), self._by_address.wait_s(where, now_s))
        if wait_s:
            raise TooSoon(math.ceil(wait_s))
        self._by_account.begin(who, now_s)
        self._by_address.begin(where, now_s)

    def _takes_code(self, account: Account, code: str) -> bool:
        """Whether the code is good, and was not used before."""
        if account.totp_secret is None:
            return True
        try:
            step = pyotp.TOTP(account.totp_secret).verify_and_get_timecode(
                code, for_time=int(self._now_s()), valid_window=_STEPS_APART
            )
        except OTPVerificationError:
            return False
        if step <= self._steps_used.get(account.name, -1):
            return False
        self._steps_used[account.name] = step
        return True


def _canonical(name: str) -> str:
    """As accounts are named; what can be no name stands for itself, cut short."""
    try:
        return read_account_name(name)
    except ValueError:
        return f"/{name[:100]}"
