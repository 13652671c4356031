"""``onsite replay``: recorded pings, posted to a running system."""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.delivery import BATCH_PINGS, Delivery
from infra.errors import CommandError
from infra.redelivery import Redelivery
from schemas.ping import Ping
from schemas.protocols import BodyError, read_file

_AT_ONCE: Final = 4
_TICK_S: Final = 0.2
_COLUMNS: Final = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

EPILOG: Final = """Example: onsite replay monday.ndjson --url http://127.0.0.1:8080 --token "$(cat admin.key)" --speed 0

With --rejected: what the system has refused is read from it and posted again, each item through the door that it came
through. What is refused again is kept again; --code and --since leave alone what the mended fault did not refuse."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(replay)


def replay(
    url: Annotated[str, typer.Option(help="where the API is, e.g. http://127.0.0.1:8080")],
    token: Annotated[str, typer.Option(help="a key of the role admin or device; --rejected needs admin")],
    pings: Annotated[
        list[str] | None, typer.Argument(help="files of pings: .ndjson, .json, .csv, .gpx; - reads NDJSON")
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="instead of files: what the system has refused")] = False,
    code: Annotated[str | None, typer.Option(help="only what was refused for this reason (with --rejected)")] = None,
    since: Annotated[str | None, typer.Option(help="only what came from then on, RFC 3339 (with --rejected)")] = None,
    speed: Annotated[float, typer.Option(min=0.0, help="times faster than life; 0: as fast as it takes them")] = 1.0,
    shuffle: Annotated[int | None, typer.Option(metavar="SEED", help="in random order (with --speed 0)")] = None,
    duplicate: Annotated[float, typer.Option(min=0.0, max=1.0, metavar="P", help="share of pings sent twice")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="the summary as one JSON object")] = False,
) -> None:
    """Post recorded pings to a running system and say what became of them.

    Exits non-zero when something could not be delivered; refused pings are counted by reason.
    """
    if rejected == bool(pings):
        raise CommandError("give either files of pings or --rejected", exit_code=2)
    if not rejected and (code or since):
        raise CommandError("--code and --since choose among what was refused: they need --rejected", exit_code=2)
    if shuffle is not None and speed:
        raise CommandError("--shuffle needs --speed 0: shuffled pings have no time to keep")
    found, unreadable = _read(pings or [])
    planned = _plan(found, shuffle, duplicate)
    began_s = time.monotonic()
    delivery, sent = Delivery(url, token.strip()), len(planned)
    if rejected:
        filters = {name: value for name, value in (("code", code), ("from", since)) if value}
        redelivery = asyncio.run(_send_again(delivery, filters))
        sent, unreadable = redelivery.sent, redelivery.unposted
    else:
        asyncio.run(_send(delivery, planned, speed))
    tally = delivery.tally
    summary = {
        "sent": sent,
        "accepted": tally.accepted,
        "rejected": dict(tally.rejected),
        "unreadable": dict(unreadable),
        "undelivered": tally.undelivered,
        "seconds": round(time.monotonic() - began_s, 3),
    }
    if as_json:
        typer.echo(msgspec.json.encode(summary))
    else:
        _tell(summary)
    if tally.undelivered:
        raise CommandError(f"{tally.undelivered} pings could not be delivered to {url}: {tally.last_failure}")


def _read(names: Sequence[str]) -> tuple[list[Ping], Counter[str]]:
    found: list[Ping] = []
    unreadable: Counter[str] = Counter()
    for name in names:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            items = read_file("stdin.ndjson" if name == "-" else name, data)
        except OSError as error:
            raise CommandError(f"{name}: cannot be read: {error.strerror}") from error
        except BodyError as error:
            raise CommandError(f"{name}: {error}") from error
        for item in items:
            if isinstance(item, Ping):
                found.append(item)
            else:
                unreadable[item.code] += 1
    return found, unreadable


def _plan(pings: Sequence[Ping], shuffle: int | None, duplicate: float) -> list[Ping]:
    """The pings to send, in the order to send them."""
    chance = random.Random(shuffle or 0)
    planned = [copy for ping in pings for copy in ([ping, ping] if chance.random() < duplicate else [ping])]
    if shuffle is not None:
        chance.shuffle(planned)
    return planned


async def _send_again(delivery: Delivery, filters: dict[str, str]) -> Redelivery:
    with Progress(*_COLUMNS, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("posting", total=None)
        redelivery = Redelivery(delivery, filters, lambda: progress.advance(bar))
        try:
            await redelivery.run()
        finally:
            await delivery.close()
    return redelivery


async def _send(delivery: Delivery, pings: list[Ping], speed: float) -> None:
    free = asyncio.Semaphore(_AT_ONCE)
    with Progress(*_COLUMNS, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("posting", total=len(pings))

        async def post(batch: Sequence[Ping]) -> None:
            try:
                await delivery.post(batch)
            finally:
                free.release()
            progress.advance(bar, len(batch))

        try:
            async with asyncio.TaskGroup() as posts:
                async for batch in _paced(pings, speed):
                    await free.acquire()
                    posts.create_task(post(batch))
        except* CommandError as group:
            raise group.exceptions[0] from None
        finally:
            await delivery.close()


async def _paced(pings: list[Ping], speed: float) -> AsyncIterator[Sequence[Ping]]:
    """Batches, each when it is due."""
    if not speed:
        for start in range(0, len(pings), BATCH_PINGS):
            yield pings[start : start + BATCH_PINGS]
        return
    pings = sorted(pings, key=lambda ping: ping.ts_ms)
    began_s = time.monotonic()
    sent = 0
    while sent < len(pings):
        due_ms = pings[0].ts_ms + (time.monotonic() - began_s) * speed * 1000
        end = sent
        while end < len(pings) and end - sent < BATCH_PINGS and pings[end].ts_ms <= due_ms:
            end += 1
        if end > sent:
            yield pings[sent:end]
            sent = end
        else:
            await asyncio.sleep(_TICK_S)


def _tell(summary: dict[str, object]) -> None:
    console = Console(stderr=True)
    console.print(
        f"{summary['sent']} pings sent in {summary['seconds']} s, [bold]{summary['accepted']}[/bold] accepted"
    )
    for name in ("rejected", "unreadable"):
        reasons = summary[name]
        if reasons:
            assert isinstance(reasons, dict)
            console.print(f"{name}: " + ", ".join(f"{count} × {code}" for code, count in sorted(reasons.items())))
