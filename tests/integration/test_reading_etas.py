"""ETAs on the real topic: read over HTTP, told on the live feed, stored, until nobody is awaited any more.

An API and a recorder alone: nobody computes ETAs, and nobody takes any back, but the test.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.sync.client import ClientConnection, connect

from infra.embedded.ports import reserve_free
from infra.private_files import read_private
from infra.supervisor import Command
from infra.system import ensure_admin_key, environment_of
from schemas import wire
from schemas.eta import Eta
from schemas.job import JobRecord, LogEntry
from schemas.settings import Settings
from schemas.times import Instant, format_instant
from schemas.topics import ETAS, JOBS, Topic
from stream.kafka import KafkaLog
from tests.api.test_etas import eta
from tests.integration.conftest import until
from tests.integration.test_live import is_ready, messages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

JOB = "job-awaited"
PAGE = Path(__file__).parents[2] / "docs/data-model.md"
STOP_DEADLINE_S = 30.0


class Readers:
    """An API and a recorder on a broker and a store."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings.model_copy(update={"port": reserve_free()})
        self.api = f"http://127.0.0.1:{self.settings.port}"
        self._key = folder / "admin.key"
        environment = environment_of(self.settings) | {"ONSITE_METRICS_PORT": str(reserve_free())}
        self._children = [
            Command([sys.executable, "-m", "infra.cli", role], folder / f"{role}.log", environment)
            for role in ("api", "recorder")
        ]

    def start(self) -> None:
        for child in self._children:
            child.start()
        asyncio.run(ensure_admin_key(self.settings, self._key))
        until(lambda: is_ready(self.api), lambda: "the API is not ready")

    def stop(self) -> None:
        for child in self._children:
            child.stop(STOP_DEADLINE_S)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {read_private(self._key)}"}

    def listen(self) -> ClientConnection:
        return connect(f"{self.api.replace('http', 'ws', 1)}/v1/live", additional_headers=self.headers, max_size=None)

    def say(self, topic: Topic, *records: msgspec.Struct | None) -> None:
        """Put records of the job on a topic."""

        async def append() -> None:
            log = KafkaLog(self.settings.kafka)
            await log.start()
            for each in records:
                await log.append(topic, [(JOB, None if each is None else wire.encode(each))])
            await log.stop()

        asyncio.run(append())

    def sql(self, statement: str) -> list[list[str]]:
        answer = httpx.post(self.settings.clickhouse, content=statement, timeout=60).raise_for_status()
        return [line.split("\t") for line in answer.text.splitlines()]


@pytest.fixture
def readers(settings: Settings, tmp_path: Path) -> Iterator[Readers]:
    readers = Readers(settings, tmp_path)
    try:
        readers.start()
        yield readers
    finally:
        readers.stop()


def said(at_ms: int, in_min: int, **more: Any) -> Eta:
    eta_ms = at_ms + 60_000 * in_min
    moments = {"eta": eta_ms, "from_ms": eta_ms - 300_000, "to_ms": eta_ms + 300_000, "computed_at": at_ms}
    return eta(JOB, seen_ms=Instant(at_ms), **{name: Instant(ms) for name, ms in moments.items()}, **more)


def job(revision: int, at_ms: int, *states: str) -> JobRecord:
    at = Instant(at_ms)
    log = [LogEntry(state, at, at, "dispatcher", "x") for state in states]
    return JobRecord(
        job_id=JOB, title="Boiler", revision=revision, created_at=at, updated_at=at, state=states[-1], log=log
    )


def question_of_the_page() -> str:
    """How often windows held that were said half an hour before somebody came, as analysts are shown."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    [question] = [each for block in blocks for each in block.split(";") if "FROM etas" in each]
    return str(question)


def test_an_eta_is_read_everywhere_until_nobody_is_awaited(readers: Readers) -> None:
    now_ms = time.time_ns() // 1_000_000
    first, second = said(now_ms - 45 * 60_000, 50), said(now_ms, 12, provider="straight_line", stops_before=1)
    stored = f"SELECT toUnixTimestamp64Milli(eta), provider, stops_before FROM etas FINAL WHERE job_id = '{JOB}'"
    rows = [[f"{first.eta:d}", "osrm", "0"], [f"{second.eta:d}", "straight_line", "1"]]
    where = f"/v1/jobs/{JOB}"
    with httpx.Client(base_url=readers.api, headers=readers.headers, timeout=60) as client, readers.listen() as socket:
        heard = messages(socket)
        assert next(heard)["type"] == "snapshot"
        readers.say(JOBS, job(1, now_ms, "created"))
        until(lambda: client.get(where).status_code == 200, lambda: client.get(where).text)
        assert client.get(f"{where}/eta").json()["code"] == "no_eta"

        readers.say(ETAS, first, second)
        wanted = format_instant(second.eta)
        told = (each for changes in heard for each in changes["etas"] if each["job_id"] == JOB)
        feed = next(each for each in told if each["eta"] == wanted)
        answer = client.get(f"{where}/eta").json()
        assert answer["eta"] == wanted, "the feed tells no sooner than there is an answer"
        assert 0.0 <= feed["age_s"] <= answer["age_s"] < 300.0
        assert answer | {"age_s": 0} == feed | {"age_s": 0}
        assert client.get(where).json()["eta"]["stops_before"] == 1
        with readers.listen() as other:
            assert wanted in [each["eta"] for each in json.loads(other.recv(timeout=60))["etas"]]
        until(lambda: readers.sql(f"{stored} ORDER BY computed_at") == rows, lambda: readers.sql(stored))

        readers.say(ETAS, None)
        assert next(changes for changes in heard if JOB in changes["etas_over"])["etas"] == []
        assert client.get(f"{where}/eta").status_code == 404
        assert client.get(where).json()["eta"] is None

        readers.say(JOBS, job(2, time.time_ns() // 1_000_000, "created", "on_site"))
        arrivals = f"SELECT count() FROM job_log WHERE job_id = '{JOB}' AND state = 'on_site'"
        until(lambda: readers.sql(arrivals) == [["1"]], lambda: readers.sql(arrivals))
        report = client.get("/v1/reports/eta-accuracy").json()["rows"]
        half_an_hour = next(row for row in report if row[2] == "amina" and row[3] == 1_800)
        assert half_an_hour[4:7] == [1, 1, 1.0]
        assert half_an_hour[7] == pytest.approx(300, abs=120)
    assert readers.sql(f"{stored} ORDER BY computed_at") == rows, "what was said stays"
    [by_road] = [row[1:] for row in readers.sql(question_of_the_page()) if row[0] == "osrm"]
    came, held, error_s, too_late_s = map(float, by_road)
    assert (came, held) == (1, 1)
    assert error_s == too_late_s == pytest.approx(300, abs=120)
