"""When a key was last used: coarsely, late, and never in the way of a revocation."""

import asyncio

from api.auth.key_uses import KeyUses, KeyUseTeller
from schemas.times import Instant, parse_instant
from schemas.topics import KEYS, KEYS_USED
from tests.api.conftest import NOW_MS, Door
from tests.fakes import MemoryLog


def test_a_use_is_told_once_however_often_a_key_was_used(door: Door) -> None:
    uses = door.app.state.services.key_uses
    for _ in range(3):
        assert door.get("/v1/devices", role="viewer").status_code == 200
    door.clock.moment_ms += 5_000
    assert door.get("/v1/devices", role="viewer").status_code == 200
    assert door.get("/v1/devices", role="admin").status_code == 200
    assert not door.log.records
    asyncio.run(uses.tell(door.log))
    told = {use["key_id"]: use["used_at"] for use in door.log.values(KEYS_USED)}
    assert len(door.log.values(KEYS_USED)) == 2
    assert set(told) == {"keyviewer", "keyadmin"}
    assert parse_instant(told["keyviewer"]) == NOW_MS + 5_000
    asyncio.run(uses.tell(door.log))
    assert len(door.log.values(KEYS_USED)) == 2
    assert KEYS.name not in door.log.records


def test_a_wrong_or_a_revoked_key_was_not_used(door: Door) -> None:
    wrong = {"Authorization": "Bearer onsite_keyadmin_wrong"}
    assert door.get("/v1/devices", role=None, headers=wrong).status_code == 401
    asyncio.run(door.app.state.services.key_uses.tell(door.log))
    assert not door.log.records


def test_what_the_log_did_not_take_is_told_later_with_what_came_since() -> None:
    log = MemoryLog()
    uses = KeyUses()
    uses.note("a", Instant(1_000))
    uses.note("b", Instant(2_000))
    log.down = True
    asyncio.run(uses.tell(log))
    uses.note("a", Instant(3_000))
    log.down = False
    asyncio.run(uses.tell(log))
    assert {use["key_id"]: use["used_at"] for use in log.values(KEYS_USED)} == {
        "a": "1970-01-01T00:00:03.000Z",
        "b": "1970-01-01T00:00:02.000Z",
    }


def test_what_is_left_is_told_at_the_end() -> None:
    log = MemoryLog()
    uses = KeyUses()

    async def run() -> None:
        teller = KeyUseTeller(uses, log)
        await teller.start()
        uses.note("a", Instant(1_000))
        await teller.stop()

    asyncio.run(run())
    assert [use["key_id"] for use in log.values(KEYS_USED)] == ["a"]
