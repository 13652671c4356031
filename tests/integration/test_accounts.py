"""People's accounts: made on the command line, used over HTTP, ended on both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pyotp
import pytest

from infra.embedded.ports import reserve_free
from infra.secret import ensure_secret
from infra.system import environment_of
from schemas.settings import Settings
from tests.integration.test_api import READY_S, onsite, serving, wait_for

pytestmark = pytest.mark.integration

PASSWORD = "correct horse battery"
ENDED_S = 5.0


def with_password(settings: Settings, *arguments: str, password: str = PASSWORD, fails: bool = False) -> str:
    """What ``onsite accounts`` says, given a password on the standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "accounts", *arguments],
        env={**os.environ, **environment_of(settings)},
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    assert password not in done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def test_a_person_from_the_account_to_the_end_of_it(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"secret_file": tmp_path / "secret.key"})
    ensure_secret(settings)
    made = json.loads(with_password(settings, "create", "amina", "--role", "viewer", "--totp", "--json"))
    assert made["second_factor"]
    totp = pyotp.parse_uri(made["totp_uri"])
    with_password(settings, "create", "ben", "--role", "admin")
    assert "already" in with_password(settings, "create", "Amina", "--role", "admin", fails=True)
    assert "12 to 200" in with_password(settings, "create", "carl", "--role", "admin", password="short", fails=True)
    listed = onsite(settings, "accounts", "list", "--json").stdout
    assert {"amina", "ben"} <= {json.loads(line)["name"] for line in listed.splitlines()}
    assert "argon2" not in listed
    assert totp.secret not in listed

    def sign_in(client: httpx.Client, name: str, code: str = "") -> int:
        body = {"name": name, "password": PASSWORD, "code": code}
        return client.post("/v1/sessions", json=body).status_code

    def status(client: httpx.Client) -> int:
        return client.get("/v1/devices").status_code

    with (
        serving(settings.model_copy(update={"port": reserve_free()})) as one,
        serving(settings.model_copy(update={"port": reserve_free()})) as another,
        httpx.Client(base_url=one) as ben,
        httpx.Client(base_url=one) as amina,
    ):
        wait_for(lambda: sign_in(ben, "ben") == 201)
        assert sign_in(amina, "amina") == 401
        assert sign_in(amina, "amina", totp.now()) == 201  # type: ignore[union-attr]
        with httpx.Client(base_url=another, cookies=amina.cookies) as elsewhere:
            assert [status(each) for each in (ben, amina, elsewhere)] == [200, 200, 200]
            kept = dict(amina.cookies)
            assert amina.delete("/v1/sessions/current").status_code == 204
            assert not amina.cookies
            wait_for(lambda: status(elsewhere) == 401, ENDED_S)
        assert httpx.get(f"{one}/v1/devices", cookies=kept).status_code == 401
        onsite(settings, "accounts", "disable", "ben")
        wait_for(lambda: status(ben) == 401, ENDED_S)
        assert sign_in(ben, "ben") == 401
        with_password(settings, "reset", "ben")
        wait_for(lambda: sign_in(ben, "ben") == 201, READY_S)
        assert status(ben) == 200
    assert "there is no account 'ghost'" in onsite(settings, "accounts", "disable", "ghost", fails=True).stderr
