"""``onsite backtest``: what other rules or fences would have made of stored days."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table

from api.ports import StoreUnavailable
from geofence.fences import FenceSet
from geofence.rule_book import RuleBook
from infra.backtest import Days, Outcome, Span, compare_days, stored_fences
from infra.doctor import settings_for
from infra.errors import CommandError
from infra.inputs import read_fences, read_rule_book, warn_of_strangers
from infra.logs import configure_logging
from schemas import wire
from schemas.fence import FenceVersion
from schemas.settings import Settings, load_settings
from schemas.times import format_instant, parse_instant
from stream.store import open_store

EPILOG = """Example: onsite backtest --rules rules.toml --from 2026-11-02T00:00:00Z --to 2026-11-09T00:00:00Z

A visit counts for the day it begins; it has changed when its arrival or its departure has."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backtest", epilog=EPILOG)(backtest)


def backtest(
    from_: Annotated[str, typer.Option("--from", help="compare the visits that begin from here on: RFC 3339")],
    to: Annotated[str, typer.Option("--to", help="and before this")],
    fences: Annotated[
        Path | None, typer.Option(help="a GeoJSON FeatureCollection; default: the fences in the store, with history")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="TOML file of visit rules; default: that of ONSITE_RULES")] = None,
    state: Annotated[
        Path | None, typer.Option(help="use the store of the system on this state folder; default: ONSITE_CLICKHOUSE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object a line for each difference")] = False,
) -> None:
    """Derive stored days again under other fences or rules, and show what differs from the logged visits."""
    settings = load_settings()
    configure_logging(settings, quiet=True)
    rule_book = read_rule_book(rules or settings.rules)
    drawn = None if fences is None else read_fences(fences)
    days = Days(_moment("--from", from_), _moment("--to", to), settings.clock().now_ms())
    if days.from_ms >= days.to_ms:
        raise CommandError("--from is not before --to")
    if state is not None:
        settings = settings_for(state.expanduser().resolve())
    outcomes = asyncio.run(_run(settings, rule_book, drawn, days))
    differences = [difference for outcome in outcomes for difference in outcome.differences]
    if as_json:
        for difference in differences:
            typer.echo(wire.encode(difference))
    elif differences:
        table = Table("device", "fence", "visit", "arrived", "departed")
        for difference in differences:
            arrived, departed = _edges(difference.before, difference.after)
            table.add_row(difference.device_id, difference.fence_id, difference.change, arrived, departed)
        Console(highlight=False).print(table)
    Console(stderr=True, highlight=False).print(_summary(outcomes), soft_wrap=True)


async def _run(
    settings: Settings, rule_book: RuleBook, drawn: dict[str, FenceVersion] | None, days: Days
) -> list[Outcome]:
    try:
        store = await open_store(settings)
        try:
            known = FenceSet.of(drawn.items()) if drawn is not None else await stored_fences(store)
            warn_of_strangers(rule_book, known.fence_ids)
            return [
                outcome async for outcome in compare_days(store, rule_book.applied_to(known), rule_book.rules, days)
            ]
        finally:
            await store.close()
    except (ClickHouseError, StoreUnavailable, OSError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise CommandError(
            f"the store did not answer: {said}; see what ONSITE_CLICKHOUSE names, or give --state"
        ) from error


def _moment(option: str, text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error


def _edges(before: Span | None, after: Span | None) -> tuple[str, str]:
    """Arrival and departure in words: what was logged, and below it what would have been where that differs."""
    spans = [span for span in (before, after) if span is not None]
    arrived = dict.fromkeys(format_instant(span.arrived_ms) for span in spans)
    departed = dict.fromkeys(
        "there" if span.departed_ms is None else format_instant(span.departed_ms) for span in spans
    )
    return "\n→ ".join(arrived), "\n→ ".join(departed)


def _summary(outcomes: list[Outcome]) -> str:
    changes = [difference.change for outcome in outcomes for difference in outcome.differences]
    counts = ", ".join(f"{changes.count(change)} {change}" for change in ("added", "removed", "changed"))
    unchanged = sum(outcome.unchanged for outcome in outcomes)
    return f"{len(outcomes)} devices: {counts}, {unchanged} as logged"
