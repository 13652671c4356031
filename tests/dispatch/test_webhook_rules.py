"""Who is told of what, when it is tried again, where webhooks may lead, and what is signed."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from dispatch.events import test_event as event_for
from dispatch.receivers import is_public, require_receiver
from dispatch.retries import verdict_on
from dispatch.signatures import signed_headers
from dispatch.subscriptions import matches, wants
from schemas import wire
from schemas.places import Branch
from schemas.times import Instant
from schemas.webhook import Attempted, SigningSecret, Webhook, new_secret

BRANCHES = {
    "liverpool": Branch(branch="liverpool", name="Liverpool", region="north-west"),
    "hull": Branch(branch="hull", name="Hull"),
}


def webhook(branch: str | None, *events: str) -> Webhook:
    return Webhook(
        url="https://x.example",
        events=list(events),
        branch=branch,
        webhook_id="w",
        created_at=Instant(0),
        updated_at=Instant(0),
    )


@pytest.mark.parametrize(
    ("pattern", "event_type", "is_one"),
    [
        ("*", "job.completed", True),
        ("job.*", "job.completed", True),
        ("job.*", "jobs.completed", False),
        ("job.completed", "job.completed", True),
        ("job.completed", "job.completed_again", False),
        ("visit.*", "job.completed", False),
    ],
)
def test_patterns(pattern: str, event_type: str, is_one: bool) -> None:
    assert matches(pattern, event_type) == is_one


@pytest.mark.parametrize(
    ("of", "branch", "is_told"),
    [
        (None, None, True),
        (None, "hull", True),
        ("liverpool", "liverpool", True),
        ("north-west", "liverpool", True),
        ("liverpool", "hull", False),
        ("liverpool", None, False),
    ],
)
def test_a_webhook_is_told_of_its_branch(of: str | None, branch: str | None, is_told: bool) -> None:
    assert wants(webhook(of, "*"), event_for("w", branch, "n", Instant(0)), BRANCHES) == is_told


def came(status: int | None, retry_after_s: float | None = None) -> Attempted:
    error = "no answer" if status is None else None
    return Attempted(status=status, error=error, answer="", duration_s=0.1, retry_after_s=retry_after_s)


def test_what_follows_from_an_attempt() -> None:
    schedule = (5.0, 300.0)
    assert verdict_on(1, came(204), schedule, 0.5) == ("delivered", None, False)
    assert verdict_on(1, came(500), schedule, 0.0) == ("retrying", 5.0, False)
    assert verdict_on(2, came(None), schedule, 0.5) == ("retrying", 330.0, False)
    assert verdict_on(3, came(500), schedule, 0.0) == ("failed", None, False)
    assert verdict_on(1, came(410), schedule, 0.0) == ("failed", None, True)
    assert verdict_on(1, came(302), schedule, 0.0).outcome == "retrying", "redirects are not followed"
    assert verdict_on(1, came(429, 60.0), schedule, 0.0).wait_s == 60.0
    assert verdict_on(2, came(503, 1.0), schedule, 0.0).wait_s == 300.0
    assert verdict_on(1, came(503, 1e9), schedule, 0.0).wait_s == 86_400.0


@given(st.integers(1, 5), st.floats(0, 1, exclude_max=True))
def test_chance_makes_a_wait_longer_by_a_fifth_at_most(attempt: int, chance: float) -> None:
    schedule = (1.0, 2.0, 4.0, 8.0, 16.0)
    wait_s = verdict_on(attempt, came(500), schedule, chance).wait_s
    assert wait_s is not None
    assert schedule[attempt - 1] <= wait_s <= 1.2 * schedule[attempt - 1]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "::", "ff02::1",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(address)
    host = f"[{address}]" if ":" in address else address
    if "%" not in address:
        with pytest.raises(ValueError, match="public internet"):
            require_receiver(f"http://{host}:8080/x", allow_private=False)
        require_receiver(f"http://{host}:8080/x", allow_private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["ftp://x.example", "x.example", "http://", "https://user:pw@x.example", "https://x.example/#a", "file:///etc/passwd",
     "http://x.example:0", "http://x.example:99999", "http://x example", "http://[::1", "//x.example"],
)  # fmt: skip
def test_what_is_no_receiver(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(not|only|a URL)"):
        require_receiver(url, allow_private=True)


def test_signatures_are_those_of_standard_webhooks() -> None:
    old, new, gone = new_secret(), new_secret(), new_secret()
    event = event_for("w", None, "n", Instant(0))
    body = wire.encode(event)
    now_s = int(datetime.datetime.now(datetime.UTC).timestamp())
    signing = [SigningSecret(new), SigningSecret(old, Instant(2_000)), SigningSecret(gone, Instant(1_000))]
    headers = signed_headers(event.id, body, signing, now_s, Instant(1_000))
    for secret in (old, new):
        assert Receiver(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Receiver(gone).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Receiver(new).verify(body + b" ", headers)
    assert headers["webhook-id"] == event.id
