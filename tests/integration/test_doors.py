"""Doors that stay shut, at a real process: what is too large, and what must never be said."""

import base64
import gzip
import json
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pyotp
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from infra.embedded.ports import reserve_free
from infra.secret import ensure_secret
from schemas.settings import Settings
from tests.integration.test_accounts import with_password
from tests.integration.test_api import onsite, serving, wait_for

pytestmark = pytest.mark.integration

FIX = {"device_id": "van-12", "ts": "2026-03-02T08:15:00Z", "lat": 53.4, "lon": -2.9}
TRACCAR = {"id": "van-12", "timestamp": "1772439300", "lat": "53.4", "lon": "-2.9"}
FORGED_JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib3NzIn0." + "c2lnbmF0dXJl"


@dataclass
class Watched:
    """An API whose every word is kept, and the secrets that it was told."""

    url: str
    said: Path
    settings: Settings
    tokens: dict[str, str]
    totp: pyotp.TOTP
    secrets: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request whose answer is to hold no secret."""
        answer = httpx.request(method, f"{self.url}{path}", timeout=30, **more)
        self.answers.append(f"{answer.headers} {answer.text}")
        return answer

    def secret(self, value: str) -> str:
        """A value that nobody may repeat."""
        self.secrets.append(value)
        return value


@pytest.fixture(scope="module")
def watched(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    settings = settings.model_copy(
        update={
            "port": reserve_free(),
            "secret_file": folder / "secret.key",
            "log_level": "debug",
            "oidc_issuer": f"http://127.0.0.1:{reserve_free()}",
            "oidc_audience": "onsite",
        }
    )
    ensure_secret(settings)

    def token(*arguments: str) -> str:
        made: str = json.loads(onsite(settings, "keys", "create", "--json", *arguments).stdout)["token"]
        return made

    tokens = {"admin": token("--name", "a", "--role", "admin"), "van-12": token("--device", "van-12")}
    person = json.loads(with_password(settings, "create", "doors", "--role", "admin", "--totp", "--json"))
    totp = pyotp.parse_uri(person["totp_uri"])
    assert isinstance(totp, pyotp.TOTP)
    said = folder / "api.log"
    with said.open("wb") as file, serving(settings, file) as url:
        bearer = {"Authorization": f"Bearer {tokens['admin']}"}
        wait_for(lambda: httpx.get(f"{url}/v1/devices", headers=bearer).status_code == 200)
        yield Watched(url, said, settings, tokens, totp)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"jane:{token}".encode()).decode()}


def test_no_secret_is_logged_or_repeated(watched: Watched) -> None:
    device = watched.tokens["van-12"]
    for token in watched.tokens.values():
        watched.secret(token.split("_", 2)[2])
    wrong = f"{device.rpartition('_')[0]}_{watched.secret(secrets.token_urlsafe(24))}"
    unknown = f"onsite_{secrets.token_hex(6)}_{watched.secret(secrets.token_urlsafe(24))}"
    for token, status in ((device, 200), (wrong, 401), (unknown, 401)):
        assert watched.ask("GET", "/v1/ingest/osmand", params={**TRACCAR, "token": token}).status_code == status
        owntracks = {"_type": "location", "lat": 53.4, "lon": -2.9, "tst": 1772439300}
        assert watched.ask("POST", "/v1/ingest/owntracks", json=owntracks, headers=basic(token)).status_code == status
        posted = watched.ask("POST", "/v1/pings", json=FIX, headers=bearer(token))
        assert posted.status_code == (202 if status == 200 else 401)
        for path in ("/v1/nowhere", f"/v1/pings?token={token}", f"/v1/devices/{'x' * 300}/track?from=yesterday"):
            assert watched.ask("GET", path, headers=bearer(token)).status_code in (400, 401, 403, 404, 405)
        assert watched.ask("POST", "/v1/pings", content=b"{", headers=bearer(token)).status_code in (400, 401)
        with pytest.raises(InvalidStatus):
            connect(f"{watched.url.replace('http', 'ws')}/v1/live", subprotocols=[f"bearer.{token}"])  # type: ignore[list-item]
    watched.secret(FORGED_JWT.rpartition(".")[2])
    assert watched.ask("GET", "/v1/devices", headers=bearer(FORGED_JWT)).status_code in (401, 503)

    password = watched.secret("correct horse battery")
    code = watched.totp.now()
    for attempt, status in (
        ({"name": "doors", "password": watched.secret("quite another one")}, 401),
        ({"name": watched.secret("a password typed as a name"), "password": password}, 401),
        ({"name": "doors", "password": [password]}, 400),
    ):
        assert watched.ask("POST", "/v1/sessions", json=attempt).status_code == status
    signed_in = httpx.post(f"{watched.url}/v1/sessions", json={"name": "doors", "password": password, "code": code})
    assert signed_in.status_code == 201
    cookie = watched.secret(signed_in.headers["set-cookie"].partition("=")[2].partition(";")[0])
    assert watched.ask("GET", "/v1/sessions/current", cookies={"onsite": cookie}).status_code == 200
    assert watched.ask("GET", "/v1/devices", cookies={"onsite": cookie[:-3]}).status_code == 401
    watched.secret(watched.totp.secret)

    made = httpx.post(f"{watched.url}/v1/devices/van-99/enrolments", headers=bearer(watched.tokens["admin"])).json()
    path = urlsplit(made["url"]).path
    assert httpx.get(f"{watched.url}{path}").status_code == 200
    sealed = watched.secret(path.rpartition("/")[2])
    assert watched.ask("GET", f"/enrol/{sealed[:-8]}AAAAAAAA").status_code == 404
    watched.secrets[-1] = sealed[:-8]

    raw(watched.url, f"GET /v1/devices HTTP/1.1\r\nAuthorization: Bearer {device}\r\nbroken\r\n\r\n".encode())
    said = watched.said.read_text(errors="replace")
    assert "serving" in said
    for secret in watched.secrets:
        assert secret not in said
        assert not [answer for answer in watched.answers if secret in answer], secret


def raw(url: str, request: bytes) -> bytes:
    """What a request of any bytes is answered with."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n broken\x00: y\r\n\r\n", b"400"),
        (b"POST /v1/pings HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
    ],
)
def test_what_no_server_should_read(watched: Watched, request_: bytes, status: bytes) -> None:
    assert raw(watched.url, request_).split()[1] == status
    assert httpx.get(f"{watched.url}/healthz").status_code == 200


def peak_mib(url: str) -> float:
    """The most memory that the process behind an address has had."""
    port = urlsplit(url).port
    (pid,) = {
        child.pid
        for child in psutil.Process().children()
        if any(each.laddr.port == port and each.status == psutil.CONN_LISTEN for each in child.net_connections())
    }
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def test_a_gzip_bomb_at_every_door_that_takes_a_body(watched: Watched) -> None:
    bomb = gzip.compress(b" " * 300_000_000, 9)
    admin = {**bearer(watched.tokens["admin"]), "Content-Encoding": "gzip"}
    began_s, before_mib = time.monotonic(), peak_mib(watched.url)
    for method, path in (
        ("POST", "/v1/pings"),
        ("POST", "/v1/ingest/osmand"),
        ("POST", "/v1/ingest/overland"),
        ("POST", "/v1/fences/import"),
        ("PUT", "/v1/fences/f"),
        ("POST", "/v1/sessions"),
        ("POST", "/v1/devices/d/enrolments"),
    ):
        answer = httpx.request(method, f"{watched.url}{path}", content=bomb, headers=admin, timeout=60)
        assert answer.status_code == 413, path
    assert time.monotonic() - began_s < 30
    assert peak_mib(watched.url) - before_mib < 200
