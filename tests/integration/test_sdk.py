"""The clients in ``sdk`` against the running system: two hours without a server, killed in between, nothing lost."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.embedded.ports import reserve_free
from schemas.times import format_instant
from tests.integration.conftest import System, until
from tests.sdk import typescript

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DEADLINE_S = 90.0
PYTHON_CLIENT = Path(__file__).parents[2] / "sdk" / "python" / "onsite_client.py"


class Client(NamedTuple):
    """How a client is run (the address, the token and the queue follow), and how many pings wait in a queue."""

    argv: list[str]
    waiting: Callable[[Path], int]


def python_client(_folder: Path) -> Client:
    return Client([sys.executable, str(PYTHON_CLIENT)], waiting_in_sqlite)


def typescript_client(folder: Path) -> Client:
    return Client(["node", str(typescript.build(folder) / "build" / "tests" / "feed.js")], waiting_in_journal)


def waiting_in_sqlite(queue: Path) -> int:
    with sqlite3.connect(queue) as database:
        try:
            return int(database.execute("SELECT count(*) FROM pings").fetchone()[0])
        except sqlite3.OperationalError:  # the client is just making the table
            return 0


def waiting_in_journal(queue: Path) -> int:
    waiting: set[int] = set()
    for line in queue.read_bytes().split(b"\n") if queue.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:  # empty, or just being written
            continue
        waiting.difference_update(entry.get("removed", ()))
        waiting.update([entry["number"]] if "number" in entry else ())
    return len(waiting)


def two_hours(device_id: str, begins_ms: int) -> list[dict[str, Any]]:
    """A fix each ten seconds, on the move."""
    return [
        {
            "device_id": device_id,
            "ts": format_instant(begins_ms + turn * 10_000),
            "lat": round(61.0 + turn * 1e-3, 6),
            "lon": round(24.0 + turn % 7 * 1e-5, 6),
            "accuracy_m": 8.0,
        }
        for turn in range(720)
    ]


def run(client: Client, url: str, token: str, queue: Path) -> subprocess.Popen[bytes]:
    argv = [*client.argv, url, token, str(queue)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=queue.parent)


def feed(process: subprocess.Popen[bytes], pings: list[dict[str, Any]]) -> None:
    assert process.stdin is not None
    process.stdin.write("".join(json.dumps(ping) + "\n" for ping in pings).encode())
    process.stdin.flush()


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_S)


@pytest.mark.parametrize("made", [python_client, typescript_client])
def test_two_hours_offline_with_the_process_killed_in_between(
    system: System, tmp_path: Path, made: Callable[[Path], Client]
) -> None:
    client, device_id = made(tmp_path), f"offline-{made.__name__}"
    queue, token = tmp_path / "pings.queue", Path(system.facts["admin_key_file"]).read_text().strip()
    nobody = f"http://127.0.0.1:{reserve_free()}"
    pings = two_hours(device_id, (time.time_ns() // 1_000_000 - 3 * 3_600_000) // 1000 * 1000)

    def waiting() -> int:
        return client.waiting(queue)

    for first, end in ((0, 250), (250, 500), (500, 720)):
        offline = run(client, nobody, token, queue)
        feed(offline, pings[first:end])
        until(lambda end=end: waiting() == end, waiting)  # type: ignore[misc]
        kill(offline)
    # Killed while it sends, too: the server may have a batch of which the client does not know.
    online = run(client, system.facts["api"], token, queue)
    until(lambda: waiting() < 720, waiting)
    kill(online)
    online = run(client, system.facts["api"], token, queue)
    assert online.stdin is not None
    online.stdin.close()
    assert online.wait(DEADLINE_S) == 0
    assert waiting() == 0

    def stored() -> list[str]:
        sql = f"SELECT count(), uniqExact(ts) FROM fixes WHERE device_id = '{device_id}'"
        return system.sql(sql).split("\t")

    until(lambda: stored() == ["720", "720"], stored)
