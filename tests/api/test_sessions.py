"""People with a local account: signing in, staying in, signing out."""

import asyncio
import statistics
import time
from typing import Any

import httpx
import msgspec
import pyotp
import pytest
from argon2 import PasswordHasher

from api.auth.attempts import Attempts
from api.auth.passwords import MOST_WAITING, Passwords, TooManyWaiting
from api.auth.sign_in import FREE_OF_AN_ACCOUNT, FREE_OF_AN_ADDRESS
from schemas.account import Account, read_account_name
from schemas.key import Role
from schemas.settings import Settings
from schemas.times import Instant
from schemas.topics import SESSIONS_ENDED
from tests.api.conftest import CHEAP_PASSWORDS, Door
from tests.api.test_pings import GOOD, is_problem

PASSWORD = "correct horse battery"
HOUR_MS = 3_600_000


def add_account(door: Door, name: str = "amina", role: Role = "viewer", **more: Any) -> Account:
    account = Account(name, role, CHEAP_PASSWORDS.hash_of(PASSWORD), Instant(0), **more)
    door.accounts.records[name] = account
    return account


def sign_in(door: Door, name: str = "amina", password: str = PASSWORD, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return door.post("/v1/sessions", role=None, json={"name": name, "password": password, **more}, headers=headers)


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The header with which a browser goes on."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def devices(door: Door, cookie: dict[str, str], **headers: str) -> httpx.Response:
    return door.get("/v1/devices", role=None, headers={**cookie, **headers})


@pytest.fixture
def amina(door: Door) -> Door:
    add_account(door)
    return door


def test_who_signs_in_has_the_rights_of_their_role(amina: Door) -> None:
    add_account(amina, "boss", "admin")
    answer = sign_in(amina)
    assert answer.status_code == 201
    assert answer.json() == {"account": "amina", "role": "viewer", "expires_at": "2026-03-02T20:15:10.000Z"}
    assert devices(amina, cookie_of(answer)).status_code == 200
    posted = amina.post("/v1/pings", role=None, json=GOOD, headers=cookie_of(answer))
    assert is_problem(posted, 403, "forbidden")
    boss = cookie_of(sign_in(amina, "Boss "))
    assert amina.post("/v1/pings", role=None, json=GOOD, headers=boss).status_code == 202
    assert amina.get("/v1/sessions/current", role=None, headers=boss).json()["account"] == "boss"


def test_no_script_reads_the_cookie_and_no_other_site_sends_it(amina: Door) -> None:
    stated = sign_in(amina).headers["set-cookie"]
    name_and_value, *attributes = stated.split("; ")
    assert name_and_value.startswith("onsite=")
    assert set(attributes) == {"Max-Age=43200", "Path=/", "HttpOnly", "SameSite=Strict"}
    assert PASSWORD not in stated


def test_behind_tls_the_cookie_is_secure_and_bound_to_the_host() -> None:
    door = Door(settings=Settings(public_url="https://onsite.example.com"))
    add_account(door)
    answer = sign_in(door)
    assert answer.headers["set-cookie"].startswith("__Host-onsite=")
    assert answer.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
    assert devices(door, cookie_of(answer)).status_code == 200


@pytest.mark.parametrize(
    ("name", "password"),
    [("amina", "wrong"), ("amina", ""), ("nobody", PASSWORD), ("", ""), ("../etc", PASSWORD), ("gone", PASSWORD)],
)
def test_whatever_is_wrong_the_answer_is_the_same(amina: Door, name: str, password: str) -> None:
    add_account(amina, "gone", disabled_at=Instant(1))
    answer = sign_in(amina, name, password)
    assert is_problem(answer, 401, "not_signed_in")
    assert answer.json()["detail"] == "the name, the password or the code is wrong"
    assert "set-cookie" not in answer.headers


def test_an_unknown_account_takes_as_long(door: Door) -> None:
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=8_192, parallelism=1))
    stored = passwords.hash_of(PASSWORD)

    async def took_s(account: str | None) -> float:
        began_s = time.perf_counter()
        assert not await passwords.matches(account, "wrong")
        return time.perf_counter() - began_s

    async def medians() -> list[float]:
        await took_s(None)
        pairs = [(await took_s(stored), await took_s(None)) for _ in range(9)]
        return [statistics.median(each) for each in zip(*pairs, strict=True)]

    known_s, unknown_s = asyncio.run(medians())
    assert 0.4 < unknown_s / known_s < 2.5


def test_only_so_many_wait_to_be_compared() -> None:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1))

    async def rush() -> list[bool | BaseException]:
        tries = (passwords.matches(None, "wrong") for _ in range(3 * MOST_WAITING))
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = asyncio.run(rush())
    assert sum(isinstance(each, TooManyWaiting) for each in outcomes) == 2 * MOST_WAITING
    assert [each for each in outcomes if not isinstance(each, TooManyWaiting)] == [False] * MOST_WAITING


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'{"name": "amina"}', b'{"name": 1, "password": "x"}', b"\xff", b'{"name": "a\xff"}']
)
def test_what_is_no_sign_in_is_told_without_repeating_it(amina: Door, body: bytes) -> None:
    answer = amina.post("/v1/sessions", role=None, content=body)
    assert is_problem(answer, 400, "malformed_body")
    assert is_problem(amina.post("/v1/sessions", role=None, content=b" " * 5_000), 413, "body_too_large")


