"""Bearer tokens of an OpenID provider, which runs on the loopback interface with keys made here."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from pydantic import ValidationError

from api.auth import is_still_good
from api.auth.oidc import AGAIN_S, OLD_S, Issuer, PublishedKeys
from schemas.settings import Settings
from schemas.topics import PINGS
from tests.api.conftest import Door
from tests.api.test_pings import GOOD, is_problem
from tests.api.test_rates import Stopwatch

AUDIENCE = "onsite"
ROLES = "onsite-admins=admin,staff=viewer,phones=device"
MADE = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
}


class Provider:
    """Answers discovery and keys; counts how often it was asked for keys."""

    def __init__(self) -> None:
        self.keys: list[Key] = list(MADE.values())
        self.asked = 0
        self.claims_to_be = ""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/realm/.well-known/openid-configuration":
                    issuer = provider.claims_to_be or provider.issuer
                    content: Any = {"issuer": issuer, "jwks_uri": f"{provider.issuer}/keys"}
                else:
                    provider.asked += 1
                    content = KeySet(provider.keys).as_dict(private=False)
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/realm"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.is_up = True

    def close(self) -> None:
        if self.is_up:
            self.is_up = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def token(self, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for what is said otherwise; a claim of None is left out."""
        key = MADE[algorithm]
        now_s = int(time.time())
        stated = {"iss": self.issuer, "aud": AUDIENCE, "sub": "u-1", "exp": now_s + 600, "roles": ["staff"]} | claims
        stated = {name: value for name, value in stated.items() if value is not None}
        head = {"alg": algorithm, "kid": key.kid, **(header or {})}
        return jwt.encode(head, stated, key, registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False))


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    try:
        yield provider
    finally:
        provider.close()


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def trusting(door: Door, provider: Provider, watch: Stopwatch) -> Door:
    """A door that takes the provider's tokens."""
    settings = Settings(oidc_issuer=provider.issuer, oidc_audience=AUDIENCE, oidc_roles=ROLES)
    issuer = Issuer(settings, PublishedKeys(provider.issuer, "", watch))
    door.app.state.services = replace(door.app.state.services, issuer=issuer)
    return door


def devices(door: Door, token: str) -> httpx.Response:
    return door.get("/v1/devices", role=None, headers={"Authorization": b"Bearer " + token.encode("latin-1")})


def segment(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.filterwarnings("ignore:EdDSA")
@pytest.mark.parametrize("algorithm", MADE)
def test_a_good_token(trusting: Door, provider: Provider, algorithm: str) -> None:
    assert devices(trusting, provider.token(algorithm)).status_code == 200


def test_a_token_with_headers_of_the_providers_own(trusting: Door, provider: Provider) -> None:
    assert devices(trusting, provider.token(header={"x5t": "abc", "nonce": "n"})).status_code == 200


@pytest.mark.parametrize(
    ("roles", "may_read", "may_post"),
    [
        (["onsite-admins"], 200, 202),
        (["other", "staff"], 200, 403),
        ("staff other", 200, 403),
        (["staff", "onsite-admins"], 200, 202),
        (["phones"], 403, 202),
    ],
)
def test_the_claim_gives_the_role(
    trusting: Door, provider: Provider, roles: object, may_read: int, may_post: int
) -> None:
    token = provider.token(roles=roles)
    assert devices(trusting, token).status_code == may_read
    posted = trusting.post("/v1/pings", role=None, json=GOOD, headers={"Authorization": f"Bearer {token}"})
    assert posted.status_code == may_post
    assert (PINGS.name in trusting.log.records) == (may_post == 202)


@pytest.mark.parametrize("roles", [None, [], ["others"], "", 7, {"staff": True}])
def test_without_a_role_nothing_is_allowed(trusting: Door, provider: Provider, roles: object) -> None:
    assert is_problem(devices(trusting, provider.token(roles=roles)), 403, "no_role")


def test_a_role_within_a_claim(door: Door, provider: Provider) -> None:
    settings = Settings(
        oidc_issuer=provider.issuer, oidc_audience=AUDIENCE, oidc_roles=ROLES, oidc_role_claim="realm_access.roles"
    )
    door.app.state.services = replace(door.app.state.services, issuer=Issuer(settings))
    assert devices(door, provider.token(realm_access={"roles": ["staff"]})).status_code == 200
    assert devices(door, provider.token(**{"realm_access.roles": "staff"})).status_code == 200
    assert devices(door, provider.token(realm_access="staff")).status_code == 403


@pytest.mark.parametrize(
    ("claims", "branches"),
    [
        ({"org": {"branches": ["hull", "north", 7]}}, {"hull", "north"}),
        ({"org": {"branches": "hull north"}}, {"hull", "north"}),
        ({"org.branches": ["hull"]}, {"hull"}),
        ({"org": {"branches": []}}, set()),
        ({"org": {"branches": {"hull": True}}}, set()),
        ({}, set()),
    ],
)
def test_a_claim_gives_the_branches(provider: Provider, claims: dict[str, Any], branches: set[str]) -> None:
    stated = {"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE, "oidc_roles": ROLES}
    restricting = Settings(**stated, oidc_branch_claim="org.branches", oidc_technician_claim="person")  # type: ignore[arg-type]
    token = provider.token(person="amina", **claims)
    principal = anyio.run(Issuer(restricting).principal_of, token)
    assert (principal.branches, principal.technician_id) == (branches, "amina")
    everywhere = anyio.run(Issuer(Settings(**stated)).principal_of, token)  # type: ignore[arg-type]
    assert (everywhere.branches, everywhere.technician_id) == (None, None)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": int(time.time()) + 3600},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"sub": None},
        {"sub": 7},
    ],
)
def test_a_token_whose_claims_are_wrong(trusting: Door, provider: Provider, claims: dict[str, Any]) -> None:
    assert is_problem(devices(trusting, provider.token(**claims)), 401, "unauthorized")


