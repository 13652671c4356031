"""docs/devices.md, followed to the letter: what it says to type, typed, makes visits."""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from schemas.times import format_instant
from tests.api.test_enrolments import links_of
from tests.geofence.visits.days import degrees
from tests.integration.conftest import System, until
from tests.integration.test_devices import Fix, drive_and_stay, overland, owntracks, traccar_json
from tests.project.test_docs import ROOT, rows_below

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PAGE = ROOT / "docs" / "devices.md"
PLACEHOLDER = "https://onsite.example.com"
EAST_M = 80_000.0


class Page:
    """The page as its reader has it: with the address of the system and the token that its first command printed."""

    def __init__(self, system: System) -> None:
        self._api, self.token = system.facts["api"], ""
        environment = os.environ | {"ONSITE_KAFKA": system.facts["kafka"]}
        self.token = self.run(self.block("sh", "onsite keys create"), environment).strip()

    def _filled(self, text: str) -> str:
        return text.replace(PLACEHOLDER, self._api).replace("TOKEN", self.token)

    def block(self, language: str, words: str) -> str:
        """The first block of code in a language that says these words."""
        blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        return self._filled(next(block for block in blocks if words in block))

    def inline(self, words: str) -> str:
        """The first code in a line that begins with these words."""
        codes = re.findall(r"`([^`\n]+)`", PAGE.read_text("utf-8"))
        return self._filled(next(code for code in codes if code.startswith(words)))

    def settings(self, app: str) -> dict[str, str]:
        """What is to be typed into an app."""
        return {name: self._filled(value.strip("`")) for name, value in rows_below(PAGE, f"## {app}")}

    def run(self, command: str, environment: dict[str, str]) -> str:
        """What a command prints."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command], env=environment | {"PATH": path}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def traccar_client(page: Page, phone: httpx.Client, fix: Fix) -> httpx.Response:
    settings = page.settings("Traccar Client (Android, iOS)")
    return phone.request(url=settings["Server URL"], **traccar_json(fix, settings["Device identifier"]))


def osmand(page: Page, phone: httpx.Client, fix: Fix) -> httpx.Response:
    address = page.inline("…/v1/ingest/osmand").replace("…", str(phone.base_url).rstrip("/"))
    values = {"0": fix.lat, "1": fix.lon, "2": fix.ts_ms, "4": 12.5, "5": fix.speed_mps}
    return phone.get(re.sub(r"\{(\d)}", lambda place: str(values[place[1]]), address))


def own_tracks(page: Page, phone: httpx.Client, fix: Fix) -> httpx.Response:
    settings = page.settings("OwnTracks (Android, iOS)")
    who = {"X-Limit-U": "jane", "X-Limit-D": "phone"}
    return phone.request(url=settings["URL"], auth=("any", page.token), headers=who, **owntracks(fix, ""))


def overland_app(page: Page, phone: httpx.Client, fix: Fix) -> httpx.Response:
    settings = page.settings("Overland (iOS)")
    known = {"Authorization": f"Bearer {page.token}"}
    return phone.request(url=settings["Receiver Endpoint URL"], headers=known, **overland(fix, settings["Device ID"]))


def gps_logger(page: Page, phone: httpx.Client, fix: Fix) -> httpx.Response:
    values = {"LAT": fix.lat, "LON": fix.lon, "TIME": format_instant(fix.ts_ms), "ACC": 8, "SPD": fix.speed_mps}
    others = {"DIR": 0, "ALT": 12.5, "BATT": 83, "ACT": ""}
    address = page.settings("GPSLogger (Android)")["URL"]
    typed = re.sub(r"%([A-Z]+)", lambda word: str((values | others)[word[1]]), address)
    return phone.get(typed, auth=("any", page.token))


APPS: list[Callable[[Page, httpx.Client, Fix], httpx.Response]] = [
    traccar_client,
    osmand,
    own_tracks,
    overland_app,
    gps_logger,
]


def shown(admin: httpx.Client, path: str, **parameters: str) -> Any:
    answer = admin.get(path, params=parameters)
    return answer.json() if answer.status_code == 200 else {}


def test_who_does_what_the_page_says_sees_visits(system: System, tmp_path: Path) -> None:
    page = Page(system)
    point = {"type": "Point", "coordinates": degrees(EAST_M, 0)}
    site = {"type": "Feature", "geometry": point, "properties": {"name": "site", "radius_m": 40}}
    now_ms = time.time_ns() // 1_000_000 // 1000 * 1000
    with system.client() as admin, httpx.Client(base_url=system.facts["api"], timeout=60) as phone:
        admin.put("/v1/fences/site-of-the-page", json=site).raise_for_status()
        known = {"Authorization": f"Bearer {page.token}"}
        until(lambda: phone.get("/v1/devices", headers=known).status_code == 403, lambda: "the key is not known")
        for hours_ago, app in zip(range(len(APPS) + 1, 1, -1), APPS, strict=True):
            for fix in drive_and_stay(now_ms - hours_ago * 3_600_000, EAST_M):
                answer = app(page, phone, fix)
                assert answer.status_code == 200, f"{app.__name__}: {answer.text}"
                assert answer.headers["Onsite-Accepted"] == "1", app.__name__

        visits = partial(shown, admin, "/v1/visits", device="van-12", fence="site-of-the-page")
        states = ["closed"] * len(APPS)
        until(lambda: [visit["state"] for visit in visits().get("items", [])] == states, visits)

        answer = page.run(page.block("sh", "/v1/pings"), dict(os.environ))
        assert '"accepted":1' in answer

        administrator = os.environ | {"KEY": admin.headers["authorization"].removeprefix("Bearer ")}
        made = json.loads(page.run(page.block("sh", "/enrolments"), administrator))
        links = links_of(phone.get(made["url"]))
        typed = parse_qs(urlsplit(links["org.traccar.client"]).query)
        fix = drive_and_stay(now_ms - 60_000, EAST_M)[0]
        answer_to_app = phone.request(url=typed["url"][0], **traccar_json(fix, typed["id"][0]))
        assert (answer_to_app.status_code, answer_to_app.headers["Onsite-Accepted"]) == (200, "1")

        snippet = "from onsite_client import OnsiteClient\n" + textwrap.dedent(page.block("python", "OnsiteClient"))
        sources = os.environ | {"PYTHONPATH": str(ROOT / "sdk" / "python")}
        subprocess.run(
            [sys.executable, "-c", snippet + "client.stop()\n"], env=sources, cwd=tmp_path, timeout=60, check=True
        )
        device = partial(shown, admin, "/v1/devices/van-12")
        until(lambda: device().get("lat") == 53.4084, device)