def test_a_second_factor_is_asked_for_and_its_code_works_once(door: Door) -> None:
    secret = pyotp.random_base32()
    add_account(door, totp_secret=secret)
    totp = pyotp.TOTP(secret)
    now_s = door.clock.moment_ms // 1000
    code = totp.at(now_s)
    for wrong in ("", "000000" if code != "000000" else "111111", "\N{FULLWIDTH DIGIT ONE}23456", totp.at(now_s - 90)):
        assert is_problem(sign_in(door, code=wrong), 401, "not_signed_in")
    assert sign_in(door, code=code).status_code == 201
    assert is_problem(sign_in(door, code=code), 401, "not_signed_in")
    assert is_problem(sign_in(door, code=totp.at(now_s - 30)), 401, "not_signed_in")
    door.clock.moment_ms += 30_000
    assert sign_in(door, code=totp.at(now_s + 30)).status_code == 201


def test_the_code_alone_is_nothing(door: Door) -> None:
    secret = pyotp.random_base32()
    add_account(door, totp_secret=secret)
    code = pyotp.TOTP(secret).at(door.clock.moment_ms // 1000)
    assert sign_in(door, password="wrong", code=code).status_code == 401
    assert sign_in(door, code=code).status_code == 201, "a wrong password uses up no code"


def test_after_a_few_wrong_attempts_each_waits_longer_even_a_good_one(amina: Door) -> None:
    for _ in range(FREE_OF_AN_ACCOUNT):
        assert sign_in(amina, password="wrong").status_code == 401
    waits = []
    for _ in range(5):
        refused = sign_in(amina)
        assert is_problem(refused, 429, "too_soon")
        waits.append(int(refused.headers["retry-after"]))
        amina.clock.moment_ms += waits[-1] * 1000
        assert sign_in(amina, password="wrong").status_code == 401
    assert waits == [1, 2, 4, 8, 16]
    amina.clock.moment_ms += 32_000
    assert sign_in(amina).status_code == 201
    assert sign_in(amina, password="wrong").status_code == 401, "who is in begins anew"


def test_an_unknown_account_is_delayed_like_a_known_one(amina: Door) -> None:
    statuses = {
        name: [sign_in(amina, name, "wrong").status_code for _ in range(FREE_OF_AN_ACCOUNT + 1)]
        for name in ("amina", "nobody")
    }
    assert statuses["amina"] == statuses["nobody"] == [401] * FREE_OF_AN_ACCOUNT + [429]


def test_an_address_that_tries_many_accounts_is_delayed(amina: Door) -> None:
    answers = [sign_in(amina, f"name-{number}", "guess").status_code for number in range(FREE_OF_AN_ADDRESS + 1)]
    assert answers == [401] * FREE_OF_AN_ADDRESS + [429]
    assert is_problem(sign_in(amina), 429, "too_soon")


def test_attempts_are_remembered_for_a_bounded_number_of_names() -> None:
    attempts = Attempts(free=1, longest_s=300.0)
    for number in range(30_000):
        attempts.begin(f"name-{number}", now_s=0.0)
    assert len(attempts) <= 10_000
    assert attempts.wait_s("name-29999", 0.0) == 1.0


def test_waiting_grows_to_an_end_and_is_forgotten() -> None:
    attempts = Attempts(free=0, longest_s=300.0)
    for _ in range(100):
        attempts.begin("amina", 0.0)
    assert attempts.wait_s("amina", 0.0) == 300.0
    attempts.begin("amina", 4_000.0)
    assert attempts.wait_s("amina", 4_000.0) == 2.0


def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))
    amina.clock.moment_ms += 600_000
    assert "set-cookie" not in devices(amina, cookie).headers
    amina.clock.moment_ms += 10 * HOUR_MS
    used = devices(amina, cookie)
    assert used.status_code == 200
    renewed = cookie_of(used)
    amina.clock.moment_ms += 3 * HOUR_MS
    assert is_problem(devices(amina, cookie), 401, "unauthorized")
    assert devices(amina, renewed).status_code == 200


def test_a_session_that_only_posts_goes_on_as_well(amina: Door) -> None:
    """Such routes are served ahead of the layers that do it for the others."""
    add_account(amina, "boss", "admin")
    cookie = cookie_of(sign_in(amina, "boss"))
    amina.clock.moment_ms += 10 * HOUR_MS
    posted = amina.post("/v1/pings", role=None, json=GOOD | {"ts": amina.clock.moment_ms}, headers=cookie)
    assert posted.status_code == 202
    amina.clock.moment_ms += 3 * HOUR_MS
    assert devices(amina, cookie_of(posted)).status_code == 200


