"""The command line ``onsite``: one module a command, listed in ``COMMANDS``."""

import importlib
import sys
from typing import Final

import structlog
import typer
from rich.console import Console

from infra.errors import CommandError

COMMANDS: Final = (
    "up",
    "api",
    "tracker",
    "recorder",
    "visits",
    "replay",
    "simulate",
    "keys",
    "migrate",
    "doctor",
    "demo",
)
"""Each is a module ``infra.cli.<name>`` with a function ``register(app)``; a module is imported when its command is."""


def _build(names: tuple[str, ...]) -> typer.Typer:
    app = typer.Typer(
        name="onsite",
        help="Pings in; arrivals, on-site time and ETAs out.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root() -> None:
        """Keep `onsite NAME` a subcommand even when only one is loaded."""

    for name in names:
        importlib.import_module(f"infra.cli.{name}").register(app)
    return app


def main() -> None:
    """Run the command of ``sys.argv``; a failure prints one line and exits non-zero."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    app = _build((asked,) if asked in COMMANDS else COMMANDS)
    try:
        app()
    except CommandError as error:
        Console(stderr=True).print(f"[red]onsite {asked}:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 -- the last floor: no bare traceback reaches a user
        structlog.get_logger().debug("command failed", command=asked, exc_info=True)
        Console(stderr=True).print(
            f"[red]onsite {asked}:[/red] {type(error).__name__}: {error}", highlight=False, soft_wrap=True
        )
        sys.exit(1)
