import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.embedded.ports import reserve, reserve_free
from infra.system import System, Wanted
from schemas.clock import Clock

HOLDER = (
    "import sys; from infra.embedded.ports import reserve_free; print(reserve_free(), flush=True); sys.stdin.read()"
)


def listener(port: int) -> socket.socket:
    server = socket.create_server(("127.0.0.1", port))
    server.settimeout(10)
    return server


def test_a_reserved_port_is_given_once_and_its_server_can_listen_there() -> None:
    port = reserve_free()
    assert not reserve(port)
    assert not reserve(port, "0.0.0.0")
    with listener(port), socket.create_connection(("127.0.0.1", port), timeout=10):
        pass


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with listener(0) as server:
        assert not reserve(server.getsockname()[1])


def test_a_port_is_free_again_though_connections_of_its_last_server_linger() -> None:
    with listener(0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            server.accept()[0].close()  # who closes first keeps the connection in TIME_WAIT
    assert reserve(port)


@pytest.mark.parametrize("end_with", [signal.SIGKILL, signal.SIGTERM])
def test_a_reservation_ends_with_its_process(end_with: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        assert not reserve(port)
        holder.send_signal(end_with)
        holder.wait(20)
    assert reserve(port)


@pytest.mark.parametrize("api_port", [None, 0])
def test_two_systems_that_start_in_the_same_instant_share_no_port(tmp_path: Path, api_port: int | None) -> None:
    systems = [System(Wanted(tmp_path / name, "127.0.0.1", api_port, Clock()), lambda _: None) for name in ("a", "b")]
    addresses = [[each.api_url, each.settings.kafka, each.settings.clickhouse] for each in systems]
    assert len(set(re.findall(r":(\d+)", str(addresses)))) == 6