def test_a_clock_may_be_a_little_off(trusting: Door, provider: Provider) -> None:
    now_s = int(time.time())
    assert devices(trusting, provider.token(exp=now_s - 5, nbf=now_s + 5)).status_code == 200


def test_algorithms_that_prove_nothing(trusting: Door, provider: Provider) -> None:
    head, claims, signature = provider.token().split(".")
    unsigned = f"{segment({'alg': 'none', 'typ': 'JWT'})}.{claims}."
    public = MADE["RS256"].as_pem(private=False)  # type: ignore[union-attr]
    confused = f"{segment({'alg': 'HS256', 'kid': 'rsa'})}.{claims}"
    digest = hmac.digest(public, confused.encode(), "sha256")
    signed_with_public = f"{confused}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    stated = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    other = RSAKey.generate_key(2048)
    signed_by_another = jwt.encode({"alg": "RS256", "kid": "rsa"}, stated, other)
    not_allowed = jwt.encode({"alg": "RS512", "kid": "rsa"}, stated, MADE["RS256"], algorithms=["RS512"])
    for token in (
        unsigned,
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{segment({**stated, 'sub': 'other'})}.{signature}",
        signed_with_public,
        signed_by_another,
        not_allowed,
        "a.b.c",
        "....",
        "\xe9.\xff.\x80",
        "a" * 50_000,
    ):
        assert is_problem(devices(trusting, token), 401, "unauthorized"), token[:60]


def test_what_a_token_says_is_not_repeated(trusting: Door, provider: Provider) -> None:
    refused = devices(trusting, provider.token(aud="a-secret-word", sub="a-secret-word"))
    assert "a-secret-word" not in refused.text


def test_a_new_key_is_found_but_not_asked_for_more_often_than_now_and_then(
    trusting: Door, provider: Provider, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert devices(trusting, provider.token()).status_code == 200
    assert devices(trusting, provider.token()).status_code == 200
    assert provider.asked == 1
    rotated = RSAKey.generate_key(2048, {"kid": "rsa-2"})
    monkeypatch.setitem(MADE, "RS256", rotated)
    provider.keys = [rotated]
    assert is_problem(devices(trusting, provider.token()), 401, "unauthorized")
    assert provider.asked == 1
    watch.now_s += AGAIN_S
    assert devices(trusting, provider.token()).status_code == 200
    assert provider.asked == 2
    for _ in range(3):
        assert devices(trusting, provider.token(header={"kid": "made up"})).status_code == 401
    assert provider.asked == 2


def test_a_withdrawn_key_stops_counting(trusting: Door, provider: Provider, watch: Stopwatch) -> None:
    token = provider.token()
    assert devices(trusting, token).status_code == 200
    provider.keys = [MADE["ES256"]]
    watch.now_s += OLD_S + 1
    assert devices(trusting, token).status_code == 401


def test_an_issuer_that_is_away(trusting: Door, provider: Provider, watch: Stopwatch) -> None:
    token = provider.token()
    assert devices(trusting, token).status_code == 200
    provider.close()
    watch.now_s += OLD_S + 1
    assert devices(trusting, token).status_code == 200, "the keys that are known stay"
    trusting.app.state.services = replace(
        trusting.app.state.services,
        issuer=Issuer(Settings(oidc_issuer=provider.issuer, oidc_audience=AUDIENCE, oidc_roles=ROLES)),
    )
    refused = devices(trusting, token)
    assert is_problem(refused, 503, "unavailable")
    assert refused.headers["retry-after"]
    assert trusting.get("/v1/devices", role="viewer").status_code == 200, "keys of Onsite's own go on"


def test_a_document_of_another_issuer_is_not_believed(trusting: Door, provider: Provider) -> None:
    provider.claims_to_be = "https://elsewhere.example"
    assert is_problem(devices(trusting, provider.token()), 503, "unavailable")
    assert provider.asked == 0


def test_many_at_once_ask_once(trusting: Door, provider: Provider) -> None:
    tokens = [provider.token(sub=f"u-{number}") for number in range(8)]

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(trusting.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://onsite") as client:
            found: list[int] = []

            async def one(token: str) -> None:
                answer = await client.get("/v1/devices", headers={"Authorization": f"Bearer {token}"})
                found.append(answer.status_code)

            async with anyio.create_task_group() as tasks:
                for token in tokens:
                    tasks.start_soon(one, token)
            return found

    assert anyio.run(ask) == [200] * 8
    assert provider.asked == 1


def test_a_token_is_good_for_a_long_connection_until_it_expires(trusting: Door, provider: Provider) -> None:
    services = trusting.app.state.services
    fresh, stale = (
        anyio.run(services.issuer.principal_of, provider.token(exp=int(time.time()) + after_s)) for after_s in (60, -29)
    )
    assert is_still_good(fresh, services)
    assert not is_still_good(msgspec.structs.replace(stale, good_until_s=time.time() - 0.01), services)
    assert stale.good_until_s - time.time() <= 1.0


def test_without_an_issuer_no_token_is_taken(door: Door, provider: Provider) -> None:
    assert is_problem(devices(door, provider.token()), 401, "unauthorized")
    assert provider.asked == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://login.example.com", "oidc_audience": "x"},
        {"oidc_issuer": "https://login.example.com"},
        {"oidc_jwks_url": "http://login.example.com/keys"},
        {"oidc_roles": "staff=king"},
        {"oidc_roles": "staff"},
    ],
)
def test_settings_that_would_not_be_safe(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]
