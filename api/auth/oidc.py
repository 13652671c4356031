"""Bearer tokens of an OpenID provider: JWTs, verified with its published keys.

Times are the machine's, not Onsite's clock: the provider knows no other.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from api.auth.principal import Principal, branches_of
from api.http.problems import Problem, unauthorized, unavailable
from schemas.key import Role
from schemas.settings import Settings

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Signatures by a key pair alone: what verifies cannot sign."""

LEEWAY_S: Final = 30
AGAIN_S: Final = 30.0
"""The keys are asked for anew at most this often when a token names one that is not known."""

OLD_S: Final = 3600.0
"""After this they are asked for anew, so that one that was withdrawn does not count for ever."""

_RETRY_S: Final = 5.0
_ANSWER_S: Final = 5.0
_NAMES: Final = ("preferred_username", "email", "name", "sub")

log = structlog.get_logger()


class IssuerAway(Exception):  # noqa: N818 -- a condition of the issuer
    """The issuer's keys could not be read."""


class PublishedKeys:
    """An issuer's keys, read when they are first needed, cached, and read again when a token names an unknown one."""

    def __init__(self, issuer: str, jwks_url: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._now_s = now_s
        self._keys: KeySet | None = None
        self._read_s = 0.0
        self._asked_s: float | None = None
        self._asking = asyncio.Lock()

    async def keys(self) -> KeySet:
        """The keys as last read; raises IssuerAway where there are none."""
        if self._keys is None:
            await self._ask_again(_RETRY_S)
        elif self._now_s() - self._read_s > OLD_S:
            await self._ask_again(AGAIN_S)
        if self._keys is None:
            raise IssuerAway(f"the keys of {self._issuer} cannot be read")
        return self._keys

    async def newer_keys(self, than: KeySet) -> KeySet | None:
        """The keys, if others have been published since; None where it is too soon to ask."""
        if self._keys is than:
            await self._ask_again(AGAIN_S)
        return None if self._keys is than else self._keys

    async def _ask_again(self, after_s: float) -> None:
        """Unless they were asked for within ``after_s``; while they cannot be read those that are known stay."""
        before = self._keys
        async with self._asking:
            asked_lately = self._asked_s is not None and self._now_s() - self._asked_s < after_s
            if asked_lately or self._keys is not before:
                return
            self._asked_s = self._now_s()
            try:
                self._keys = await self._read()
            except (httpx.HTTPError, httpx.InvalidURL, JoseError, ValueError, KeyError, TypeError) as error:
                log.warning("the issuer's keys were not read", issuer=self._issuer, error=str(error))
                return
            self._read_s = self._now_s()

    async def _read(self) -> KeySet:
        async with httpx.AsyncClient(timeout=_ANSWER_S) as client:
            url = self._jwks_url or await self._discover(client)
            answer = await client.get(url)
            return KeySet.import_key_set(answer.raise_for_status().json())

    async def _discover(self, client: httpx.AsyncClient) -> str:
        answer = await client.get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        document = answer.raise_for_status().json()
        if document["issuer"] != self._issuer:
            raise ValueError(f"the document at {answer.url} is of the issuer {document['issuer']!r}")
        return str(document["jwks_uri"])


class Issuer:
    """Whose tokens are taken, and what their claims say of roles."""

    def __init__(
        self, settings: Settings, keys: PublishedKeys | None = None, now_s: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys or PublishedKeys(settings.oidc_issuer, settings.oidc_jwks_url)
        self._registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now_s()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": settings.oidc_issuer},
            aud={"essential": True, "value": settings.oidc_audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._role_claim = settings.oidc_role_claim
        self._roles = settings.roles_of_oidc()
        self._branch_claim = settings.oidc_branch_claim
        self._technician_claim = settings.oidc_technician_claim

    async def principal_of(self, token: str) -> Principal:
        """Whose token it is; raises Problem 401, 403 where it gives no role, or 503 while there are no keys."""
        try:
            claims = await self._verify(token)
            self._claims.validate(claims)
        except IssuerAway as error:
            raise unavailable(str(error)) from error
        except (JoseError, ValueError) as error:
            raise unauthorized(f"the token is not good: {_reason_of(error)}") from error
        name = next((claims[each] for each in _NAMES if isinstance(claims.get(each), str)), "")
        technician_id = _claim(claims, self._technician_claim)
        return Principal(
            "oidc",
            claims["sub"],
            name,
            self._role_of(claims),
            good_until_s=claims["exp"] + LEEWAY_S,
            branches=branches_of(_words(_claim(claims, self._branch_claim)) if self._branch_claim else None),
            technician_id=technician_id if isinstance(technician_id, str) else None,
        )

    async def _verify(self, token: str) -> dict[str, Any]:
        keys = await self._keys.keys()
        try:
            return jwt.decode(token, keys, registry=self._registry).claims
        except InvalidKeyIdError:
            newer = await self._keys.newer_keys(keys)
            if newer is None:
                raise
            return jwt.decode(token, newer, registry=self._registry).claims

    def _role_of(self, claims: Mapping[str, Any]) -> Role:
        """The first of the settings' roles that the claim gives."""
        held = _words(_claim(claims, self._role_claim))
        for value, role in self._roles.items():
            if value in held:
                return role
        raise Problem(403, "no_role", f"nothing in the token's claim {self._role_claim!r} stands for a role here")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, which may have dots, or by the way to it within others: ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _words(claim: Any) -> list[str]:
    """A claim that is a list, or words with spaces between; none where it is neither."""
    if isinstance(claim, str):
        return claim.split()
    return [each for each in claim if isinstance(each, str)] if isinstance(claim, list) else []


def _reason_of(error: Exception) -> str:
    """In words of its own: what the token says is repeated to nobody."""
    return error.error.replace("_", " ") if isinstance(error, JoseError) else "it cannot be read"
