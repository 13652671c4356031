"""Onsite for devices, in one file without dependencies: pings are kept on disk until the server has them.

    client = OnsiteClient("https://onsite.example.com", token="onsite_…", queue="pings.sqlite")
    client.start()                                       # a thread that sends what is waiting
    client.add("van-12", lat=53.4084, lon=-2.9916, accuracy_m=8.0)
    client.stop()                                        # sends what it can; the rest waits for the next start

Python 3.10 or newer. What ``add`` has returned from survives a crash. Each ping has an id of its own and is sent until
the server answers 202, so none is lost; the server knows a ping it has seen, so none counts twice. Without a thread,
call ``flush``.
"""

import contextlib
import gzip
import http.client
import json
import logging
import random
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

BATCH_PINGS: Final = 250
"""Small enough that the server never takes a batch for a backlog, which would have to wait its turn."""
SHORTEST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
ANSWER_WITHIN_S: Final = 30.0
GZIP_FROM_BYTES: Final = 1_024
_ACCEPTED: Final = 202
_SLOW_DOWN: Final = (429, 503)
_TOO_LARGE: Final = 413

log = logging.getLogger("onsite")


class RefusedError(Exception):
    """The server does not want these pings from this client: the token, or the address, is wrong. They are kept."""


class NotNowError(Exception):
    """The server cannot be reached or has no time; ``retry_after_s`` where it says when it will."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class PingQueue:
    """Pings in a SQLite file, oldest first; several threads may use it."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")  # on the disk when ``add`` returns
        self._database.execute("CREATE TABLE IF NOT EXISTS pings (number INTEGER PRIMARY KEY, ping TEXT NOT NULL)")

    def add(self, ping: Mapping[str, Any]) -> None:
        """Keep a ping."""
        text = json.dumps(ping, separators=(",", ":"), allow_nan=False)
        with self._lock:
            self._database.execute("INSERT INTO pings (ping) VALUES (?)", (text,))

    def oldest(self, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """The numbers and pings that have waited longest."""
        with self._lock:
            rows = self._database.execute("SELECT number, ping FROM pings ORDER BY number LIMIT ?", (limit,)).fetchall()
        return [(number, json.loads(ping)) for number, ping in rows]

    def remove(self, numbers: list[int]) -> None:
        """Forget pings that the server has."""
        with self._lock, self._transaction():
            self._database.executemany("DELETE FROM pings WHERE number = ?", [(number,) for number in numbers])

    def __len__(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM pings").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Any:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


class OnsiteClient:
    """Posts the pings of a queue; ``rejected`` counts those that the server refused one by one, with reasons logged."""

    def __init__(self, url: str, token: str, queue: str | Path) -> None:
        self._address = url.rstrip("/") + "/v1/pings"
        self._token = token
        self._queue = PingQueue(queue)
        self._batch_pings = BATCH_PINGS
        self._flushing = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.rejected = 0

    @property
    def waiting(self) -> int:
        """How many pings the server does not have yet."""
        return len(self._queue)

    def add(self, device_id: str, lat: float, lon: float, ts: str | int | None = None, **more: Any) -> str:
        """Keep a fix until it is sent; returns its id.

        ``ts`` is when it was measured (RFC 3339 or epoch milliseconds), default now. ``more`` are fields of a ping:
        ``accuracy_m``, ``speed_mps``, ``bearing_deg``, ``altitude_m``, ``battery``, ``activity``.
        """
        ping_id = str(more.pop("ping_id", None) or uuid.uuid4())
        ping = {"device_id": device_id, "ts": _now_ms() if ts is None else ts, "lat": lat, "lon": lon}
        self._queue.add({**ping, **more, "ping_id": ping_id})
        self._wake.set()
        return ping_id

    def flush(self) -> int:
        """Send everything that is waiting; returns how many pings were taken.

        Raises NotNowError when the server cannot take them now, RefusedError when it never will. What was not taken is
        kept.
        """
        sent = 0
        with self._flushing:
            while batch := self._queue.oldest(self._batch_pings):
                if self._post([ping for _, ping in batch]):
                    self._queue.remove([number for number, _ in batch])
                    sent += len(batch)
        return sent

    def start(self, every_s: float = 10.0) -> None:
        """Send in a thread of its own: what was added, at most ``every_s`` later, and again until it is taken."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, args=(every_s,), name="onsite", daemon=True)
        self._thread.start()

    def stop(self, within_s: float = ANSWER_WITHIN_S) -> None:
        """Stop the thread after a last try, and close the queue."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(within_s)
            if self._thread.is_alive():
                return  # it waits for an answer; the process may end all the same
        self._queue.close()

    def _run(self, every_s: float) -> None:
        failures = 0
        while True:
            last = self._stopping.is_set()
            wait_s = every_s
            try:
                self.flush()
                failures = 0
            except NotNowError as error:
                failures += 1
                wait_s = wait_before_retry_s(failures, error.retry_after_s)
                log.info("the server is not there, next try in %.0f s: %s", wait_s, error)
            except RefusedError as error:
                wait_s = LONGEST_WAIT_S
                log.warning("the server refuses the pings, they are kept: %s", error)
            if last:
                return
            self._wait(wait_s, retrying=failures > 0)

    def _wait(self, wait_s: float, *, retrying: bool) -> None:
        """Until it is time; a ping that is added does not cut a back-off short."""
        until_s = time.monotonic() + wait_s
        if not retrying:
            self._wake.wait()  # nothing is waiting
            self._wake.clear()
        self._stopping.wait(max(0.0, until_s - time.monotonic()))

    def _post(self, pings: list[dict[str, Any]]) -> bool:
        """Whether the server has them; False where it wants fewer at a time."""
        sent_ms = _now_ms()
        body = json.dumps([{**ping, "sent_at": sent_ms} for ping in pings], separators=(",", ":")).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if len(body) >= GZIP_FROM_BYTES:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        request = urllib.request.Request(self._address, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
                if answer.status != _ACCEPTED:
                    raise NotNowError(f"{answer.status}: no answer of Onsite's, but of a portal in between, say")
                self._note_rejected(pings, json.load(answer).get("rejected", []))
                return True
        except urllib.error.HTTPError as error:
            with error:
                return self._answer_to(error, len(pings))
        except (OSError, http.client.HTTPException, ValueError) as error:  # no connection, torn off, no JSON
            raise NotNowError(str(error) or type(error).__name__) from error

    def _answer_to(self, error: urllib.error.HTTPError, pings: int) -> bool:
        if error.code == _TOO_LARGE and pings > 1:
            self._batch_pings = max(1, pings // 2)
            return False
        detail = f"{error.code} {error.read(2_048).decode(errors='replace')}"
        if error.code in _SLOW_DOWN or error.code >= 500:
            raise NotNowError(detail, _seconds(error.headers.get("Retry-After")))
        raise RefusedError(detail)

    def _note_rejected(self, pings: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> None:
        """The server keeps them with their reasons; to send them again would change nothing."""
        for item in rejected:
            log.warning("ping %s rejected: %s", pings[item["index"]].get("ping_id"), item["reason"])
        self.rejected += len(rejected)


def wait_before_retry_s(failures: int, retry_after_s: float | None = None) -> float:
    """After so many failures in a row: twice as long each time, drawn at random so that a fleet does not come at once.

    What the server asks for is waited for at least.
    """
    longest_s = min(LONGEST_WAIT_S, SHORTEST_WAIT_S * 2.0 ** min(failures, 20))
    return (retry_after_s or 0.0) + random.uniform(0.5, 1.0) * longest_s


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None


def main() -> int:
    """Read pings as NDJSON from standard input and send them: ``python onsite_client.py URL TOKEN QUEUE``."""
    if len(sys.argv) != 4:
        sys.stderr.write("usage: python onsite_client.py URL TOKEN QUEUE < pings.ndjson\n")
        return 2
    client = OnsiteClient(*sys.argv[1:])
    client.start(every_s=1.0)
    for line in sys.stdin:
        if line.strip():
            client.add(**json.loads(line))
    client.stop()
    waiting = PingQueue(sys.argv[3])
    if waiting:
        sys.stderr.write(f"{len(waiting)} pings wait in {sys.argv[3]}\n")
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