def test_a_session_ends_in_a_week_however_much_it_is_used(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))
    for _ in range(16):
        amina.clock.moment_ms += 10 * HOUR_MS
        cookie = cookie_of(devices(amina, cookie))
    amina.clock.moment_ms += 9 * HOUR_MS
    assert is_problem(devices(amina, cookie), 401, "unauthorized")


def test_signing_out_ends_the_session_even_for_who_kept_its_cookie(amina: Door) -> None:
    here, elsewhere = cookie_of(sign_in(amina)), cookie_of(sign_in(amina))
    answer = amina.delete("/v1/sessions/current", role=None, headers=here)
    assert answer.status_code == 204
    assert answer.headers["set-cookie"].startswith("onsite=; Max-Age=0; ")
    assert is_problem(devices(amina, here), 401, "unauthorized")
    assert devices(amina, elsewhere).status_code == 200


def test_signing_out_everywhere(amina: Door) -> None:
    add_account(amina, "boss")
    sessions = [cookie_of(sign_in(amina)) for _ in range(3)]
    other = cookie_of(sign_in(amina, "boss"))
    amina.clock.moment_ms += 1
    assert amina.delete("/v1/sessions", role=None, headers=sessions[0]).status_code == 204
    assert {devices(amina, each).status_code for each in sessions} == {401}
    assert devices(amina, other).status_code == 200
    amina.clock.moment_ms += 1
    assert devices(amina, cookie_of(sign_in(amina))).status_code == 200


def test_signing_out_while_the_log_is_away_is_not_promised(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))
    amina.log.down = True
    assert is_problem(amina.delete("/v1/sessions/current", role=None, headers=cookie), 503, "unavailable")


@pytest.mark.parametrize("change", [{"disabled_at": Instant(5)}, {"epoch": 2}])
def test_what_is_done_to_an_account_ends_its_sessions(amina: Door, change: dict[str, Any]) -> None:
    cookie = cookie_of(sign_in(amina))
    amina.accounts.records["amina"] = msgspec.structs.replace(amina.accounts.records["amina"], **change)
    assert is_problem(devices(amina, cookie), 401, "unauthorized")


def test_the_role_is_that_of_the_account_now(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))
    amina.accounts.records["amina"] = msgspec.structs.replace(amina.accounts.records["amina"], role="admin")
    assert amina.post("/v1/pings", role=None, json=GOOD, headers=cookie).status_code == 202


def test_a_session_that_was_not_signed_here(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))["Cookie"]
    head, claims, signature = cookie.split(".")
    other = Door()
    add_account(other)
    for forged in (f"{head}.{claims}.", f"{head}.{claims}.{signature[:-2]}", "onsite=x", "onsite=a.b.c"):
        assert is_problem(devices(other, {"Cookie": forged}), 401, "unauthorized")


def test_accounts_that_are_still_being_read(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))
    amina.sessions_ended.is_caught_up = False
    assert is_problem(devices(amina, cookie), 503, "unavailable")


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://onsite"}, True),
        ({"Origin": "http://elsewhere.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://onsite", "Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_a_page_elsewhere_does_nothing_with_a_session(amina: Door, headers: dict[str, str], is_own: bool) -> None:
    add_account(amina, "boss", "admin")
    cookie = cookie_of(sign_in(amina, "boss"))
    posted = amina.post("/v1/pings", role=None, json=GOOD, headers={**cookie, **headers})
    assert (posted.status_code == 202) == is_own
    assert (sign_in(amina, headers=headers).status_code == 201) == is_own
    assert devices(amina, cookie, **headers).status_code == 200, "it cannot read the answer"
    if not is_own:
        assert is_problem(posted, 403, "foreign_origin")


def test_a_key_goes_before_a_session_and_has_none_to_end(amina: Door) -> None:
    cookie = cookie_of(sign_in(amina))
    assert amina.post("/v1/pings", role="admin", json=GOOD, headers=cookie).status_code == 202
    assert is_problem(amina.delete("/v1/sessions", role="admin", headers=cookie), 403, "no_session")
    assert SESSIONS_ENDED.name not in amina.log.records


def test_sign_ins_are_counted(amina: Door) -> None:
    sign_in(amina)
    for _ in range(FREE_OF_AN_ACCOUNT + 1):
        sign_in(amina, password="wrong")
    counted = amina.app.state.services.metrics.registry.get_sample_value
    outcomes = {each: counted("onsite_sign_ins_total", {"outcome": each}) for each in ("in", "refused", "delayed")}
    assert outcomes == {"in": 1, "refused": FREE_OF_AN_ACCOUNT, "delayed": 1}


@pytest.mark.parametrize("name", ["", "a/b", "../x", "\N{LATIN SMALL LETTER E WITH ACUTE}a", "x" * 101, "a b", "-a"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        read_account_name(name)
