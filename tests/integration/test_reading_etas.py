"""ETAs on the real topic: read over HTTP, told on the live feed, stored, until nobody is awaited any more."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from schemas import wire
from schemas.eta import Eta
from schemas.settings import Settings
from schemas.times import Instant, format_instant
from schemas.topics import ETAS
from stream.kafka import KafkaLog
from tests.api.test_etas import eta
from tests.integration.conftest import System, until
from tests.integration.test_live import listen, messages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

JOB = "job-awaited"
PAGE = Path(__file__).parents[2] / "docs/data-model.md"


def say(settings: Settings, *etas: Eta | None) -> None:
    async def append() -> None:
        log = KafkaLog(settings.kafka)
        await log.start()
        for each in etas:
            await log.append(ETAS, [(JOB, None if each is None else wire.encode(each))])
        await log.stop()

    asyncio.run(append())


def said(at_ms: int, in_min: int, **more: Any) -> Eta:
    eta_ms = at_ms + 60_000 * in_min
    moments = {"eta": eta_ms, "from_ms": eta_ms - 300_000, "to_ms": eta_ms + 300_000, "computed_at": at_ms}
    return eta(JOB, seen_ms=Instant(at_ms), **{name: Instant(ms) for name, ms in moments.items()}, **more)


def question_of_the_page() -> str:
    """How often windows held that were said half an hour before somebody came, as analysts are shown."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    [question] = [each for block in blocks for each in block.split(";") if "FROM etas" in each]
    return str(question)


def test_an_eta_is_read_everywhere_until_nobody_is_awaited(system: System) -> None:
    now_ms = time.time_ns() // 1_000_000
    first, second = said(now_ms - 45 * 60_000, 50), said(now_ms, 12, provider="straight_line", stops_before=1)
    stored = f"SELECT toUnixTimestamp64Milli(eta), provider, stops_before FROM etas FINAL WHERE job_id = '{JOB}'"
    rows = [f"{first.eta}\tosrm\t0", f"{second.eta}\tstraight_line\t1"]
    with system.client() as client, listen(system, system.facts["api"]) as socket:
        heard = messages(socket)
        assert next(heard)["type"] == "snapshot"
        job = {"job_id": JOB, "title": "Boiler", "lat": 53.4, "lon": -2.99}
        assert client.post("/v1/jobs", json=job).status_code == 201
        assert client.get(f"/v1/jobs/{JOB}/eta").json()["code"] == "no_eta"

        say(system.settings, first, second)
        wanted = format_instant(second.eta)
        told = (each for changes in heard for each in changes["etas"] if each["job_id"] == JOB)
        feed = next(each for each in told if each["eta"] == wanted)
        answer = client.get(f"/v1/jobs/{JOB}/eta").json()
        assert answer["eta"] == wanted, "the feed tells no sooner than there is an answer"
        assert 0.0 <= feed["age_s"] <= answer["age_s"] < 300.0
        assert answer | {"age_s": 0} == feed | {"age_s": 0}
        assert client.get(f"/v1/jobs/{JOB}").json()["eta"]["stops_before"] == 1
        with listen(system, system.facts["api"]) as other:
            assert wanted in [each["eta"] for each in next(messages(other))["etas"]]
        until(lambda: system.sql(f"{stored} ORDER BY computed_at").splitlines() == rows, lambda: system.sql(stored))

        say(system.settings, None)
        assert next(changes for changes in heard if JOB in changes["etas_over"])["etas"] == []
        assert client.get(f"/v1/jobs/{JOB}/eta").status_code == 404
        assert client.get(f"/v1/jobs/{JOB}").json()["eta"] is None

        moved = client.post(f"/v1/jobs/{JOB}/transitions", json={"to": "on_site"})
        assert moved.status_code == 200, moved.text
        arrivals = f"SELECT count() FROM job_log WHERE job_id = '{JOB}' AND state = 'on_site'"
        until(lambda: system.sql(arrivals) == "1", lambda: system.sql(arrivals))
        report = client.get("/v1/reports/eta-accuracy").json()["rows"]
        half_an_hour = next(row for row in report if row[2] == "amina" and row[3] == 1_800)
        assert half_an_hour[4:7] == [1, 1, 1.0]
        assert half_an_hour[7] == pytest.approx(300, abs=60)
    assert system.sql(f"{stored} ORDER BY computed_at").splitlines() == rows, "what was said stays"
    answered = [line.split("\t") for line in system.sql(question_of_the_page()).splitlines()]
    [(came, held, error_s, too_late_s)] = [map(float, figures) for provider, *figures in answered if provider == "osrm"]
    assert (came, held) == (1, 1)
    assert error_s == too_late_s == pytest.approx(300, abs=60)
