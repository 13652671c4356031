"""``onsite up``: the whole system on one machine."""

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from infra.errors import CommandError
from schemas.clock import Clock
from schemas.settings import load_settings
from schemas.times import parse_instant

if TYPE_CHECKING:
    from infra.system import System

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
_AGAIN_S: Final = 1.0
_STATE_DIRS = {"darwin": "Library/Application Support/onsite", "win32": "AppData/Local/onsite"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def up(
        state: Annotated[
            Path | None, typer.Option(help="Folder for data, logs and keys. Default: the platform's data folder.")
        ] = None,
        host: Annotated[str, typer.Option(help="Address the API binds to.")] = "127.0.0.1",
        port: Annotated[
            int | None, typer.Option(help="The API's port; 0: any free ports, for broker and store too. Default: 8080.")
        ] = None,
        clock_rate: Annotated[float, typer.Option(min=0.001, help="Run the clock this many times faster.")] = 1.0,
        clock_start: Annotated[
            str | None, typer.Option(help="What the clock shows at the start (RFC 3339 or epoch ms). Default: now.")
        ] = None,
    ) -> None:
        """Run the whole system on this machine: broker, store, tracker, foreman, recorder, notifier and API.

        Waits until all is ready, restarts what dies, stops everything on Ctrl-C or SIGTERM.

        Example: [bold]onsite up --state ./state --port 8080[/bold]
        """
        from infra.logs import configure_logging
        from infra.system import System, Wanted, hold  # slow to import: not for --help

        console = Console(highlight=False)
        state_dir = (state or default_state_dir()).expanduser().resolve()
        began = time.monotonic()
        for signum in _STOPPING:
            signal.signal(signum, _interrupt)
        with hold(state_dir):
            (state_dir / "logs").mkdir(exist_ok=True)
            configure_logging(load_settings(), state_dir / "logs" / "up.log")
            system = System(Wanted(state_dir, host, port, read_clock(clock_rate, clock_start)), console.print)
            try:
                system.start()
                console.print(ready_message(system, time.monotonic() - began))
                system.watch()
            except KeyboardInterrupt:
                console.print("stopping")
            finally:
                for signum in _STOPPING:
                    signal.signal(signum, signal.SIG_IGN)
                system.stop()
            console.print("stopped")


def _interrupt(*_: object) -> NoReturn:
    """Interrupt what goes on, and again soon: within a callback of an import Python swallows the first time."""
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    raise KeyboardInterrupt


def default_state_dir() -> Path:
    """Where this platform keeps an application's data."""
    return Path.home() / _STATE_DIRS.get(sys.platform, ".local/share/onsite")


def read_clock(rate: float, start: str | None) -> Clock:
    """The clock that all processes will share. Raises CommandError for a start that is no time."""
    if rate == 1.0 and start is None:
        return Clock()
    origin_ms = time.time_ns() // 1_000_000
    if start is None:
        return Clock(rate, origin_ms, origin_ms)
    try:
        return Clock(rate, parse_instant(start), origin_ms)
    except ValueError as error:
        raise CommandError(f"--clock-start: {error}") from error


def ready_message(system: "System", took_s: float) -> Panel:
    """Where everything is."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    for name, where in (
        ("API", f"{system.api_url}/docs"),
        ("SQL", system.settings.clickhouse),
        ("Kafka", system.settings.kafka),
        ("Admin key", str(system.admin_key_path)),
        ("Logs", str(system.logs_dir)),
    ):
        table.add_row(name, where)
    return Panel.fit(table, title=f"[green]●[/green] Onsite is ready ({took_s:.0f} s)", subtitle="Ctrl-C stops it")
