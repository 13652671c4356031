import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from infra.system import ROLES
from tests.integration.conftest import System

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DEADLINE_S = 120.0
EVERY_ROLE = {"broker", "store", *ROLES}
FENCE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-122.11, 37.38]},
    "properties": {"fence_id": "library", "name": "Library", "radius_m": 80},
}


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_ready(system: System) -> bool:
    try:
        return httpx.get(f"{system.facts['api']}/readyz", timeout=10).status_code == 200
    except (httpx.HTTPError, FileNotFoundError):
        return False


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_the_ready_file_says_where_everything_is(system: System) -> None:
    facts = system.facts
    assert set(facts["pids"]) == EVERY_ROLE
    assert all(is_running(pid) for pid in facts["pids"].values())
    assert facts["pid"] == system.process.pid
    assert is_ready(system)
    assert system.sql("SELECT currentDatabase(), count() >= 0 FROM pings").startswith("onsite\t")
    key = Path(facts["admin_key_file"])
    assert key.stat().st_mode & 0o777 == 0o600
    with system.client() as client:
        assert client.get("/v1/fences").status_code == 200
    said = system.said.read_text()
    assert "Onsite is ready" in said
    assert facts["api"] in said


def test_no_process_has_loaded_pandas(system: System) -> None:
    with system.client() as client:
        assert client.put("/v1/fences/library", json=FENCE).status_code in (200, 201)
    wait_until(lambda: system.sql("SELECT count() > 0 FROM fences") == "1")
    for role, pid in system.facts["pids"].items():
        maps = [Path(f"/proc/{each}/maps").read_text() for each in family(pid)]
        assert not any("/pandas/" in each for each in maps), role


def test_a_second_one_on_the_same_folder_says_so_and_leaves_the_first_alone(system: System) -> None:
    argv = [sys.executable, "-m", "infra.cli", "up", "--state", str(system.state_dir)]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert second.returncode == 1
    assert f"in use by process {system.process.pid}" in second.stderr
    assert second.stderr.count("\n") == 1
    assert is_ready(system)


def test_a_port_asked_for_and_taken_is_an_error(system: System, tmp_path: Path) -> None:
    port = system.facts["api"].rpartition(":")[2]
    argv = [sys.executable, "-m", "infra.cli", "up", "--state", str(tmp_path), "--port", port]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert second.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in second.stderr


def test_doctor_finds_the_system_well(system: System) -> None:
    argv = [sys.executable, "-m", "infra.cli", "doctor", "--state", str(system.state_dir)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_doctor_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path) -> None:
    environment = {**os.environ, "ONSITE_KAFKA": "127.0.0.1:1", "ONSITE_CLICKHOUSE": "http://127.0.0.1:1/onsite"}
    argv = [sys.executable, "-m", "infra.cli", "doctor", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment)
    assert done.returncode == 1
    wrong = {each["about"]: each for each in httpx.Response(200, text=done.stdout).json()["findings"] if each["mend"]}
    assert set(wrong) == {"broker", "store"}
    assert "ONSITE_KAFKA" in wrong["broker"]["mend"]
    assert "ONSITE_CLICKHOUSE" in wrong["store"]["mend"]


def test_state_survives_deaths_of_children_and_of_the_parent_and_no_process_does(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    system = System(state_dir)
    try:
        system.wait_ready()
        with system.client() as client:
            assert client.put("/v1/fences/library", json=FENCE).status_code in (200, 201)
        system.sql("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
        system.sql("INSERT INTO kept VALUES (1)")
        token = Path(system.facts["admin_key_file"]).read_text()

        # Every child dies at once; each is started again and the file tells the new pids.
        before = system.pids
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: set(system.pids) == EVERY_ROLE and not set(system.pids.values()) & set(before.values()))
        wait_until(lambda: is_ready(system))
        assert system.sql("SELECT a FROM kept") == "1"
        assert "broker died after" in system.said.read_text()

        # The parent dies without a chance to clean up.
        everyone = family(system.process.pid)
        assert set(system.pids.values()) < set(everyone)
        system.process.kill()
        system.process.wait()
        wait_until(lambda: not any(is_running(pid) for pid in everyone))

        # A new one finds all as it was, and goes in peace.
        system = System(state_dir)
        system.wait_ready()
        assert Path(system.facts["admin_key_file"]).read_text() == token
        assert system.sql("SELECT a FROM kept") == "1"
        with system.client() as client:
            assert client.get("/v1/fences/library").status_code == 200
        everyone = family(system.process.pid)
        assert system.stop(signal.SIGINT) == 0
        assert not any(is_running(pid) for pid in everyone)
        assert not (state_dir / "onsite.json").exists()
    finally:
        if system.process.poll() is None:
            system.stop()


def test_a_stop_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    system = System(tmp_path / "state")
    wait_until(lambda: "starting the store" in system.said.read_text())
    wait_until(lambda: len(family(system.process.pid)) > 1)
    everyone = family(system.process.pid)
    assert system.stop() == 0
    # One that was only just born ends by itself when it sees that its parent is gone.
    wait_until(lambda: not any(is_running(pid) for pid in everyone))


@pytest.mark.parametrize("start", ["noon", "2026-03-02T08:00:00"])
def test_a_clock_that_starts_at_no_time_is_refused(tmp_path: Path, start: str) -> None:
    argv = [sys.executable, "-m", "infra.cli", "up", "--state", str(tmp_path), "--clock-start", start]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 1
    assert "--clock-start" in done.stderr
