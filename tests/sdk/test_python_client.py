"""The Python client: what it keeps, when it sends, and what it makes of every answer."""

import gzip
import http.server
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.python import onsite_client
from sdk.python.onsite_client import (
    LONGEST_WAIT_S,
    NotNowError,
    OnsiteClient,
    PingQueue,
    RefusedError,
    wait_before_retry_s,
)

DEADLINE_S = 20.0


class Server:
    """Answers posts as it is told, and remembers the pings that it took."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self.posts = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.posts += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                pings = json.loads(body)
                assert self.headers["Authorization"] == "Bearer secret"
                answer = json.dumps({"accepted": len(pings), "rejected": []}).encode()
                status, headers, body = server.answers.pop(0) if server.answers else (202, {}, answer)
                if status == 202:
                    server.taken += pings
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    return tmp_path / "pings.sqlite"


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, "the condition did not hold in time"
        time.sleep(0.01)


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_ping_goes_out_with_an_id_and_the_time_of_sending(server: Server, queue: Path) -> None:
    client = OnsiteClient(server.url + "/", "secret", queue)
    before_ms = time.time_ns() // 1_000_000
    ping_id = client.add("van-12", 53.4, -2.9, "2026-03-02T08:15:00Z", accuracy_m=8.0)
    client.add("van-12", 53.5, -2.9)
    assert client.waiting == 2
    assert client.flush() == 2
    assert client.waiting == 0
    first, second = server.taken
    assert before_ms <= first.pop("sent_at") <= time.time_ns() // 1_000_000
    assert first == {
        "device_id": "van-12",
        "ts": "2026-03-02T08:15:00Z",
        "lat": 53.4,
        "lon": -2.9,
        "accuracy_m": 8.0,
        "ping_id": ping_id,
    }
    assert before_ms <= second["ts"] <= second["sent_at"]
    assert second["ping_id"] != ping_id


def test_what_was_added_is_there_after_a_restart_in_its_order(server: Server, queue: Path) -> None:
    for number in range(3):
        OnsiteClient(nobody(), "secret", queue).add("van-12", 53.4, -2.9, number)
    client = OnsiteClient(server.url, "secret", queue)
    for number in range(3, 700):
        client.add("van-12", 53.4, -2.9, number)
    assert client.flush() == 700
    assert [ping["ts"] for ping in server.taken] == list(range(700))
    assert server.posts == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_has_no_time_is_asked_again_and_nothing_is_lost(server: Server, queue: Path, status: int) -> None:
    client = OnsiteClient(server.url, "secret", queue)
    client.add("van-12", 53.4, -2.9)
    server.answers = [(status, {"Retry-After": "7"}, b"busy")]
    with pytest.raises(NotNowError, match=f"{status} busy") as raised:
        client.flush()
    assert raised.value.retry_after_s == 7.0
    assert client.waiting == 1
    assert client.flush() == 1
    assert len(server.taken) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_refusal_keeps_the_pings(server: Server, queue: Path, status: int) -> None:
    client = OnsiteClient(server.url, "secret", queue)
    client.add("van-12", 53.4, -2.9)
    server.answers = [(status, {}, b"no")]
    with pytest.raises(RefusedError, match=f"{status} no"):
        client.flush()
    assert client.waiting == 1


def test_nobody_there_and_an_answer_that_is_none(server: Server, queue: Path) -> None:
    client = OnsiteClient(nobody(), "secret", queue)
    client.add("van-12", 53.4, -2.9)
    with pytest.raises(NotNowError, match="refused"):
        client.flush()
    client = OnsiteClient(server.url, "secret", queue)
    server.answers = [(202, {}, b"<html>")]
    with pytest.raises(NotNowError):
        client.flush()
    assert client.waiting == 1


@pytest.mark.parametrize("status", [200, 204])
def test_only_202_takes_pings_off_our_hands(server: Server, queue: Path, status: int) -> None:
    client = OnsiteClient(server.url, "secret", queue)
    client.add("van-12", 53.4, -2.9)
    server.answers = [(status, {}, b'{"accepted":1,"rejected":[]}' if status == 200 else b"")]
    with pytest.raises(NotNowError, match=f"^{status}: "):
        client.flush()
    assert client.waiting == 1


def test_a_batch_that_is_too_large_is_halved(server: Server, queue: Path) -> None:
    client = OnsiteClient(server.url, "secret", queue)
    for number in range(100):
        client.add("van-12", 53.4, -2.9, number)
    server.answers = [(413, {}, b""), (413, {}, b"")]
    assert client.flush() == 100
    assert [ping["ts"] for ping in server.taken] == list(range(100))
    assert server.posts == 2 + 4


def test_a_ping_that_the_server_rejects_is_not_sent_again(server: Server, queue: Path, monkeypatch: Any) -> None:
    warned: list[str] = []
    monkeypatch.setattr(onsite_client.log, "warning", lambda said, *of: warned.append(said % of))
    client = OnsiteClient(server.url, "secret", queue)
    client.add("van-12", 95.0, -2.9, ping_id="north")
    rejected = {"accepted": 0, "rejected": [{"index": 0, "reason": "lat_out_of_range: 95.0"}]}
    server.answers = [(202, {}, json.dumps(rejected).encode())]
    assert client.flush() == 1
    assert (client.rejected, client.waiting) == (1, 0)
    assert warned == ["ping north rejected: lat_out_of_range: 95.0"]


def test_a_number_that_is_none_is_told_at_once(queue: Path) -> None:
    client = OnsiteClient(nobody(), "secret", queue)
    with pytest.raises(ValueError, match="Out of range float"):
        client.add("van-12", float("nan"), -2.9)
    assert client.waiting == 0


def test_the_thread_sends_backs_off_and_comes_back(server: Server, queue: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(onsite_client, "SHORTEST_WAIT_S", 0.01)
    client = OnsiteClient(server.url, "secret", queue)
    server.answers = [(503, {}, b""), (503, {}, b""), (401, {}, b"")]
    monkeypatch.setattr(onsite_client, "LONGEST_WAIT_S", 0.05)
    client.start(every_s=0.01)
    client.add("van-12", 53.4, -2.9)
    until(lambda: server.posts >= 3)
    client.add("van-12", 53.5, -2.9)
    until(lambda: len(server.taken) == 2)
    client.add("van-12", 53.6, -2.9)
    client.stop()
    assert [ping["lat"] for ping in server.taken] == [53.4, 53.5, 53.6]


def test_back_off_doubles_up_to_a_bound_and_is_drawn_at_random() -> None:
    for failures in range(1, 60):
        waits_s = {wait_before_retry_s(failures) for _ in range(20)}
        longest_s = min(LONGEST_WAIT_S, 2.0**failures)
        assert longest_s / 2 <= min(waits_s) < max(waits_s) <= longest_s
    assert wait_before_retry_s(1, 60.0) > 60.0


def test_two_threads_may_add_to_one_queue(queue: Path) -> None:
    pings = PingQueue(queue)

    def add() -> None:
        for number in range(100):
            pings.add({"number": number})

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pings) == 200
    pings.close()
    assert sqlite3.connect(queue).execute("SELECT count(*) FROM pings").fetchone() == (200,)
