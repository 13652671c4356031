"""``onsite keys``: who may talk to the API."""

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from infra.errors import CommandError
from infra.grants import Grant, grant
from infra.keys import last_uses, open_key_ring
from infra.logs import configure_logging
from schemas.key import ApiKey, NewKey, Role, public_of
from schemas.ping import MAX_DEVICE_ID_CHARS
from schemas.settings import load_settings
from schemas.times import Instant, format_instant

keys = typer.Typer(
    help="Create, list and revoke API keys and device tokens.",
    epilog="Example: onsite keys create --device van-12",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(keys, name="keys")


@keys.command(epilog="Example: onsite keys create --device van-12")
def create(
    name: Annotated[str, typer.Option(help="for people: whose key it is; default: the device's id")] = "",
    role: Annotated[
        Role | None,
        typer.Option(help="admin: everything; device: post pings of any device; viewer: read; more: docs/access.md"),
    ] = None,
    device: Annotated[str, typer.Option(help="a token that posts pings of this one device and does nothing else")] = "",
    branch: Annotated[
        list[str] | None, typer.Option(help="what it sees: this branch and those within; again for more; default: all")
    ] = None,
    technician: Annotated[str, typer.Option(help="whose jobs a key of the role technician sees")] = "",
    as_json: AsJson = False,
) -> None:
    """Create a key, or the token of a device, and print it. It is shown this once and stored nowhere."""
    if device and role not in (None, "device"):
        raise CommandError(f"the token of a device has the role device, not {role}")
    if not device and (role is None or not name):
        raise CommandError("say whose key it is and what it may do (--name, --role), or which device's (--device)")
    if len(device) > MAX_DEVICE_ID_CHARS:
        raise CommandError(f"a device's id has {MAX_DEVICE_ID_CHARS} characters at most")
    role = role or "device"
    granted = grant(role, branch or [], technician)
    made = asyncio.run(_create(name or device, granted, device or None))
    if as_json:
        typer.echo(msgspec.json.encode(public_of(made.key) | {"token": made.token}))
        return
    Console(stderr=True).print(f"key [bold]{made.key.key_id}[/bold] ({role}); its token is shown this once:")
    typer.echo(made.token)


@keys.command("list", epilog="Example: onsite keys list --json")
def show(as_json: AsJson = False) -> None:
    """List the keys and when each was last used, to a minute or so; secrets are not known here."""
    found, used_at = asyncio.run(_list())
    if as_json:
        for key in found:
            used = _moment(used_at.get(key.key_id)) or None
            typer.echo(msgspec.json.encode(public_of(key) | {"last_used_at": used}))
        return
    table = Table("key", "name", "role", "sees", "device", "created", "last used", "revoked")
    for key in found:
        moments = [_moment(each) for each in (key.created_at, used_at.get(key.key_id), key.revoked_at)]
        sees = key.technician_id or ", ".join(key.branches or [])
        table.add_row(key.key_id, key.name, key.role, sees, key.device_id or "", *moments)
    Console().print(table)


@keys.command(epilog="Example: onsite keys revoke 3f9a0c1d2e4b")
def revoke(
    key_id: Annotated[str, typer.Argument(help="the id that `onsite keys list` shows")], as_json: AsJson = False
) -> None:
    """Revoke a key; the API refuses it within a second."""
    key = asyncio.run(_revoke(key_id))
    if as_json:
        typer.echo(msgspec.json.encode(public_of(key)))
    else:
        Console(stderr=True).print(f"key [bold]{key.key_id}[/bold] ({key.name}) is revoked")


def _moment(moment: Instant | None) -> str:
    return "" if moment is None else format_instant(moment)


async def _create(name: str, granted: Grant, device_id: str | None) -> NewKey:
    configure_logging(load_settings(), quiet=True)
    async with open_key_ring(load_settings()) as ring:
        return await ring.create(name, granted, device_id)


async def _list() -> tuple[list[ApiKey], dict[str, Instant]]:
    configure_logging(load_settings(), quiet=True)
    async with open_key_ring(load_settings()) as ring:
        return ring.keys(), await last_uses(load_settings())


async def _revoke(key_id: str) -> ApiKey:
    configure_logging(load_settings(), quiet=True)
    async with open_key_ring(load_settings()) as ring:
        return await ring.revoke(key_id)
