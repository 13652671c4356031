"""``onsite accounts``: people who sign in with a password."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from infra.accounts import AccountBook, open_account_book, totp_uri
from infra.errors import CommandError
from infra.grants import grant
from infra.logs import configure_logging
from schemas.account import Account, public_of
from schemas.key import Role
from schemas.settings import load_settings
from schemas.times import format_instant

T = TypeVar("T")

accounts = typer.Typer(
    help="Create, list, disable and reset the accounts of people who sign in with a password.",
    epilog="Example: onsite accounts create amina --role viewer --totp",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="what the person signs in with")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(accounts, name="accounts")


@accounts.command(epilog="Example: onsite accounts create amina --role viewer --totp")
def create(
    name: Name,
    role: Annotated[Role, typer.Option(help="admin: everything; viewer: read; the rest: docs/access.md")],
    branch: Annotated[
        list[str] | None,
        typer.Option(help="what the person sees: this branch and those within; again for more; default: all"),
    ] = None,
    technician: Annotated[str, typer.Option(help="whose jobs somebody of the role technician sees")] = "",
    totp: Annotated[bool, typer.Option("--totp", help="with a second factor, which is shown once")] = False,
    as_json: AsJson = False,
) -> None:
    """Create an account. The password is asked for, or read from the standard input where that is no terminal."""
    if role == "device":
        raise CommandError("devices do not sign in: `onsite keys create --device` makes a token")
    granted = grant(role, branch or [], technician)
    password = _ask_for_password()
    account = _run(lambda book: book.create(name, granted, password, with_totp=totp))
    _tell(account, f"account [bold]{account.name}[/bold] ({role})", with_secret=totp, as_json=as_json)


@accounts.command("list", epilog="Example: onsite accounts list --json")
def show(as_json: AsJson = False) -> None:
    """List the accounts."""

    async def found(book: AccountBook) -> list[Account]:
        return book.accounts()

    listed = _run(found)
    if as_json:
        for account in listed:
            typer.echo(msgspec.json.encode(public_of(account)))
        return
    table = Table("account", "role", "sees", "second factor", "created", "disabled")
    for account in listed:
        disabled = "" if account.disabled_at is None else format_instant(account.disabled_at)
        second = "yes" if account.totp_secret else ""
        sees = account.technician_id or ", ".join(account.branches or [])
        table.add_row(account.name, account.role, sees, second, format_instant(account.created_at), disabled)
    Console().print(table)


@accounts.command(epilog="Example: onsite accounts disable amina")
def disable(name: Name, as_json: AsJson = False) -> None:
    """Let nobody in with an account and end its sessions, within a second."""
    account = _run(lambda book: book.disable(name))
    _tell(account, f"account [bold]{account.name}[/bold] is disabled", with_secret=False, as_json=as_json)


@accounts.command(epilog="Example: onsite accounts reset amina --totp")
def reset(
    name: Name,
    totp: Annotated[
        bool | None, typer.Option("--totp/--no-totp", help="a new second factor, or none; default: as it is")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give an account a new password and end its sessions; one that was disabled is let in again."""
    password = _ask_for_password()
    account = _run(lambda book: book.reset(name, password, with_totp=totp))
    _tell(account, f"account [bold]{account.name}[/bold] is reset", with_secret=bool(totp), as_json=as_json)


def _tell(account: Account, what: str, *, with_secret: bool, as_json: bool) -> None:
    uri = totp_uri(account) if with_secret else ""
    if as_json:
        typer.echo(msgspec.json.encode(public_of(account) | ({"totp_uri": uri} if uri else {})))
        return
    Console(stderr=True).print(what)
    if uri:
        Console(stderr=True).print("the second factor, for an authenticator app, is shown this once:")
        typer.echo(uri)


def _ask_for_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _run(use: Callable[[AccountBook], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_account_book(load_settings()) as book:
            return await use(book)

    configure_logging(load_settings(), quiet=True)
    return asyncio.run(run())
