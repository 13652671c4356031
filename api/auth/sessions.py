"""Sessions of people: a signed token in a cookie, which needs no store and is over at once when they sign out.

It says whose it is, when it began, and until when it is good; each use prolongs it. Times are the machine's: browsers
know no other clock.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from api.auth.principal import Principal, branches_of
from api.auth.session import Session
from api.http.problems import unauthorized, unavailable
from api.ports import ReadModel
from schemas.account import Account, SessionsEnded, ended_key
from schemas.settings import Settings
from schemas.times import Instant

_ALGORITHM: Final = "HS256"
_RENEWED_AFTER: Final = 0.1
"""Of the time that it may be idle."""


class Sessions:
    """Begins, checks and prolongs them."""

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        accounts: ReadModel[Account],
        ended: ReadModel[SessionsEnded],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.cookies = Cookies(secure=settings.public_url.startswith("https:"))
        self._idle_s = settings.sign_in_idle_s
        self._longest_s = settings.sign_in_longest_s
        self._key = OctKey.import_key(hmac.digest(secret, b"sessions", hashlib.sha256))
        self._accounts = accounts
        self._ended = ended
        self._now_s = now_s

    def begin(self, account: Account) -> Session:
        """A session of someone who has just signed in."""
        began_ms = int(self.now_ms())
        return Session(account.name, secrets.token_hex(8), account.epoch, began_ms, self._until_s(began_ms))

    def cookie_of(self, session: Session) -> str:
        """The value of ``Set-Cookie``."""
        token = jwt.encode({"alg": _ALGORITHM}, msgspec.to_builtins(session), self._key)
        return self.cookies.with_token(token, int(session.until_s - self._now_s()))

    def read(self, token: str) -> Session:
        """The session of a token; raises Problem 401 for one that is not good any more, 503 while that is not known."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            session = msgspec.convert(claims, Session)
        except (JoseError, ValueError) as error:
            raise unauthorized("the session is not known; sign in") from error
        if not (self._accounts.is_caught_up and self._ended.is_caught_up):
            raise unavailable("the accounts are still being read")
        if not self.is_good(session):
            raise unauthorized("the session is over; sign in again")
        return session

    def principal_of(self, session: Session) -> Principal:
        """Whose session it is."""
        account = self._accounts.records[session.account]
        return Principal(
            "session",
            account.name,
            account.name,
            account.role,
            session=session,
            branches=branches_of(account.branches),
            technician_id=account.technician_id,
        )

    def renewed(self, session: Session) -> Session | None:
        """The session prolonged, once a part of its time has passed."""
        until_s = self._until_s(session.began_ms)
        if until_s - session.until_s < self._idle_s * _RENEWED_AFTER:
            return None
        return msgspec.structs.replace(session, until_s=until_s)

    def is_good(self, session: Session) -> bool:
        """Whether it is of an account that may, of its present epoch, not ended, and in time."""
        account = self._accounts.records.get(session.account)
        if account is None or account.disabled_at is not None or account.epoch != session.epoch:
            return False
        ended = self._ended.records
        all_ended = ended.get(ended_key(session.account, None))
        if ended_key(session.account, session.session_id) in ended:
            return False
        if all_ended is not None and session.began_ms <= all_ended.ended_at:
            return False
        return self._now_s() < session.until_s

    def now_ms(self) -> Instant:
        """By the clock of the sessions."""
        return Instant(int(self._now_s() * 1000))

    def _until_s(self, began_ms: int) -> int:
        return int(min(self._now_s() + self._idle_s, began_ms / 1000 + self._longest_s))


class Cookies:
    """How a session's token travels: no script reads it, no other site's page has it sent."""

    def __init__(self, *, secure: bool) -> None:
        self.name = "__Host-onsite" if secure else "onsite"
        self._attributes = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")

    def with_token(self, token: str, max_age_s: int) -> str:
        """The value of ``Set-Cookie``."""
        return f"{self.name}={token}; Max-Age={max_age_s}{self._attributes}"

    def cleared(self) -> str:
        """The same, to make a browser forget it."""
        return f"{self.name}=; Max-Age=0{self._attributes}"
