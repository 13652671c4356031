"""The command line ``onsite``: one module a command, listed in ``COMMANDS``."""

import difflib
import importlib
import sys
from typing import Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from infra.errors import CommandError
from infra.leave_out import leave_out_pandas
from schemas.settings import Settings, load_settings

COMMANDS: Final = (
    "up",
    "api",
    "tracker",
    "foreman",
    "recorder",
    "notifier",
    "visits",
    "backtest",
    "eta",
    "replay",
    "simulate",
    "keys",
    "accounts",
    "people",
    "map",
    "migrate",
    "doctor",
    "demo",
)
"""Each is a module ``infra.cli.<name>`` with a function ``register(app)``; a module is imported when its command is."""


def build(names: tuple[str, ...]) -> typer.Typer:
    """The command line with the commands named."""
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


def _say(asked: str, message: str) -> None:
    """One line on the standard error, whatever the message was."""
    line = Text.assemble((f"onsite {asked}:" if asked else "onsite:", "red"), " ", " ".join(message.split()))
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command of ``sys.argv``; a failure prints one line and exits non-zero (2 when it was asked wrongly)."""
    leave_out_pandas()
    arguments = sys.argv[1:] or ["--help"]
    asked = arguments[0] if arguments[0] in COMMANDS else ""
    if not asked and not arguments[0].startswith("-"):
        close = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        _say("", f"there is no command {arguments[0]!r}{guess} (see onsite --help)")
        sys.exit(2)
    debugging = False
    try:
        debugging = load_settings().log_level == "debug"
        outcome = build((asked,) if asked else COMMANDS)(arguments, prog_name="onsite", standalone_mode=False)
    except typer.TyperException as error:
        if error.format_message():  # empty when the help was printed in its stead
            _say(asked, f"{error.format_message()} (see onsite {asked} --help)")
        sys.exit(error.exit_code)
    except CommandError as error:
        _say(asked, str(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except ValidationError as error:
        wrong = "; ".join(f"ONSITE_{fault['loc'][0]!s}".upper() + f": {fault['msg']}" for fault in error.errors())
        _say(asked, wrong if error.title == Settings.__name__ else str(error))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 -- the last floor: a traceback only for who asks for it
        _say(asked, f"{type(error).__name__}: {error}")
        if debugging:
            Console(stderr=True).print_exception()
        sys.exit(1)
    sys.exit(outcome if isinstance(outcome, int) else 0)
